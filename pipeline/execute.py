"""Do what is left of a sweep on some engine, for as long as it may."""

import json
from collections.abc import Iterator

from flowglass.store.run import RunWriter
from flowglass.store.run_log import RunLog

from .budget import Pace
from .engine import Engine
from .errors import PipelineError
from .job import Job
from .progress import Reporter
from .shard_worker import Done, RunRequest, Task
from .stopping import Stop

QUARANTINE_SHARE = 0.01
QUARANTINE_FEWEST = 10


class TooManyFailed(PipelineError):
    """The sweep stopped itself: something is wrong that is not the prompts' fault."""


def execute(
    job: Job,
    writer: RunWriter,
    engine: Engine,
    report: Reporter,
    *,
    stop: Stop,
    pace: Pace,
    log: RunLog,
    neuron_vocab: bool = True,
) -> None:
    """Do what is left, until it is done, a signal came or the time is up."""
    writer.resume()
    left = job.shards_left(writer.committed())
    planned = {shard.index: shard.n_tokens for shard in left}
    waiting = sum(shard.n_prompts for shard in left)
    total = len(job.corpus)
    report.begin(writer.plan.run_id, total=total, done=total - waiting)
    request = RunRequest(
        model=job.request, settings=job.settings, store=writer.store, plan=writer.plan
    )

    def tasks() -> Iterator[Task]:
        for shard in left:
            if stop.asked or not pace.fits(shard.n_tokens):
                return
            yield Task(shard, job.corpus.of(shard.prompt_ids))

    for done in engine.shards(request, tasks(), report):
        # Tokens of quarantined prompts too.
        pace.done(planned[done.shard], worker=done.worker, seconds=done.seconds)
        report.wrote(done.n_bytes)
        log.add(said(done))
        if done.n_quarantined:
            _stop_if_hopeless(writer, done)
    if stop.signal is not None:
        log.add(f"stopped by {stop.signal.name}")
    elif neuron_vocab and job.settings.neurons and not pace.is_over():
        engine.neuron_vocab(request, report)


def said(done: Done) -> str:
    """A shard as the log has it."""
    parts = [
        f"shard {done.shard}: {done.n_prompts} prompts, {done.n_tokens} tokens, "
        f"{done.n_bytes} bytes, {done.seconds:.2f} s, by {done.worker}"
    ]
    if not done.n_bytes:
        parts.append("another sweep had stored it")
    if done.n_splits:
        parts.append(f"memory ran out {done.n_splits} times: batches were halved")
    if done.n_quarantined:
        parts.append(
            f"{done.n_quarantined} in quarantine, such as {json.dumps(done.example)}"
        )
    return "; ".join(parts)


def _stop_if_hopeless(writer: RunWriter, done: Done) -> None:
    """Stop once more than 1% and at least ten prompts could not be processed."""
    totals = writer.totals()
    bad, seen = totals["n_quarantined"], totals["n_prompts"] + totals["n_quarantined"]
    if bad < QUARANTINE_FEWEST or bad <= QUARANTINE_SHARE * seen:
        return
    reason = f"{bad} of {seen} prompts are quarantined"
    writer.stop(reason)
    raise TooManyFailed(
        f"{reason} in run {writer.plan.run_id}, for example "
        f"{json.dumps(done.example)}: see what `flowglass check` says of this model"
    )
