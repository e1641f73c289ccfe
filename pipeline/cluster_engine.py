"""Shards on the workers of a Dask cluster.

Few tasks are out at once, whatever the size of the sweep. A worker that dies is
replaced by Dask, and its shard done by another; what that one does differently, see
`run_shard`.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker, as_completed, wait
from distributed.client import ClosedClientError, FuturesCancelledError
from distributed.comm.core import CommClosedError

from .cluster_worker import do_shard, halt, model_facts, neuron_vocab
from .errors import ClusterError
from .model_facts import ModelFacts
from .progress import Reporter
from .shard_worker import Done, ModelRequest, RunRequest, Task

MOST_TRIES = 4
"""How often a shard is handed out again that Dask has given up. It does so by default
after four deaths, which need not be the shard's fault."""


class ClusterEngine:
    """The workers of a cluster."""

    def __init__(self, client: Client, *, window: Callable[[], int]) -> None:
        self._client = client
        self._window = window
        self._sweep_id = uuid4().hex

    def facts(self, request: ModelRequest) -> ModelFacts:
        found: ModelFacts = self._call(model_facts, request)
        return found

    def shards(
        self, request: RunRequest, tasks: Iterable[Task], report: Reporter
    ) -> Iterator[Done]:
        queue = iter(tasks)
        out: dict[Any, Task] = {}
        tries: dict[int, int] = {}
        running = as_completed(raise_errors=False)

        def hand_out(task: Task) -> None:
            with _answering():
                future = self._client.submit(
                    do_shard, self._sweep_id, request, task, pure=False
                )
            out[future.key] = task
            running.add(future)

        def fill() -> None:
            with _answering():
                window = self._window()
            while len(out) < window and (task := next(queue, None)):
                hand_out(task)

        try:
            fill()
            for future in running:
                task = out.pop(future.key)
                error, done = _outcome(future)
                if isinstance(error, KilledWorker):
                    n = tries[task.shard.index] = tries.get(task.shard.index, 0) + 1
                    if n > MOST_TRIES:
                        raise _deadly(task) from error
                    hand_out(task)
                elif error is not None:
                    raise error
                elif done is not None:
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
        self._call(neuron_vocab, request)

    def halt(self) -> None:
        self._client.run(halt, self._sweep_id, on_error="ignore")

    def _call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        with _answering():
            future = self._client.submit(work, *arguments, pure=False)
        error, result = _outcome(future)
        if isinstance(error, KilledWorker):
            raise ClusterError(
                "the workers die while they load the model, of too little memory "
                "perhaps: start fewer of them"
            ) from error
        if error is not None:
            raise error
        return result


def _outcome(future: "Future[Any]") -> tuple[BaseException | None, Any]:
    """Why a task failed, or what it gave, once it is over."""
    with _answering():
        wait([future])
        error: BaseException | None = future.exception()
        return error, None if error else future.result()


@contextmanager
def _answering() -> Iterator[None]:
    """Say that the scheduler is gone, where that is what went wrong."""
    try:
        yield
    except (
        CancelledError,
        ClosedClientError,
        CommClosedError,
        FuturesCancelledError,
    ) as error:
        raise ClusterError(
            "the scheduler does not answer any more: what is committed is safe; start "
            "it again and run the same command"
        ) from error


def _deadly(task: Task) -> ClusterError:
    ids = task.shard.prompt_ids
    return ClusterError(
        f"every worker dies that does shard {task.shard.index} (prompts {ids[0]} to "
        f"{ids[-1]}), of too little memory perhaps: start fewer workers, or give "
        f"smaller --batch-tokens"
    )
