"""What `flowglass sweep --dry-run` says: the forecast, and what fits a budget.

Everything is measured in this process, whatever workers the sweep will have.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from flowglass.datasets.errors import DatasetError
from flowglass.store.info import size_said

from .budget import duration_said, seconds_of
from .engine import LocalEngine
from .errors import PipelineError
from .forecast import Forecast, forecast
from .job import Job, plan_job
from .run_shard import DeviceLost
from .shard_worker import Workbench
from .sweep_file import SweepFile
from .sweep_runs import all_options, named

CHEAPER: tuple[dict[str, Any], ...] = (
    {"project": "none"},
    {"project": "none", "neurons": 0},
)
"""Settings that are tried where a sweep does not fit, dearest first."""


def say_costs(
    engine: LocalEngine,
    options: Mapping[str, Any],
    limit: float | None,
    console: Console,
) -> Forecast:
    """Print what the sweep with these options would take, and what of it fits into so
    many seconds."""
    job = plan_job(options, engine.facts)
    with Console(stderr=True).status("measuring a sample"):
        found = forecast(job, engine)
    print_forecast(found, console)
    if limit is not None:
        print_fitting(job, engine, found, limit, console)
    return found


def say_costs_of_file(asked: SweepFile, budget: str | None, console: Console) -> bool:
    """Print what every run of a sweep file would take. With a budget, given here or in
    the file, each run has an equal part of what those before it leave. False if one of
    the runs cannot be done."""
    budget = budget or asked.budget
    left = seconds_of(budget) if budget else None
    engine, n_runs = LocalEngine(Workbench()), len(asked.runs)
    needed, n_failed = 0.0, 0
    for n, options in enumerate(asked.runs):
        part = None if left is None else left / (n_runs - n)
        console.print(
            f"\n{n + 1} of {n_runs}: {named(options)}", highlight=False, soft_wrap=True
        )
        try:
            found = say_costs(engine, all_options(options), part, console)
        except DeviceLost:  # the others could not be measured either
            raise
        except (DatasetError, PipelineError) as error:
            console.print(
                f"cannot be done: {error}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
            n_failed += 1
            continue
        needed += found.total_seconds
        if left is not None and part is not None:
            left -= min(part, found.total_seconds)
    bad = f"; {n_failed} of them cannot be done" if n_failed else ""
    console.print(f"\nall {n_runs} runs: {duration_said(needed)}{bad}", highlight=False)
    return not n_failed


def print_forecast(found: Forecast, console: Console) -> None:
    """The forecast as a table of sizes and four lines."""
    sizes = Table("table", "size", "bytes a token", box=box.SIMPLE_HEAD)
    sizes.columns[1].justify = sizes.columns[2].justify = "right"
    for name, size in sorted(found.table_bytes.items(), key=lambda item: -item[1]):
        each = f"{size / found.n_tokens:.0f}"
        sizes.add_row(name, size_said(size), each if name != "neuron_vocab" else "")
    console.print(sizes)
    rate, once = found.n_tokens / found.seconds, found.neuron_vocab_seconds
    for line in (
        f"{found.n_prompts:,} prompts, {found.n_tokens:,} tokens; measured on "
        f"{found.sampled_tokens:,}",
        f"time    {duration_said(found.total_seconds)} at {rate:,.0f} tokens/s"
        + (f", {duration_said(once)} of it once per model" if once > 1 else ""),
        f"memory  {size_said(found.peak_memory)}",
        f"disk    {size_said(sum(found.table_bytes.values()))}",
    ):
        console.print(line, highlight=False)


def print_fitting(
    job: Job, engine: LocalEngine, asked: Forecast, budget: float, console: Console
) -> None:
    """Whether the job fits, and if not, what would."""
    fits = asked.total_seconds <= budget
    limit = duration_said(budget)
    console.print(f"fits into {limit}" if fits else f"too long for {limit}; these fit:")
    if not fits:
        for option in list(fitting(job, engine, asked, budget)) or [
            "nothing that was tried"
        ]:
            console.print(f"  {option}", highlight=False)


def fitting(
    job: Job, engine: LocalEngine, asked: Forecast, budget: float
) -> Iterator[str]:
    """Options that bring the job under the budget, with what they mean."""
    for change in CHEAPER:
        settings = replace(job.settings, **change)
        cheaper = replace(job, tokeniser=replace(job.tokeniser, settings=settings))
        found = forecast(cheaper, engine)
        if found.total_seconds <= budget:
            flags = " ".join(f"--{name} {value}" for name, value in change.items())
            yield f"{flags}  ({duration_said(found.total_seconds)})"
    left = budget - asked.neuron_vocab_seconds
    prompts = int(asked.n_prompts * left / asked.seconds)
    if limit := limit_for([len(d.prompts) for d in job.corpus.datasets], prompts):
        yield f"--limit {limit}  (prompts of each source)"


def limit_for(sizes: list[int], prompts: int) -> int:
    """The highest limit of each source that leaves at most so many prompts in all.

    >>> limit_for([100, 20, 50], 90), limit_for([100], 0)
    (35, 0)
    """
    low, high = 0, max(sizes)
    while low < high:
        middle = (low + high + 1) // 2
        fits = sum(min(size, middle) for size in sizes) <= prompts
        low, high = (middle, high) if fits else (low, middle - 1)
    return low
