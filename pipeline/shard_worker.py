"""What one process of a sweep holds open, and the one way a shard is done, anywhere.

In the process of the command, in a process beside it or on another machine of a
cluster: the prompts of a shard come in, its rows are committed to the store from here,
and a small record of what was done goes back.
"""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from threading import Event, RLock
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from flowglass.datasets.prompt import Prompt
from flowglass.store.plan import Plan
from flowglass.store.run import RunWriter
from flowglass.store.suspects import Trail

from .corpus import Shard, Tokeniser
from .errors import ModelError
from .hub import PLAIN, Origin
from .loading import load_tokenizer
from .memory import keep_freed_memory
from .model import LoadedModel, load_model
from .progress import Reporter, Silent
from .run_shard import DeviceLost, ShardRows, run_shard
from .settings import Settings
from .text import TokenText


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """Which model, and how it is to be loaded."""

    model: str | PreTrainedModel
    dtype: str = "auto"
    device: str = "auto"
    origin: Origin = PLAIN
    tokenizer: PreTrainedTokenizerBase | None = field(default=None, compare=False)
    """If it is not the model's own. Each copy that a worker is sent is another object,
    and no reason to load the model again."""

    def load(self) -> LoadedModel:
        """The model; see `load_model` for what is raised."""
        return load_model(
            self.model, dtype=self.dtype, device=self.device, origin=self.origin
        )

    def load_tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer; ModelError if there is none."""
        if self.tokenizer is not None:
            return self.tokenizer
        if not isinstance(self.model, str):
            raise ModelError("a loaded module needs tokenizer=...")
        return load_tokenizer(self.model, origin=self.origin)


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """A run that shards are to be done of."""

    model: ModelRequest
    settings: Settings
    store: str | Path
    plan: Plan


@dataclass(frozen=True)
class Task:
    """A shard that is to be done, with its prompts."""

    shard: Shard
    prompts: Sequence[tuple[int, str, Prompt]]


@dataclass(frozen=True)
class Done:
    """What became of a shard."""

    shard: int
    n_prompts: int
    n_tokens: int
    n_quarantined: int
    n_splits: int
    n_bytes: int
    """Written; 0 where another writer had committed the shard."""
    seconds: float
    """Of computing."""
    worker: str
    example: dict[str, Any] | None
    """A row of `quarantine`, if there is one."""


class ShardWorker:
    """One model and one run, open for shards. Several threads may call `do`: one shard
    is computed at a time, and others are written meanwhile."""

    def __init__(
        self,
        loaded: LoadedModel,
        tokeniser: Tokeniser,
        writer: RunWriter,
        *,
        threads: int | None = None,
    ) -> None:
        """`threads` for PyTorch and the kernels; None leaves them as they are."""
        if loaded.model_hash != writer.plan.model_hash:
            raise ModelError(
                f"{gethostname()} has another model {loaded.name!r} than the one that "
                f"the run {writer.plan.run_id!r} was planned with: give all workers "
                f"the same files"
            )
        keep_freed_memory()
        self.token_text = tokeniser.token_text
        self._loaded = loaded
        self._tokeniser = tokeniser
        self._writer = writer
        self._halted = Event()
        self._lost: DeviceLost | None = None
        # PyTorch keeps threads for every thread that computes, and settings of its own.
        self._compute = ThreadPoolExecutor(
            1,
            thread_name_prefix="compute",
            initializer=use_threads,
            initargs=(threads,),
        )

    def halt(self) -> None:
        """Begin no shard any more; those in work are finished."""
        self._halted.set()

    def do(self, task: Task, report: Reporter | None = None) -> Done | None:
        """Do a shard and commit it; None if it was not begun."""
        computing = self._compute.submit(self._computed, task, report or Silent())
        computed = computing.result()
        if computed is None:
            return None
        rows, trail, seconds = computed
        try:
            done = self._written(task.shard, rows, seconds)
        except BaseException:
            trail.end()
            raise
        trail.forget()
        return done

    def close(self) -> None:
        """Let go of the threads."""
        self._compute.shutdown()

    def _computed(
        self, task: Task, report: Reporter
    ) -> tuple[ShardRows, Trail, float] | None:
        if self._lost is not None:  # it would count as a death of this shard too
            raise DeviceLost(str(self._lost))
        if self._halted.is_set():
            return None
        trail = self._writer.attempt(task.shard.index)
        began = time.monotonic()
        try:
            rows = run_shard(self._loaded, self._tokeniser, task.prompts, trail, report)
        except DeviceLost as error:  # as good as a death: the trail stays
            self._lost = error
            raise
        except BaseException:
            trail.end()
            raise
        return rows, trail, time.monotonic() - began

    def _written(self, shard: Shard, rows: ShardRows, seconds: float) -> Done:
        quarantine = rows.tables["quarantine"]
        prompts = rows.tables["prompts"]
        counts = {
            "n_prompts": prompts.num_rows,
            "n_tokens": sum(prompts["n_tokens"].to_pylist()),
            "n_quarantined": quarantine.num_rows,
            "n_splits": rows.n_splits,
        }
        worker = f"{gethostname()}:{os.getpid()}"
        n_bytes = self._writer.commit(
            shard.index,
            rows.tables,
            prompt_ids=shard.prompt_ids,
            info={**counts, "seconds": seconds, "worker": worker},
        )
        return Done(
            shard=shard.index,
            **counts,
            n_bytes=n_bytes,
            seconds=seconds,
            worker=worker,
            example=next(iter(quarantine.slice(0, 1).to_pylist()), None),
        )


class Workbench:
    """What a process keeps between shards and between runs: the last model, the last
    run. Threads may share it."""

    def __init__(self, *, threads: int | None = None) -> None:
        self._threads = threads
        self._lock = RLock()
        self._model: tuple[ModelRequest, LoadedModel] | None = None
        self._run: tuple[RunRequest, ShardWorker] | None = None

    def loaded(self, request: ModelRequest) -> LoadedModel:
        """The model that is asked for; another one is let go first."""
        with self._lock:
            if self._model is None or self._model[0] != request:
                self._model = None
                self._close_run()
                self._model = (request, request.load())
            return self._model[1]

    def worker(self, request: RunRequest) -> ShardWorker:
        """For the shards of this run, which somebody has created."""
        with self._lock:
            if self._run is None or self._run[0] != request:
                loaded = self.loaded(request.model)
                self._close_run()
                tokeniser = tokeniser_of(
                    request.model, request.settings, loaded.anatomy.context
                )
                writer = RunWriter.join(request.store, request.plan)
                worker = ShardWorker(loaded, tokeniser, writer, threads=self._threads)
                self._run = (request, worker)
            return self._run[1]

    def _close_run(self) -> None:
        if self._run is not None:
            self._run[1].close()
            self._run = None


def tokeniser_of(
    request: ModelRequest, settings: Settings, context: int | None
) -> Tokeniser:
    """The tokeniser of a run."""
    tokenizer = request.load_tokenizer()
    return Tokeniser(tokenizer, TokenText(tokenizer), settings, context)


def use_threads(threads: int | None) -> None:
    """Let this thread compute with so many."""
    if threads is not None:
        torch.set_num_threads(threads)
