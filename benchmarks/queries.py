"""Times the questions that must stay quick however large a store is.

    python benchmarks/queries.py .bench/corpus8 --markdown

*warm*: the store is open and each question was asked before, about something else; each
time is another random prompt or head. *cold*: the store is opened anew, and the system
holds no page of any of its files (they are dropped one by one with posix_fadvise, which
needs no rights; what was then read from the disk is shown). *scan* is what DuckDB takes
to decode every column of the files that the question looks into, warm: a ratio below 1
says that it reads only part of them. Opening, and memory above what Python, DuckDB and
Arrow need once imported, are measured in processes of their own.
"""

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flowglass.store import open_store
from flowglass.store.queries import edges
from flowglass.store.store import Store

WARM, COLD, SCANS = 24, 6, 3
"""How often a question is asked, and its files are scanned."""
MB = 2**20

HEADS = """
    SELECT prompt_id, contribution FROM heads
    WHERE run_id = $run_id AND layer = $layer AND head = $head
    ORDER BY contribution DESC LIMIT 100
"""
IN_ROUTES = """
    SELECT prompt_id, target, contribution, survives_at FROM importance
    WHERE run_id = $run_id AND layer = $layer AND component = 'head' AND index = $head
    ORDER BY contribution DESC LIMIT 100
"""
STORED_EDGES = """
    SELECT prompt_id, sum(contribution) AS contribution FROM edges
    WHERE run_id = $run_id AND layer = $layer AND head = $head
    GROUP BY prompt_id ORDER BY contribution DESC LIMIT 100
"""
BY_CATEGORY = """
    SELECT dataset, category, layer, index, contribution_sum / n_targets AS mean,
           n_in_route_004 / n_targets AS frequency
    FROM component_stats WHERE run_id = $run_id AND component = 'head'
    ORDER BY ALL
"""

Instance = Mapping[str, Any]


@dataclass(frozen=True)
class Question:
    """Something people ask, and how long it may take."""

    name: str
    table: str
    bar: float
    """Milliseconds; infinite where there is no bar."""
    ask: Callable[[Store, Instance], int]
    """Ask it about an instance; gives the number of rows."""
    of_one_prompt: bool = False
    """Looks into the one file that the prompt is in."""


def _sql(query: str, *names: str) -> Callable[[Store, Instance], int]:
    def ask(store: Store, instance: Instance) -> int:
        values = {name: instance[name] for name in ("run_id", *names)}
        return int(store.table(query, values).num_rows)

    return ask


def _edges(store: Store, instance: Instance) -> int:
    return int(edges(store, instance["run_id"], instance["prompt_id"]).num_rows)


QUESTIONS = (
    Question("all edges of a prompt", "edges", 50, _edges, of_one_prompt=True),
    Question(
        "a head's top 100 prompts (heads)", "heads", 100, _sql(HEADS, "layer", "head")
    ),
    Question(
        "the same, by routes (importance)",
        "importance",
        100,
        _sql(IN_ROUTES, "layer", "head"),
    ),
    Question(
        "the same, summed up from edges",
        "edges",
        float("inf"),
        _sql(STORED_EDGES, "layer", "head"),
    ),
    Question(
        "importance of all heads by category", "component_stats", 100, _sql(BY_CATEGORY)
    ),
)


@dataclass(frozen=True)
class Asked:
    """A question, timed; milliseconds."""

    rows: int
    warm: Sequence[float]
    cold: Sequence[float]
    read: float
    """MB that it read from the disk when cold, the median."""
    scan: float


def instances(store: Store, seed: int) -> list[Instance]:
    """Random prompts and heads of the store's first run."""
    run_id, state = next(iter(store.snapshot.runs.items()))
    rng = random.Random(seed)
    return [
        {
            "run_id": run_id,
            "prompt_id": rng.randrange(state.plan.n_prompts),
            "layer": rng.randrange(state.plan.n_layers),
            "head": rng.randrange(state.plan.n_heads),
        }
        for _ in range(WARM + 1)
    ]


def timed(path: Path, question: Question) -> Asked:
    """Ask about many instances, warm and cold."""
    with open_store(path) as store:
        first, *others = instances(store, seed=1)
        rows = question.ask(store, first)
        warm = [_milliseconds(question.ask, store, i) for i in others]
        scans = [_milliseconds(scan, store, question, first) for _ in range(SCANS)]
    cold, read = [], []
    for instance in others[:COLD]:
        forget(path)
        with open_store(path) as store:
            before = _disk_read()
            cold.append(_milliseconds(question.ask, store, instance))
            read.append((_disk_read() - before) / MB)
    return Asked(rows, warm, cold, statistics.median(read), statistics.median(scans))


def scan(store: Store, question: Question, instance: Instance) -> None:
    """Decode every column of the files that a question looks into."""
    one = instance["prompt_id"] if question.of_one_prompt else None
    files = store.files(instance["run_id"], question.table, one)
    store.table("SELECT max(COLUMNS(*)) FROM read_parquet($files)", {"files": files})


def forget(path: Path) -> None:
    """Let the system hold no page of the store's files."""
    os.sync()  # a page that is not written yet would stay
    for file in path.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def opening(path: Path) -> float:
    """Milliseconds that `open_store` takes in a process that has imported DuckDB."""
    import duckdb  # noqa: F401

    return _milliseconds(lambda: open_store(path).close())


def importing() -> float:
    """Milliseconds that importing DuckDB takes."""
    started = time.perf_counter()
    import duckdb  # noqa: F401

    return 1e3 * (time.perf_counter() - started)


def memory(path: Path, names: Sequence[str]) -> float:
    """MB that a process needs at most to open the store and ask these questions, above
    what it needs once DuckDB and Arrow are imported."""
    import duckdb  # noqa: F401
    import pyarrow.compute  # noqa: F401

    before = _status("VmRSS")
    with open_store(path) as store:
        for question in QUESTIONS:
            if question.name in names:
                for instance in instances(store, seed=2):
                    question.ask(store, instance)
    return (_status("VmHWM") - before) / MB


def in_a_process(work: Callable[..., float], *values: Any) -> float:
    """Call it in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *values).result()


def opened(path: Path) -> Asked:
    """Open the store in new processes, warm and cold."""
    warm = [in_a_process(opening, path) for _ in range(WARM // 2)]
    cold = []
    for _ in range(COLD):
        forget(path)
        cold.append(in_a_process(opening, path))
    return Asked(0, warm, cold, float("nan"), float("nan"))


def _milliseconds(work: Callable[..., object], *values: Any) -> float:
    started = time.perf_counter()
    work(*values)
    return 1e3 * (time.perf_counter() - started)


def _disk_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(s.split()[1]) for s in lines if s.startswith("read_bytes"))


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(s.split()[1]) * 1024 for s in lines if s.startswith(name))


HEADER = (
    "question",
    "rows",
    "bar, ms",
    "warm, ms",
    "worst",
    "of a scan",
    "cold, ms",
    "worst",
    "MB read",
)


def row(name: str, bar: float, found: Asked) -> list[str]:
    """A line of the table."""
    warm, cold = statistics.median(found.warm), statistics.median(found.cold)
    return [
        name,
        f"{found.rows:,}",
        f"{bar:g}",
        f"{warm:.1f}",
        f"{max(found.warm):.1f}",
        f"{warm / found.scan:.2f}",
        f"{cold:.1f}",
        f"{max(found.cold):.1f}",
        f"{found.read:.1f}",
    ]


def sizes(path: Path) -> str:
    """What the store holds, in a line."""
    with open_store(path) as store:
        (state,) = list(store.snapshot.runs.values())[:1]
        files = [file for unit in state.committed.units for file in unit.files]
        n_edges = sum(file.rows for file in files if file.table == "edges")
        return (
            f"{n_edges:,} edges, {state.total('n_prompts'):,} prompts, "
            f"{state.total('n_tokens'):,} tokens, "
            f"{len(state.committed.shards)} shards, {len(files)} files, "
            f"{state.n_bytes / 2**30:.2f} GB"
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("store", type=Path)
    options.add_argument("--markdown", action="store_true")
    asked = options.parse_args()
    path = asked.store
    lines = [row("opening the store", 300, opened(path))]
    lines += [row(q.name, q.bar, timed(path, q)) for q in QUESTIONS]
    within = [q.name for q in QUESTIONS if q.bar < float("inf")]
    print(sizes(path))
    print(f"importing DuckDB: {in_a_process(importing):.0f} ms, not counted above")
    print(f"memory of those with a bar: {in_a_process(memory, path, within):.0f} MB")
    if asked.markdown:
        for line in (HEADER, ["---"] * len(HEADER), *lines):
            print(f"| {' | '.join(line)} |")
        return
    table = Table(*HEADER)
    for line in lines:
        table.add_row(*line)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
