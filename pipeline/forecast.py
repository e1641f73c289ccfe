"""What a sweep will cost, from a sample of it: time, peak memory, bytes by table.

1. The largest batch of the plan runs alone: its time says how many tokens fit into the
   sample, and its memory is the sweep's peak, but for the rows of a whole shard.
2. The beginnings of a few shards are swept into a store that is thrown away: the same
   code as the sweep's, so that reading, writing and short batches are in the figures.
3. Every beginning is swept once more at half its length. That tells what a file costs
   by itself from what it costs by the token, and a batch from its tokens: beginnings
   have smaller batches than whole shards.
"""

import resource
import sys
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from flowglass.store.parquet import to_parquet
from flowglass.store.run import RunWriter
from flowglass.store.run_log import RunLog
from flowglass.store.schema import TABLES

from .analyse import analyse
from .batch import make_batches
from .budget import Pace
from .corpus import Shard
from .engine import LocalEngine
from .execute import execute
from .job import Job
from .layer import FfnWeights
from .memory import keep_freed_memory
from .model import LoadedModel
from .neuron_vocab import neuron_vocab_rows
from .neurons import neuron_names
from .progress import Silent
from .prompts import TokenisedPrompt
from .rows import as_table
from .stopping import Stop

SAMPLE_SECONDS = 20.0
SAMPLED_SHARDS = 4
SAMPLED_NEURONS = 128


@dataclass(frozen=True)
class Forecast:
    """What a whole sweep is expected to take, if nothing of it is stored yet."""

    n_prompts: int
    n_tokens: int
    seconds: float
    """Of the prompts."""
    neuron_vocab_seconds: float
    """Of what is done once per model."""
    peak_memory: int
    """Bytes: the device's if it is no CPU, else the process's."""
    table_bytes: Mapping[str, int]
    sampled_tokens: int

    @property
    def total_seconds(self) -> float:
        return self.seconds + self.neuron_vocab_seconds


def forecast(
    job: Job, engine: LocalEngine, *, seconds: float = SAMPLE_SECONDS
) -> Forecast:
    """Measure about `seconds` of the job's work, and scale it up."""
    keep_freed_memory()  # as the sweep does
    batch = _largest_batch(job)
    settings, spell = job.settings, job.tokeniser.token_text
    loaded = engine.loaded(job.request)
    analyse(loaded, batch[:1], settings, spell)  # what is compiled is compiled now
    started = time.monotonic()
    tables = analyse(loaded, batch, settings, spell)
    rate = sum(map(len, batch)) / (time.monotonic() - started)
    row_bytes = sum(table.nbytes for table in tables.values()) / sum(map(len, batch))

    n_tokens = sum(shard.n_tokens for shard in job.shards)
    beginnings = _sample(job, tokens=min(rate * seconds, n_tokens / 2))
    shards = beginnings.shards
    with TemporaryDirectory(prefix="flowglass-forecast-") as folder:
        started = time.monotonic()
        sample = replace(
            job, shards=shards, plan=replace(job.plan, n_shards=len(shards))
        )
        writer = RunWriter(folder, sample.plan)
        with RunLog(folder, sample.plan.run_id) as log:
            execute(
                sample,
                writer,
                engine,
                Silent(),
                stop=Stop(),
                pace=Pace(None),
                log=log,
                neuron_vocab=False,
            )
        took = time.monotonic() - started
        each = [writer.infos()[shard.index]["seconds"] for shard in shards]
        sizes = _bytes_by_table(Path(folder))
    neurons_took, neurons_bytes = _neuron_vocab(job, loaded)
    return Forecast(
        n_prompts=len(job.corpus),
        n_tokens=n_tokens,
        # Writing is overlapped, but for the last shard's.
        seconds=beginnings.scaled(each, n_tokens) + max(0.0, took - sum(each)),
        neuron_vocab_seconds=neurons_took,
        peak_memory=_peak_of_sweep(job, loaded.device, beginnings, row_bytes),
        table_bytes={
            name: _scaled(of_shard, shards, n_tokens, len(job.shards))
            for name, of_shard in sizes.items()
        }
        | neurons_bytes,
        sampled_tokens=sum(shard.n_tokens for shard in shards),
    )


def peak_memory(device: torch.device) -> int:
    """The most bytes in use so far: on the device, or by this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _largest_batch(job: Job) -> list[TokenisedPrompt]:
    def places(batch: Sequence[TokenisedPrompt]) -> int:
        return len(batch) * max(map(len, batch)) ** 2

    fullest = max(job.shards, key=lambda shard: shard.n_tokens)
    prompts = job.tokeniser(job.corpus.of(fullest.prompt_ids))
    return max(make_batches(prompts, job.settings.batch_tokens), key=places)


@dataclass(frozen=True)
class Sample:
    """Beginnings of shards spread over the plan: at even places the whole beginning,
    behind it the first half of it."""

    shards: list[Shard]
    batches: list[int]
    """Of each of them."""
    batches_per_token: float
    """In the whole shards that they are the beginnings of."""

    def scaled(self, seconds: Sequence[float], n_tokens: int) -> float:
        """Seconds of all tokens: so much a batch, and so much a token."""
        tokens = np.array([shard.n_tokens for shard in self.shards])
        costs = np.stack([np.array(self.batches), tokens], 1)
        (of_batch, of_token), *_ = np.linalg.lstsq(costs, np.array(seconds))
        if of_batch < 0 or of_token < 0:
            of_batch, of_token = 0.0, sum(seconds) / tokens.sum()
        return float(of_batch * self.batches_per_token + of_token) * n_tokens


def _sample(job: Job, *, tokens: float) -> Sample:
    """Beginnings with about so many tokens in all."""
    n = min(SAMPLED_SHARDS, len(job.shards))
    found: list[Shard] = []
    batches: list[int] = []
    n_tokens = n_batches = 0

    def batches_of(prompts: Sequence[TokenisedPrompt]) -> int:
        return len(make_batches(prompts, job.settings.batch_tokens))

    for shard in (job.shards[i * len(job.shards) // n] for i in range(n)):
        prompts = job.tokeniser(job.corpus.of(shard.prompt_ids))
        n_tokens, n_batches = n_tokens + shard.n_tokens, n_batches + batches_of(prompts)
        whole = _first(shard, prompts, tokens / n / 1.5, index=len(found))
        half = _first(shard, prompts, whole.n_tokens / 2, index=len(found) + 1)
        found += [whole, half]
        batches += [batches_of(prompts[: s.n_prompts]) for s in (whole, half)]
    return Sample(found, batches, n_batches / n_tokens)


def _peak_of_sweep(
    job: Job, device: torch.device, sample: Sample, row_bytes: float
) -> int:
    """The peak of this process so far, and the rows that the fullest shard has more
    than the fullest of the sample: those being made, those being written, and a sorted
    copy. On another device there are no rows."""
    peak = peak_memory(device)
    if device.type != "cpu":
        return peak
    fullest, sampled = (
        max(shard.n_tokens for shard in shards)
        for shards in (job.shards, sample.shards)
    )
    return peak + round(3 * row_bytes * max(0, fullest - sampled))


def _first(
    shard: Shard, prompts: Sequence[TokenisedPrompt], tokens: float, *, index: int
) -> Shard:
    """As many of the shard's first prompts as have the tokens, but at least one."""
    ends = list(accumulate(map(len, prompts)))
    n = max(1, bisect_right(ends, tokens))
    return Shard(index, shard.prompt_ids[:n], ends[n - 1])


def _bytes_by_table(folder: Path) -> dict[str, Counter[int]]:
    """The size of every table of every shard."""
    sizes: dict[str, Counter[int]] = defaultdict(Counter)
    for file in folder.glob("runs/*/data/*/shard=*/*.parquet"):
        shard = int(file.parent.name.removeprefix("shard="))
        sizes[file.parent.parent.name][shard] += file.stat().st_size
    return sizes


def _scaled(
    sizes: Mapping[int, int], shards: Sequence[Shard], n_tokens: int, n_shards: int
) -> int:
    """Bytes of a table in the whole sweep: so much a shard, and so much a token."""
    pairs = list(zip(shards[::2], shards[1::2], strict=True))
    tokens = sum(whole.n_tokens - half.n_tokens for whole, half in pairs)
    more = sum(
        sizes.get(whole.index, 0) - sizes.get(half.index, 0) for whole, half in pairs
    )
    wholes = sum(sizes.get(whole.index, 0) for whole, _ in pairs)
    of_token = more / tokens if tokens else 0.0
    of_shard = wholes - of_token * sum(whole.n_tokens for whole, _ in pairs)
    return round(of_token * n_tokens + max(0.0, of_shard) / len(pairs) * n_shards)


def _neuron_vocab(job: Job, loaded: LoadedModel) -> tuple[float, dict[str, int]]:
    """Seconds and bytes of `neuron_vocab`, from a few neurons of the first layer."""
    if not job.settings.neurons:
        return 0.0, {}
    weights = loaded.weights[0].ffn
    if not weights.banks:
        return 0.0, {}
    some = weights.banks[0].of(0)[:SAMPLED_NEURONS]
    names = neuron_names(np.arange(len(some)), weights)
    started = time.monotonic()
    text = job.tokeniser.token_text
    parts = list(neuron_vocab_rows(loaded.readout, some, names, 0, text))
    rows = as_table("neuron_vocab", parts)
    times = sum(n_neurons(own.ffn) for own in loaded.weights) / len(some)
    took = (time.monotonic() - started) * times
    size = len(to_parquet(TABLES["neuron_vocab"], rows))
    return took, {"neuron_vocab": round(size * times)}


def n_neurons(ffn: FfnWeights) -> int:
    """All neurons of a layer, of all experts."""
    return sum(b.w_down.shape[0] * b.w_down.shape[1] for b in ffn.banks)
