"""Sweep time over plain-forward time, by stage, in one process and run (`make bench`).

Each row is one batch of 1024 tokens: the median over pairs of (all rows of the batch,
written as Parquet files) / (one plain `model(ids)` of it). Ratios, because absolute
seconds say more about the machine than about the code. Peak memory is what the process
holds above what it held before, the model's weights not counted.
"""

import argparse
import ctypes
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from flowglass.pipeline import analyse  # before torch: it sets how threads wait
from flowglass.pipeline.memory import keep_freed_memory
from flowglass.pipeline.model import LoadedModel, load_model
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.text import TokenText
from flowglass.store.parquet import to_parquet
from flowglass.store.schema import TABLES

# isort: split
import torch
from clock import CAPTURE, STAGES, Clock
from rich.console import Console
from rich.table import Table
from shapes import gpt2_small, llama_1b, prompts_of
from transformers.utils import logging

BATCH_TOKENS = 1024
PAIRS = 5
GB = 2**30


@dataclass(frozen=True)
class Measured:
    """One batch, measured."""

    ratio: float
    """Sweep over plain forward."""
    plain_seconds: float
    stages: dict[str, float]
    """In plain forwards."""
    tokens_per_second: float
    bytes_per_token: float
    edges_per_token: float
    plain_memory: float
    """GB."""
    memory: float


def measure(
    loaded: LoadedModel, *, length: int, project: str = "none", pairs: int = PAIRS
) -> Measured:
    """Measure one batch of prompts of a length."""
    settings: Any = Settings(project=project)
    ids, prompts = prompts_of(
        loaded, tokens=BATCH_TOKENS, length=length, settings=settings
    )
    found: dict[str, Any] = {}
    # Written to memory where there is such a place: the disk is not what is measured.
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:

        def sweep(clock: Clock) -> None:
            tables = analyse.analyse(loaded, prompts, settings, TokenText(None))
            with clock.counting("writing"):
                for name, rows in tables.items():
                    file = Path(folder) / f"{name}.parquet"
                    file.write_bytes(to_parquet(TABLES[name], rows))
            found.update(tables)

        def plain() -> None:
            with torch.inference_mode():
                loaded.module(input_ids=ids, use_cache=False)

        with Clock() as clock:
            sweep(clock)  # compiles
            plain_memory, memory = peak(plain), peak(lambda: sweep(clock))
            clock.seconds.clear()
            times = [
                (seconds(lambda: sweep(clock)), seconds(plain)) for _ in range(pairs)
            ]
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    total = sum(t for t, _ in times)
    stages = {stage: ratio * t / total for stage, t in clock.seconds.items()}
    stages[CAPTURE] = ratio - sum(stages.values())
    return Measured(
        ratio=ratio,
        plain_seconds=theirs,
        stages=stages,
        tokens_per_second=ids.numel() / ours,
        bytes_per_token=size / ids.numel(),
        edges_per_token=len(found["edges"]) / ids.numel(),
        plain_memory=plain_memory,
        memory=memory,
    )


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak(work: Callable[[], object]) -> float:
    """GB that a call needs at most; NaN where the system does not say."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)  # give kept memory back
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = _status("VmRSS")
        work()
        return (_status("VmHWM") - before) / GB
    except (OSError, AttributeError):
        work()
        return float("nan")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(s.split()[1]) * 1024 for s in lines if s.startswith(name))


def cases() -> Iterator[tuple[str, Callable[[], Measured]]]:
    """What `make bench` measures: names, and what measures them."""
    small, loaded = lru_cache(1)(gpt2_small), lru_cache(1)(load_model)
    llama = lru_cache(1)(llama_1b)
    for peaked, what in ((False, "random"), (True, "peaked")):
        for project in ("none", "routes"):
            yield (
                f"GPT-2 small, {what}, T 128, {project}",
                lambda s=peaked, p=project: measure(
                    small(peaked=s), length=128, project=p
                ),
            )
    for length in (32, 512, 1024):
        yield (
            f"GPT-2 small, peaked, T {length}, none",
            lambda n=length: measure(small(), length=n),
        )
    for layers in (3, 6, 24):
        yield (
            f"GPT-2 small, {layers} layers, peaked, T 128, none",
            lambda n=layers: measure(small(layers=n), length=128),
        )
    for length in (32, 128, 512, 1024):
        yield (
            f"Llama 1B, 2 layers, T {length}, none",
            lambda n=length: measure(llama(), length=n, pairs=3),
        )
    for name in ("tiny-gpt2", "tiny-llama"):
        yield f"{name}, T 64, none", lambda n=name: measure(loaded(n), length=64)


def report() -> Table:
    """An empty table of measurements."""
    table = Table(title="in plain forward passes, unless a unit is given")
    for column in ("model, prompts", "all", *stage_names()):
        table.add_column(column, overflow="fold")
    for column in ("tokens/s", "B/token", "edges/token", "GB plain", "GB sweep"):
        table.add_column(column)
    return table


def stage_names() -> list[str]:
    return list(dict.fromkeys([CAPTURE, *STAGES.values()]))


def row(name: str, found: Measured) -> list[str]:
    return [
        name,
        f"{found.ratio:.2f}",
        *(f"{found.stages.get(stage, 0):.2f}" for stage in stage_names()),
        f"{found.tokens_per_second:,.0f}",
        f"{found.bytes_per_token:,.0f}",
        f"{found.edges_per_token:,.0f}",
        f"{found.plain_memory:.2f}",
        f"{found.memory:.2f}",
    ]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", default="", help="cases whose name has this in it")
    options.add_argument("--markdown", action="store_true")
    asked = options.parse_args()
    logging.set_verbosity_error()
    keep_freed_memory()  # as a sweep does; the plain pass gains as well
    table = report()
    lines = [[str(column.header) for column in table.columns]]
    lines.append(["---"] * len(table.columns))
    for name, work in cases():
        if asked.only not in name:
            continue
        found = work()
        table.add_row(*row(name, found))
        lines.append(row(name, found))
        print(name, f"{found.ratio:.2f}", flush=True)
    if asked.markdown:
        print("\n".join(f"| {' | '.join(line)} |" for line in lines))
    else:
        Console(width=200).print(table)
    print(f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
