"""What a worker of a Dask cluster keeps, and what it does when a task comes.

A task carries the prompts of a shard to a worker, which has loaded the model when its
first task came, commits the rows to the store itself and sends back a small record.
"""

import os
import signal
from importlib.metadata import version

from distributed import Scheduler, Worker, WorkerPlugin, get_worker

from flowglass.store.layout import FORMAT, files_at

from .model_facts import ModelFacts, facts_of
from .neuron_vocab import store_neuron_vocab
from .progress import Silent
from .quiet import silence_libraries
from .run_shard import DeviceLost
from .shard_worker import Done, ModelRequest, RunRequest, Task, Workbench

PLUGIN = "flowglass"


class Bench(WorkerPlugin):
    """What a worker keeps: made anew in every process."""

    name = PLUGIN
    idempotent = True  # another sweep on this cluster goes on with what is loaded

    def __init__(self, threads: int | None) -> None:
        self._threads = threads

    def setup(self, worker: Worker) -> None:
        silence_libraries()
        # Ctrl-C in a terminal reaches all its processes, and is for the first of them.
        if isinstance(worker.nanny, str):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.bench = Workbench(threads=self._threads or worker.state.nthreads)


class Halted(WorkerPlugin):
    """A mark that a worker begins no shard of a sweep any more. As a plugin it is also
    on workers that come later; no other sweep has the id, so nobody takes it away."""

    def __init__(self, sweep_id: str) -> None:
        self.name = halted(sweep_id)


def halted(sweep_id: str) -> str:
    """The name of the mark."""
    return f"{PLUGIN}-halted-{sweep_id}"


def bench_here() -> Bench:
    """What the worker that runs this task keeps."""
    plugin = get_worker().plugins[PLUGIN]
    assert isinstance(plugin, Bench)
    return plugin


def do_shard(sweep_id: str, request: RunRequest, task: Task) -> Done | None:
    """A shard; None if its sweep has been halted."""
    if halted(sweep_id) in get_worker().plugins:
        return None
    try:
        return bench_here().bench.worker(request).do(task)
    except DeviceLost:
        os._exit(1)  # its nanny starts another process, for which the device is new


def model_facts(request: ModelRequest) -> ModelFacts:
    """What this worker says of a model."""
    return facts_of(bench_here().bench.loaded(request))


def neuron_vocab(request: RunRequest) -> None:
    """Store what a model's neurons mean."""
    bench = bench_here().bench
    spell = bench.worker(request).token_text
    store_neuron_vocab(bench.loaded(request.model), request.store, spell, Silent())


def sees(store: str) -> bool:
    """Whether there is a store at this address, for this worker."""
    return files_at(store).exists(FORMAT)


def version_here() -> str:
    """Of flowglass."""
    return version("flowglass")


def shows_dashboard(dask_scheduler: Scheduler) -> bool:
    """Whether this scheduler has one; the address is there in any case."""
    return bool(dask_scheduler.http_application.applications)
