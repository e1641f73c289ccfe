"""Where the shards of a sweep are done: in this process, or on a cluster's workers."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from .model import LoadedModel
from .model_facts import ModelFacts, facts_of
from .neuron_vocab import store_neuron_vocab
from .progress import Reporter
from .shard_worker import Done, ModelRequest, RunRequest, ShardWorker, Task, Workbench


class Engine(Protocol):
    """Does shards, several at once."""

    def n_workers(self) -> int:
        """How many processes compute at this moment."""

    def facts(self, request: ModelRequest) -> ModelFacts:
        """Load a model where it will be run, and say what a plan says of it."""

    def check_store(self, store: str | Path) -> None:
        """Raise StoreError if a process that computes does not see this store."""

    def shards(
        self, request: RunRequest, tasks: Iterable[Task], report: Reporter
    ) -> Iterator[Done]:
        """Do the tasks, taking few in advance, and give each as it is committed."""

    def neuron_vocab(self, request: RunRequest, report: Reporter) -> None:
        """What the model's neurons mean, if the store does not have it."""

    def halt(self) -> None:
        """Begin no shard any more; those in work are finished. Any thread may call."""


class LocalEngine:
    """This process: one shard is computed while another is written."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._worker: ShardWorker | None = None
        self._halted = False

    def n_workers(self) -> int:
        return 1

    def loaded(self, request: ModelRequest) -> LoadedModel:
        """The model, which this process has."""
        return self._bench.loaded(request)

    def facts(self, request: ModelRequest) -> ModelFacts:
        return facts_of(self.loaded(request))

    def check_store(self, store: str | Path) -> None:
        pass  # this process has made it

    def shards(
        self, request: RunRequest, tasks: Iterable[Task], report: Reporter
    ) -> Iterator[Done]:
        worker = self._worker = self._bench.worker(request)
        if self._halted:
            worker.halt()
        running: deque[Future[Done | None]] = deque()
        with ThreadPoolExecutor(2, thread_name_prefix="shard") as pool:
            try:
                for task in tasks:
                    if len(running) == 2:
                        yield from _some(running.popleft().result())
                    running.append(pool.submit(worker.do, task, report))
                while running:
                    yield from _some(running.popleft().result())
            except BaseException:
                worker.halt()
                raise

    def neuron_vocab(self, request: RunRequest, report: Reporter) -> None:
        loaded = self._bench.loaded(request.model)
        spell = self._bench.worker(request).token_text
        store_neuron_vocab(loaded, request.store, spell, report)

    def halt(self) -> None:
        self._halted = True
        if self._worker is not None:
            self._worker.halt()


def _some(done: Done | None) -> list[Done]:
    return [] if done is None else [done]
