"""All runs of a sweep file, one after the other, where they can be done."""

import time
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from flowglass.datasets.errors import DatasetError

from .budget import seconds_of
from .errors import ClusterError, PipelineError
from .progress import Reporter, Silent
from .run_shard import DeviceLost
from .stopping import Stop
from .sweep_file import Options, read_sweep_file
from .sweeping import Run, engine_for, sweep, sweep_on


@dataclass(frozen=True)
class Failed:
    """A run of a sweep file that could not be done."""

    options: Options
    reason: str


def sweep_file(
    file: str | Path,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    budget: str | None = None,
    reporter: Reporter | None = None,
    stop: Stop | None = None,
) -> tuple[Run | Failed, ...]:
    """Do every run that the TOML file asks for, and go on with those interrupted.

    What is given here counts for what the file says. A budget is for all runs together:
    each has an equal part of what is left of it. A run that cannot be done is skipped
    and told; what would stop the others as well, like a full disk, is raised.
    """
    asked = read_sweep_file(file)
    report, stop = reporter or Silent(), stop or Stop()
    if scheduler is None and workers is None:
        scheduler, workers = asked.scheduler, asked.workers
    budget = budget or asked.budget
    found: list[Run | Failed] = []
    end = time.monotonic() + (seconds_of(budget) if budget else 0)
    with engine_for(workers, scheduler, budget, device="auto", report=report) as engine:
        for n, options in enumerate(asked.runs):
            if stop.asked:
                break
            left = (end - time.monotonic()) / (len(asked.runs) - n)
            part = f"{max(left, 1):.0f}s" if budget else None
            every = {**all_options(options), "store": asked.store, "stop": stop}
            report.say(f"{n + 1} of {len(asked.runs)}: {named(options)}")
            try:
                found.append(sweep_on(engine, every | {"budget": part}, report))
            except (ClusterError, DeviceLost):  # the others could not be done either
                raise
            except (DatasetError, PipelineError) as error:
                report.say(f"not done: {error}")
                found.append(Failed(options, str(error)))
    return tuple(found)


def all_options(options: Options) -> dict[str, Any]:
    """A run's options with the defaults of `sweep` for those that it does not name."""
    parameters = signature(sweep).parameters.items()
    return {name: p.default for name, p in parameters} | dict(options)


def named(options: Options) -> str:
    """A run of a sweep file, for people.

    >>> named({"model": "tiny-gpt2", "data": ("ioi", "facts"), "cutoff": 0.02})
    'tiny-gpt2 on ioi + facts, cutoff 0.02'
    """
    rest = {n: v for n, v in options.items() if n not in ("model", "data")}
    more = "".join(f", {name} {value}" for name, value in rest.items())
    return f"{options['model']} on {' + '.join(options['data'])}{more}"
