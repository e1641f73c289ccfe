"""What workers bring: throughput by engine, and what Dask costs by the shard.

Prompts of mixed length, a sweep for each engine. Rates are tokens a second between the
moment when every worker has committed a shard and the last commit, so starting and
loading are left out; they are multiples of one worker on one thread, in the same call.
The cost of Dask is the share of that time in which a worker was between two tasks, by
Dask's own record of when tasks began and ended.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from flowglass.datasets.catalog import load
from flowglass.pipeline import (  # before torch: it sets how threads wait
    corpus,
    sweeping,
)
from flowglass.pipeline.cluster import own_cluster
from flowglass.pipeline.engine import Engine, LocalEngine
from flowglass.pipeline.loading import load_tokenizer
from flowglass.pipeline.progress import Silent
from flowglass.pipeline.shard_worker import Workbench
from flowglass.pipeline.sweep_runs import all_options
from flowglass.store import open_store

# isort: split
from distributed import default_client
from rich.console import Console
from rich.table import Table
from shapes import gpt2_small

SENTENCES = (1, 1, 2, 3)
"""Of a prompt: so lengths are mixed."""


@dataclass(frozen=True)
class Measured:
    """A sweep on one engine."""

    rate: float
    """Tokens a second."""
    idle: float | None
    """The share of time between tasks; None where there is no Dask."""


def write_prompts(file: Path, n: int) -> None:
    """A JSONL file of so many prompts, of mixed length."""
    rng = random.Random(0)
    lines = [prompt.text for prompt in load("sentences").prompts]
    with file.open("w") as out:
        for _ in range(n):
            text = " ".join(rng.sample(lines, rng.choice(SENTENCES)))
            out.write(json.dumps({"text": text}) + "\n")


def save_small(folder: Path, *, layers: int) -> Path:
    """GPT-2 small with few layers and peaked attention, with a bundled tokenizer."""
    gpt2_small(layers=layers).module.save_pretrained(folder)
    load_tokenizer("tiny-gpt2").save_pretrained(folder)
    return folder


def measure(engine: Engine, *, model: str, data: Path, store: Path) -> Measured:
    """Sweep, and read off the commit records how fast it went."""
    options = {"model": model, "data": [str(data)], "store": str(store)}
    more = {"neurons": 16, "project": "none", "device": "cpu", "truncate": True}
    in_dask = not isinstance(engine, LocalEngine)
    if in_dask:
        default_client().get_task_stream()  # records from now on
    run = sweeping.sweep_on(engine, all_options(options | more), Silent())
    with open_store(store) as opened:
        shards = opened.snapshot.runs[run.run_id].committed.shards.values()
    first: dict[str, float] = {}
    done = sorted(
        ((datetime.fromisoformat(s.committed_at).timestamp(), s.info) for s in shards),
        key=lambda pair: pair[0],
    )
    for at, info in done:
        first.setdefault(info["worker"], at)
    start, end = max(first.values()), done[-1][0]
    rate = sum(info["n_tokens"] for at, info in done if at > start) / (end - start)
    return Measured(rate, idle_share() if in_dask else None)


def idle_share() -> float:
    """The share of time, from the second task of a worker on, between its tasks."""
    by_worker: dict[str, list[tuple[float, float]]] = {}
    for task in default_client().get_task_stream():
        if str(task["key"]).startswith("do_shard"):
            for step in task["startstops"]:
                if step["action"] == "compute":
                    spans = by_worker.setdefault(task["worker"], [])
                    spans.append((step["start"], step["stop"]))
    busy = whole = 0.0
    for spans in by_worker.values():
        spans = sorted(spans)[1:]
        busy += sum(stop - start for start, stop in spans)
        whole += spans[-1][1] - spans[0][0]
    return 1 - busy / whole


@contextmanager
def in_process() -> Iterator[Engine]:
    yield LocalEngine(Workbench())


def engines() -> dict[str, Callable[[], AbstractContextManager[Engine]]]:
    """By name; the first is what the others are multiples of."""

    def cluster(n: int, threads: int) -> Callable[[], AbstractContextManager[Engine]]:
        return lambda: own_cluster(n, device="cpu", report=Silent(), threads=threads)

    return {
        "1 worker, 1 thread": cluster(1, 1),
        "2 workers, 1 thread each": cluster(2, 1),
        "in process, 2 threads": in_process,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", help="if not GPT-2 small")
    options.add_argument("--layers", type=int, default=3, help="of GPT-2 small")
    options.add_argument("--shards", type=int, default=12, help="an even number")
    options.add_argument("--prompts", type=int, default=256, help="in a shard")
    asked = options.parse_args()
    table = Table("engine", "tokens/s", "of the first", "between tasks")
    with TemporaryDirectory() as folder:
        data = Path(folder) / "mixed.jsonl"
        corpus.SHARD_PROMPTS = asked.prompts  # planned here, for all engines
        write_prompts(data, asked.shards * asked.prompts)
        model = asked.model or str(save_small(Path(folder) / "m", layers=asked.layers))
        rates: list[float] = []
        for name, engine in engines().items():
            with engine() as there:
                store = Path(folder) / f"store-{len(rates)}"
                found = measure(there, model=model, data=data, store=store)
            rates.append(found.rate)
            idle = "" if found.idle is None else f"{found.idle:.2%}"
            ratio = f"{found.rate / rates[0]:.2f}"
            table.add_row(name, f"{found.rate:,.0f}", ratio, idle)
    Console().print(table)


if __name__ == "__main__":
    main()
