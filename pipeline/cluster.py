"""Dask clusters: one that is started on this machine, or one that is there."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version

import dask.config
import torch
from distributed import Client, Nanny, Scheduler, SpecCluster
from distributed.utils import silence_logging_cmgr

from .cluster_engine import ClusterEngine, answering, outcome
from .cluster_worker import PLUGIN, Bench, shows_dashboard, version_here
from .errors import ClusterError
from .hub import first_line
from .progress import Reporter

DASHBOARD = "127.0.0.1:8787"
START_SECONDS = 120.0
"""For the workers of a cluster of our own to appear."""
CONNECT_SECONDS = 10.0
FEWEST_OUT = 16
"""Tasks out at once on a cluster that is there: it may grow when it sees them."""
OWN_CONFIG = {
    "distributed.scheduler.allowed-failures": 10,
    # A worker holds the shard that it does, and no other: only that one is blamed.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.daemon": False,
}


@contextmanager
def own_cluster(
    n_workers: int, *, device: str, report: Reporter, threads: int | None = None
) -> Iterator[ClusterEngine]:
    """So many processes on this machine, until the context ends; on a machine with GPUs
    each has one of them, in turn. The cores are shared out, unless `threads` says how
    many of them each process computes with."""
    gpus = visible_gpus() if device in ("auto", "cuda") else []
    threads = threads or max(1, n_cores() // n_workers)
    workers = {
        number: {
            "cls": Nanny,
            "options": {
                # Beside the one that computes, for writing while a GPU computes.
                "nthreads": 2 if gpus else 1,
                "memory_limit": 0,
                "silence_logs": logging.CRITICAL,
                "env": {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]}
                if gpus
                else {},
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
        cluster = stack.enter_context(
            SpecCluster(
                workers=workers, scheduler=scheduler, silence_logs=logging.CRITICAL
            )
        )
        client = stack.enter_context(Client(cluster))
        stack.enter_context(_watched_nannies(report))  # ends before they are closed
        try:
            client.wait_for_workers(n_workers, timeout=START_SECONDS)
        except TimeoutError as error:
            raise ClusterError(
                f"{n_workers} worker processes did not start within "
                f"{START_SECONDS:.0f} s: start fewer of them"
            ) from error
        _prepare(client, threads, report)
        yield ClusterEngine(client, fewest_out=2 * n_workers)


@contextmanager
def cluster_at(
    address: str, *, report: Reporter, fewest_out: int = FEWEST_OUT
) -> Iterator[ClusterEngine]:
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
        with answering():
            if not client.scheduler_info(n_workers=0)["n_workers"]:
                report.say(
                    f"{address} has no workers yet; waiting for one: `dask worker "
                    f"{address}` starts it, if the cluster does not grow by itself"
                )
            # A cluster that grows with its work has none before there is some.
            first = client.submit(os.getpid, pure=False)
        failed, _ = outcome(first)
        if failed is not None:
            raise _unusable(failed) from failed
        _prepare(client, None, report)
        yield ClusterEngine(client, fewest_out=fewest_out)


def _prepare(client: Client, threads: int | None, report: Reporter) -> None:
    """Let every worker, also one that comes later, keep what it needs between tasks."""
    try:
        client.register_plugin(Bench(threads), name=PLUGIN)
        there = client.run(version_here)
        has_dashboard = client.run_on_scheduler(shows_dashboard)
    except Exception as error:  # Dask wraps what it meets at the other end in many ways
        raise _unusable(error) from error
    here = version("flowglass")
    for worker, found in there.items():
        if found != here:
            raise ClusterError(
                f"the worker {worker} has flowglass {found}, here is {here}: install "
                f"the same version"
            )
    n = len(there)
    dashboard = (
        f"the cluster's dashboard is at {client.dashboard_link}"
        if has_dashboard
        else "the cluster has no dashboard"
    )
    report.say(f"{n} worker{'s' * (n != 1)}; {dashboard}")


def _unusable(error: BaseException) -> ClusterError:
    return ClusterError(
        f"the scheduler or a worker cannot run flowglass ({first_line(error)}): "
        f"install there what is installed here, and see that its memory limit leaves "
        f"room for it"
    )


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    n = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return (
        [name.strip() for name in named[:n]] if named[0] else list(map(str, range(n)))
    )


def n_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _dashboard_address() -> str:
    """Where people look for it; anywhere if that is taken."""
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
