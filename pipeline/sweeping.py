"""The main job: run a model over prompts and store everything.

1. Load the prompts, the tokenizer and the model; plan the shards. What cannot be done
   is said here, before anything runs.
2. Every shard that is not committed yet: tokenise, batch, analyse, commit.
3. What the model's neurons mean by themselves, if the store does not have it.

The same command continues an interrupted sweep; another configuration is another run.
"""

import json
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowglass.store.run import RunWriter

from .analyse import analyse, roll_up
from .batch import make_batches
from .corpus import Shard, Tokeniser
from .errors import PipelineError
from .job import Job, plan_job
from .memory import keep_freed_memory
from .model import LoadedModel
from .neuron_vocab import store_neuron_vocab
from .progress import Reporter, Silent
from .settings import Precision, Project, Tensors
from .text import Bos

QUARANTINE_SHARE = 0.01
QUARANTINE_FEWEST = 10


@dataclass(frozen=True)
class Run:
    """What a sweep did; the store has the rest."""

    run_id: str
    store: str | Path
    status: str
    """complete: every shard is stored."""
    n_prompts: int
    """Stored, whenever that was."""
    n_tokens: int
    n_quarantined: int
    seconds: float
    """Of this call."""


class TooManyFailed(PipelineError):
    """The sweep stopped itself: the model is not decomposed rightly."""


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
    reporter: Reporter | None = None,
) -> Run:
    """Run `model` over every prompt of `data` and store the rows under `store`.

    Options are those of `flowglass sweep`. What is stored already is not run again.
    Raises PlanError, ModelError, DatasetError or StoreError for what a user can mend.
    """
    job = plan_job(locals())
    return execute(job, RunWriter(store, job.plan), reporter or Silent())


def execute(
    job: Job, writer: RunWriter, report: Reporter, *, neuron_vocab: bool = True
) -> Run:
    """Run and commit every shard that is not committed yet."""
    keep_freed_memory()
    corpus = job.corpus
    started = time.monotonic()
    writer.resume()
    committed = writer.committed()
    todo = [shard for shard in job.shards if shard.index not in committed]
    waiting = sum(shard.n_prompts for shard in todo)
    report.begin(writer.plan.run_id, total=len(corpus), done=len(corpus) - waiting)
    # A shard is written while the next one is computed; a stop waits for the writing.
    with ThreadPoolExecutor(1, thread_name_prefix="writer") as background:
        writing: Future[None] | None = None
        for shard in todo:
            began = time.monotonic()
            prompts = corpus.of(shard.prompt_ids)
            tables = run_shard(job.loaded, job.tokeniser, prompts, report)
            seconds = time.monotonic() - began
            if writing is not None:
                writing.result()
            writing = background.submit(store_shard, writer, shard, tables, seconds)
        if writing is not None:
            writing.result()
    if neuron_vocab and job.settings.neurons:
        store_neuron_vocab(job.loaded, writer.store, job.tokeniser.token_text, report)
    totals = writer.totals()
    return Run(
        run_id=writer.plan.run_id,
        store=writer.store,
        status="complete",
        n_prompts=totals["n_prompts"],
        n_tokens=totals["n_tokens"],
        n_quarantined=totals["n_quarantined"],
        seconds=time.monotonic() - started,
    )


def run_shard(
    loaded: LoadedModel,
    tokeniser: Tokeniser,
    prompts: Sequence[tuple[int, str, Any]],
    report: Reporter,
) -> dict[str, pa.Table]:
    """All rows of one shard: a pure function of its prompts and the settings."""
    settings = tokeniser.settings
    parts: dict[str, list[pa.Table]] = {}
    for batch in make_batches(tokeniser(prompts), settings.batch_tokens):
        tables = analyse(loaded, batch, settings, tokeniser.token_text)
        for name, table in tables.items():
            parts.setdefault(name, []).append(table)
        report.advance(
            len(batch),
            tokens=sum(len(prompt) for prompt in batch),
            quarantined=tables["quarantine"].num_rows,
        )
    merged = {name: pa.concat_tables(some) for name, some in parts.items()}
    return merged | {"component_stats": roll_up(merged, loaded, settings.cutoff)}


def store_shard(
    writer: RunWriter, shard: Shard, tables: dict[str, pa.Table], seconds: float
) -> None:
    """Commit a shard; raises TooManyFailed where it is hopeless to go on."""
    n_quarantined = tables["quarantine"].num_rows
    writer.commit(
        shard.index,
        tables,
        prompt_ids=shard.prompt_ids,
        info={
            "n_prompts": shard.n_prompts - n_quarantined,
            "n_tokens": shard.n_tokens,
            "n_quarantined": n_quarantined,
            "seconds": seconds,
        },
    )
    _stop_if_hopeless(writer, tables)


def _stop_if_hopeless(writer: RunWriter, tables: dict[str, pa.Table]) -> None:
    """Stop once more than 1% and at least ten prompts did not close."""
    totals = writer.totals()
    bad, seen = totals["n_quarantined"], totals["n_prompts"] + totals["n_quarantined"]
    if bad < QUARANTINE_FEWEST or bad <= QUARANTINE_SHARE * seen:
        return
    worst = tables["quarantine"].slice(0, 1).to_pylist()
    example = f", for example {json.dumps(worst[0])}" if worst else ""
    reason = f"{bad} of {seen} prompts are quarantined"
    writer.stop(reason)
    raise TooManyFailed(
        f"{reason} in run {writer.plan.run_id}: this model is not decomposed rightly"
        f"{example}"
    )
