"""Shards on the workers of a Dask cluster, started here or there already.

A task carries the prompts of a shard to a worker, which has loaded the model when its
first task came, commits the rows to the store itself and sends back a small record. Few
tasks are out at once, whatever the size of the sweep. A worker that dies is replaced by
Dask, and its shard done by another; what that one does differently, see `run_shard`.
"""

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any

import dask.config
import torch
from distributed import (
    Client,
    Future,
    KilledWorker,
    Nanny,
    Scheduler,
    SpecCluster,
    Worker,
    WorkerPlugin,
    as_completed,
    get_worker,
    wait,
)
from distributed.client import FuturesCancelledError
from distributed.utils import silence_logging_cmgr

from .errors import ClusterError
from .model_facts import ModelFacts, facts_of
from .neuron_vocab import store_neuron_vocab
from .progress import Reporter
from .quiet import silence_libraries
from .run_shard import DeviceLost
from .shard_worker import Done, ModelRequest, RunRequest, Task, Workbench

PLUGIN = "flowglass"
DASHBOARD = "127.0.0.1:8787"
START_SECONDS = 120.0
"""For the workers of a cluster of our own to appear."""
CONNECT_SECONDS = 10.0
FEWEST_OUT = 16
"""Tasks out at once on a cluster that is there: it may grow when it sees them."""
MOST_TRIES = 4
"""How often a shard is handed out again that Dask has given up. It does so by default
after four deaths, which need not be the shard's fault."""
OWN_CONFIG = {
    "distributed.scheduler.allowed-failures": 10,
    # A worker holds the shard that it does, and no other: only that one is blamed.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.daemon": False,
}


class ClusterEngine:
    """The workers of a cluster."""

    def __init__(self, client: Client, *, window: Callable[[], int]) -> None:
        self._client = client
        self._window = window

    def facts(self, request: ModelRequest) -> ModelFacts:
        found: ModelFacts = self._call(_facts, request)
        return found

    def shards(
        self, request: RunRequest, tasks: Iterable[Task], report: Reporter
    ) -> Iterator[Done]:
        queue = iter(tasks)
        out: dict[Any, Task] = {}
        tries: dict[int, int] = {}
        running = as_completed(raise_errors=False)

        def hand_out(task: Task) -> None:
            future = self._client.submit(_do, request, task, pure=False)
            out[future.key] = task
            running.add(future)

        def fill() -> None:
            while len(out) < self._window() and (task := next(queue, None)):
                hand_out(task)

        try:
            fill()
            for future in running:
                task = out.pop(future.key)
                error = _error_of(future)
                if isinstance(error, KilledWorker):
                    n = tries[task.shard.index] = tries.get(task.shard.index, 0) + 1
                    if n > MOST_TRIES:
                        raise _deadly(task) from error
                    hand_out(task)
                elif error is not None:
                    raise error
                elif (done := future.result()) is not None:
                    report.advance(
                        done.n_prompts + done.n_quarantined,
                        tokens=done.n_tokens,
                        quarantined=done.n_quarantined,
                    )
                    yield done
                future.release()
                fill()
        finally:
            if self._client.status == "running":
                self._client.cancel(list(running.futures), force=True)

    def neuron_vocab(self, request: RunRequest, report: Reporter) -> None:
        report.say("what the neurons promote and suppress, once per model")
        self._call(_neuron_vocab, request)

    def halt(self) -> None:
        self._client.run(_halt, on_error="ignore")

    def _call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        future = self._client.submit(work, *arguments, pure=False)
        error = _error_of(future)
        if isinstance(error, KilledWorker):
            raise ClusterError(
                "the workers die while they load the model, of too little memory "
                "perhaps: start fewer of them"
            ) from error
        if error is not None:
            raise error
        return future.result()


@contextmanager
def own_cluster(
    n_workers: int, *, device: str, report: Reporter, threads: int | None = None
) -> Iterator[ClusterEngine]:
    """So many processes on this machine, until the context ends; on a machine with GPUs
    each has one of them, in turn. The cores are shared out, unless `threads` says how
    many of them each process computes with."""
    n_gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    threads = threads or max(1, n_cores() // n_workers)
    workers = {
        number: {
            "cls": Nanny,
            "options": {
                # Beside the one that computes, for writing while a GPU computes.
                "nthreads": 2 if n_gpus else 1,
                "memory_limit": 0,
                "silence_logs": logging.CRITICAL,
                "env": {"CUDA_VISIBLE_DEVICES": str(number % n_gpus)} if n_gpus else {},
            },
        }
        for number in range(n_workers)
    }
    scheduler = {
        "cls": Scheduler,
        "options": {
            "host": "127.0.0.1",
            "port": 0,
            "dashboard_address": _dashboard_address(),
        },
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(OWN_CONFIG))
        stack.enter_context(_watched_nannies(report))
        cluster = stack.enter_context(
            SpecCluster(
                workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL
            )
        )
        client = stack.enter_context(Client(cluster))
        try:
            client.wait_for_workers(n_workers, timeout=START_SECONDS)
        except TimeoutError as error:
            raise ClusterError(
                f"{n_workers} worker processes did not start within "
                f"{START_SECONDS:.0f} s: start fewer of them"
            ) from error
        _prepare(client, threads, report)
        yield ClusterEngine(client, window=lambda: 2 * n_workers)


@contextmanager
def cluster_at(address: str, *, report: Reporter) -> Iterator[ClusterEngine]:
    """The cluster of a scheduler that is there, such as tcp://10.0.0.1:8786."""
    with ExitStack() as stack:
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL))
        try:
            client = stack.enter_context(Client(address, timeout=CONNECT_SECONDS))
        except (OSError, TimeoutError, ValueError) as error:
            raise ClusterError(
                f"no scheduler answers at {address}: start one with `dask scheduler`, "
                f"and give the address that it shows"
            ) from error
        if not client.scheduler_info()["workers"]:
            report.say(f"{address} has no workers yet; waiting for one")
        client.wait_for_workers(1)
        _prepare(client, None, report)

        def window() -> int:
            return max(FEWEST_OUT, 2 * len(client.scheduler_info()["workers"]))

        yield ClusterEngine(client, window=window)


def _prepare(client: Client, threads: int | None, report: Reporter) -> None:
    """Let every worker, also one that comes later, keep what it needs between tasks."""
    try:
        client.register_plugin(_Plugin(threads), name=PLUGIN)
        there = client.run(_version)
    except ModuleNotFoundError as error:
        raise ClusterError(
            f"the workers have no {error.name!r}: install there what is installed here"
        ) from error
    here = version("flowglass")
    for worker, found in there.items():
        if found != here:
            raise ClusterError(
                f"the worker {worker} has flowglass {found}, here is {here}: install "
                f"the same version"
            )
    n = len(there)
    report.say(
        f"{n} worker{'s' * (n != 1)}; the cluster's dashboard is at "
        f"{client.dashboard_link}"
    )


class _Plugin(WorkerPlugin):
    """What a worker keeps: made anew in every process."""

    name = PLUGIN

    def __init__(self, threads: int | None) -> None:
        self._threads = threads

    def setup(self, worker: Worker) -> None:
        silence_libraries()
        # Ctrl-C in a terminal reaches all its processes, and is for the first of them.
        if isinstance(worker.nanny, str):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.bench = Workbench(threads=self._threads or worker.state.nthreads)
        self.halted = False


def _plugin() -> _Plugin:
    plugin = get_worker().plugins[PLUGIN]
    assert isinstance(plugin, _Plugin)
    return plugin


def _do(request: RunRequest, task: Task) -> Done | None:
    """On a worker: one shard."""
    plugin = _plugin()
    if plugin.halted:
        return None
    try:
        return plugin.bench.worker(request).do(task)
    except DeviceLost:
        os._exit(1)  # its nanny starts another process, for which the device is new


def _facts(request: ModelRequest) -> ModelFacts:
    """On a worker: what it says of a model."""
    return facts_of(_plugin().bench.loaded(request))


def _neuron_vocab(request: RunRequest) -> None:
    """On a worker: what a model's neurons mean."""
    from .progress import Silent

    bench = _plugin().bench
    spell = bench.worker(request).token_text
    store_neuron_vocab(bench.loaded(request.model), request.store, spell, Silent())


def _halt(dask_worker: Worker) -> None:
    plugin = dask_worker.plugins[PLUGIN]
    assert isinstance(plugin, _Plugin)
    plugin.halted = True


def _version() -> str:
    return version("flowglass")


def _error_of(future: "Future[Any]") -> BaseException | None:
    """Why a task failed, once it is over; ClusterError where nobody knows."""
    try:
        wait([future])
        error: BaseException | None = future.exception()
    except (CancelledError, FuturesCancelledError):
        return ClusterError(
            "the scheduler does not answer any more: what is committed is safe; start "
            "it again and run the same command"
        )
    return error


def _deadly(task: Task) -> ClusterError:
    ids = task.shard.prompt_ids
    return ClusterError(
        f"every worker dies that does shard {task.shard.index} (prompts {ids[0]} to "
        f"{ids[-1]}), of too little memory perhaps: start fewer workers, or give "
        f"smaller --batch-tokens"
    )


def n_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _dashboard_address() -> str:
    """Where people look for it; anywhere if that is taken."""
    import socket

    host, port = DASHBOARD.split(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
    return DASHBOARD


@contextmanager
def _watched_nannies(report: Reporter) -> Iterator[None]:
    """Say that a worker died and is replaced; be silent about the rest."""

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said = record.getMessage()
            if "was killed" in said or "exited with" in said:
                report.say(f"{said}; it is replaced")

    told = Told()
    nanny = logging.getLogger("distributed.nanny")
    nanny.addHandler(told)
    try:
        yield
    finally:
        nanny.removeHandler(told)
