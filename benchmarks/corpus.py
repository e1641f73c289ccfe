"""Writes a store of any size without a model, to time questions on (queries.py).

    python benchmarks/corpus.py --edges 1e8 --store .bench/corpus8

A sweep of GPT-2 small with `--project none` over so many prompts, as store/run.py would
have written it: shards of 256 prompts, eight datasets of four categories each, one
after the other. A shard draws its prompts from a pool of made-up ones (synthetic.py),
and copies of one differ in what every layer brings. The same command goes on where it
was stopped.
"""

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from synthetic import LEAST_GAIN, Copies, MadeUp, Shape, make_heads, make_up
from synthetic_rows import shard_rows

from flowglass.pipeline.rows import source_masks
from flowglass.pipeline.settings import SHARD_PROMPTS
from flowglass.store.record import utc_now
from flowglass.store.run import Plan, RunWriter

GPT2_SMALL = Shape()
POOL = 8 * SHARD_PROMPTS
"""Different prompts."""
SAMPLE = 64
"""Of them, to foretell how many prompts give so many edges."""
LONGEST = 128
N_DATASETS, N_CATEGORIES = 8, 4


@dataclass(frozen=True)
class Corpus:
    """How many prompts of which shape."""

    n_prompts: int
    shape: Shape = GPT2_SMALL

    @property
    def n_shards(self) -> int:
        return -(-self.n_prompts // SHARD_PROMPTS)

    def prompt_ids(self, shard: int) -> range:
        first = shard * SHARD_PROMPTS
        return range(first, min(first + SHARD_PROMPTS, self.n_prompts))

    def source(self, prompt_id: int) -> tuple[str, str]:
        """A prompt's dataset and category."""
        dataset = prompt_id * N_DATASETS // self.n_prompts
        return f"data{dataset}", f"kind {prompt_id % N_CATEGORIES}"


def plan_of(corpus: Corpus) -> Plan:
    """The plan that a sweep would have made."""
    shape = corpus.shape
    settings = {"cutoff": 0.01, "project": "none", "targets": "last", "neurons": 16}
    return Plan(
        run_id=f"synthetic-{corpus.n_prompts}",
        model="synthetic",
        model_hash="synthetic",
        architecture="GPT2LMHeadModel",
        block_kind="sequential",
        n_layers=shape.n_layers,
        n_heads=shape.n_heads,
        n_kv_heads=shape.n_heads,
        d_model=shape.d_model,
        d_ffn=shape.d_ffn,
        vocab_size=shape.vocab_size,
        dtype="float32",
        device="cpu",
        datasets=[f"data{i}" for i in range(N_DATASETS)],
        cutoff=0.01,
        config={
            "n_prompts": corpus.n_prompts,
            "identity": {"settings": settings, **asdict(corpus)},
        },
        versions={},
        started_at=utc_now(),
        n_shards=corpus.n_shards,
    )


@lru_cache(1)
def pool(shape: Shape, size: int) -> list[MadeUp]:
    """So many different prompts of 12 to 128 tokens, 64 on average; token ids as rare
    as words are."""
    rng = np.random.default_rng(0)
    heads = make_heads(shape, rng)
    lengths = rng.gamma(8.0, 8.0, size).astype(np.int64).clip(12, LONGEST)
    prompts = []
    for number, length in enumerate(lengths):
        rarity = rng.random(length)
        ids = (shape.vocab_size**rarity - 1).astype(np.int32)
        prompts.append(make_up(shape, heads, kinds_of_keys(ids), ids, [1, number]))
    return prompts


def kinds_of_keys(ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """As `pipeline.rows.source_masks`, for one prompt; one token in nine is a
    delimiter, two are a word."""
    batch = torch.from_numpy(ids.astype(np.int64))[None]
    words = (torch.arange(len(ids)) // 2)[None]
    found: NDArray[np.bool_] = source_masks(batch, words, batch % 9 == 0)[0].numpy()
    return found


@lru_cache(1)
def words(vocab_size: int) -> NDArray[Any]:
    """Every token's text; two of three begin with a space."""
    syllables = [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]
    n = len(syllables)
    texts = []
    for i in range(vocab_size):
        text = syllables[i % n] + (syllables[i // n % n] if i >= n else "")
        texts.append(("" if i % 3 == 0 else " ") + text)
    return np.array(texts, object)


@lru_cache(1)
def writer_of(store: Path, corpus: Corpus) -> RunWriter:
    """This process's writer of the run."""
    return RunWriter(store, plan_of(corpus))


def write_shard(store: Path, corpus: Corpus, shard: int) -> int:
    """Make and commit one shard; its number of edges."""
    ids = corpus.prompt_ids(shard)
    rng = np.random.default_rng([2, shard])
    source = pool(corpus.shape, min(POOL, corpus.n_prompts))
    picked = rng.choice(len(source), len(ids), replace=False)
    gain = rng.uniform(LEAST_GAIN, 1, (corpus.shape.n_layers, len(ids)))
    copies = Copies(
        prompts=[source[i] for i in picked],
        ids=np.array(ids, np.int32),
        shape=corpus.shape,
        gain=gain.astype(np.float32),
        rng=rng,
    )
    tables = shard_rows(
        copies,
        sources=[corpus.source(i) for i in ids],
        words=words(corpus.shape.vocab_size),
    )
    info = {
        "n_prompts": len(ids),
        "n_tokens": int(copies.lengths.sum()),
        "n_quarantined": 0,
    }
    writer_of(store, corpus).commit(shard, tables, prompt_ids=ids, info=info)
    return int(tables["edges"].num_rows)


def write_corpus(store: Path, corpus: Corpus, *, workers: int = 1) -> None:
    """Write every shard that the store does not have yet."""
    committed = RunWriter(store, plan_of(corpus)).committed()
    todo = [i for i in range(corpus.n_shards) if i not in committed]
    began = time.monotonic()
    if workers == 1:
        _report(began, todo, map(write_shard, repeat(store), repeat(corpus), todo))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        found = processes.map(write_shard, repeat(store), repeat(corpus), todo)
        _report(began, todo, found)


def _report(began: float, shards: Sequence[int], edges: Any) -> None:
    total = 0
    for done, (shard, n) in enumerate(zip(shards, edges, strict=True), start=1):
        total += n
        print(
            f"\r{done} of {len(shards)} shards, {total:,} edges, "
            f"{time.monotonic() - began:.0f} s",
            end="" if shard != shards[-1] else "\n",
            flush=True,
        )


def prompts_for(edges: float, shape: Shape) -> int:
    """About how many prompts have so many edges."""
    sample = pool(shape, SAMPLE)
    copies = Copies(
        prompts=sample,
        ids=np.arange(len(sample), dtype=np.int32),
        shape=shape,
        gain=np.full((shape.n_layers, len(sample)), (1 + LEAST_GAIN) / 2, np.float32),
        rng=np.random.default_rng(3),
    )
    rows = shard_rows(
        copies, sources=[("", "")] * len(sample), words=words(shape.vocab_size)
    )
    per_prompt = int(rows["edges"].num_rows) / len(sample)
    return max(1, round(edges / per_prompt))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--edges", type=float, default=1e6, help="rows of `edges`")
    options.add_argument("--store", type=Path, required=True)
    options.add_argument("--workers", type=int, default=os.cpu_count())
    asked = options.parse_args()
    corpus = Corpus(prompts_for(asked.edges, GPT2_SMALL))
    write_corpus(asked.store, corpus, workers=asked.workers)


if __name__ == "__main__":
    main()
