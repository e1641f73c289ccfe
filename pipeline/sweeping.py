"""The main job: run a model over prompts and store everything.

1. Load the prompts, the tokenizer and the model; plan the shards. What cannot be done
   is said here, before anything runs.
2. With a budget: measure a sample, to say what will fit and to know when to end.
3. Every shard that is not committed yet: tokenise, batch, analyse, commit.
4. What the model's neurons mean by themselves, if the store does not have it.

The same command continues an interrupted sweep; another configuration is another run.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowglass.store.run import RunWriter
from flowglass.store.run_log import RunLog

from .budget import Pace, seconds_of
from .corpus import Order
from .engine import Engine, LocalEngine
from .errors import PlanError
from .execute import execute
from .forecast import SAMPLE_SECONDS, Forecast, forecast
from .job import Job, in_order_of, plan_job
from .progress import Reporter, Silent
from .settings import Precision, Project, Tensors
from .shard_worker import Workbench
from .stopping import Stop
from .text import Bos

SAMPLE_SHARE = 0.05
"""Of a budget that is spent to measure what fits into it, at most."""


@dataclass(frozen=True)
class Run:
    """What a sweep did; the store has the rest."""

    run_id: str
    store: str | Path
    status: Literal["complete", "partial"]
    """partial: the sweep was stopped, or its time was up; the same call goes on."""
    n_prompts: int
    """Stored, whenever that was."""
    n_planned: int
    """All prompts of the run."""
    n_tokens: int
    n_quarantined: int
    seconds: float
    """Of this call."""


def sweep(
    *,
    model: str | PreTrainedModel,
    data: str | Sequence[str],
    store: str | Path,
    run: str | None = None,
    targets: str | int = "last",
    cutoff: float = 0.01,
    precision: Precision = "rounded",
    neurons: int = 16,
    project: Project = "routes",
    top_tokens: int = 10,
    tensors: Tensors = "sparse",
    bos: Bos = "add",
    dtype: str = "auto",
    device: str = "auto",
    batch_tokens: int = 4096,
    limit: int | None = None,
    truncate: bool = False,
    revision: str | None = None,
    adapter: str | None = None,
    trust_remote_code: bool = False,
    tokenizer: PreTrainedTokenizerBase | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    budget: str | None = None,
    reporter: Reporter | None = None,
    stop: Stop | None = None,
) -> Run:
    """Run `model` over every prompt of `data` and store the rows under `store`.

    Options are those of `flowglass sweep`. What is stored already is not run again.
    Raises PlanError, ModelError, DatasetError or StoreError for what a user can mend,
    ClusterError for a cluster that cannot be used.
    """
    options = dict(locals())
    started, seconds = time.monotonic(), budget and seconds_of(budget)
    report = reporter or Silent()
    if not isinstance(model, str) and (workers is not None or scheduler is not None):
        raise PlanError("workers load the model by themselves: give its name or folder")
    with engine_for(workers, scheduler, budget, device=device, report=report) as engine:
        if seconds:  # workers took some of it to start
            left = seconds - (time.monotonic() - started)
            options["budget"] = f"{max(left, 0.001):.3f}s"
        return sweep_on(engine, options, report)


@contextmanager
def engine_for(
    workers: int | None,
    scheduler: str | None,
    budget: str | None,
    *,
    device: str,
    report: Reporter,
) -> Iterator[Engine]:
    """Where these options want shards to be done, until the context ends."""
    if workers is None and scheduler is None:
        yield LocalEngine(Workbench())
        return
    if workers is not None and scheduler is not None:
        raise PlanError("--workers starts a cluster, --scheduler uses one: give one")
    from .cluster import FEWEST_OUT, cluster_at, own_cluster

    if scheduler is not None:
        # What is out is finished, though the time be up.
        fewest_out = FEWEST_OUT if budget is None else 1
        with cluster_at(scheduler, fewest_out=fewest_out, report=report) as there:
            yield there
    else:
        assert workers is not None
        if workers < 1:
            raise PlanError(f"workers {workers}: expected at least 1")
        with own_cluster(workers, device=device, report=report) as own:
            yield own


def sweep_on(engine: Engine, options: dict[str, Any], report: Reporter) -> Run:
    """`sweep` with its options by name, on an engine that is there."""
    started = time.monotonic()
    budget = options["budget"]
    seconds = None if budget is None else seconds_of(budget)
    stop = options["stop"] or Stop()
    order: Order = "given" if seconds is None else "fair"
    job = plan_job(options, engine.facts, order=order)
    writer = RunWriter(options["store"], job.plan, check=engine.check_store)
    job = in_order_of(job, writer.plan)
    pace = Pace(None)
    if seconds is not None:
        measured = _measured(job, writer, engine, seconds)
        once = measured.neuron_vocab_seconds if measured else 0.0
        rate = measured.n_tokens / measured.seconds if measured else None
        left = seconds - (time.monotonic() - started) - once
        pace = Pace(left, rate=rate, n_workers=engine.n_workers)
        if rate:
            _say_what_fits(job, writer, left * rate, report)
    stop.call(engine.halt)  # what is measured before this needs its shards
    with RunLog(writer.store, writer.plan.run_id) as log:
        log.add(f"sweep of {json.dumps(writer.plan.config)}")
        execute(job, writer, engine, report, stop=stop, pace=pace, log=log)
        run = _run_of(writer, seconds=time.monotonic() - started)
        log.add(f"{run.status}: {run.n_prompts} of {run.n_planned} prompts are stored")
    return run


def _measured(
    job: Job, writer: RunWriter, engine: Engine, seconds: float
) -> Forecast | None:
    """What a sweep takes; None where that shows only as it goes, on a cluster, or where
    nothing is left to do."""
    if not isinstance(engine, LocalEngine) or not job.shards_left(writer.committed()):
        return None
    return forecast(job, engine, seconds=min(SAMPLE_SECONDS, SAMPLE_SHARE * seconds))


def _say_what_fits(
    job: Job, writer: RunWriter, n_tokens: float, report: Reporter
) -> None:
    left = sum(shard.n_tokens for shard in job.shards_left(writer.committed()))
    share = min(1.0, max(0.0, n_tokens / left))
    fair = writer.plan.config.get("order") == "fair"
    report.say(
        f"about {share:.0%} of what is left fits into the time that is left"
        + (", a fair sample of all categories at any moment" if fair else "")
    )


def _run_of(writer: RunWriter, *, seconds: float) -> Run:
    totals = writer.totals()
    done = totals["n_prompts"] + totals["n_quarantined"]
    return Run(
        run_id=writer.plan.run_id,
        store=writer.store,
        status="complete" if done == writer.plan.n_prompts else "partial",
        n_prompts=totals["n_prompts"],
        n_planned=writer.plan.n_prompts,
        n_tokens=totals["n_tokens"],
        n_quarantined=totals["n_quarantined"],
        seconds=seconds,
    )
