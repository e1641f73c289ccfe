"""Shards on the workers of a Dask cluster.

Few tasks are out at once, whatever the size of the sweep. A worker that dies is
replaced by Dask, and its shard done by another; what that one does differently, see
`run_shard`.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, Future, KilledWorker, as_completed, wait
from distributed.client import ClosedClientError, FuturesCancelledError

from flowglass.store.errors import StoreError

from .cluster_worker import Halted, do_shard, model_facts, neuron_vocab, sees
from .elsewhere import model_elsewhere, run_elsewhere, store_elsewhere
from .errors import ClusterError
from .model_facts import ModelFacts
from .neuron_vocab import layers_left
from .progress import Reporter
from .shard_worker import Done, ModelRequest, RunRequest, Task

MOST_TRIES = 4
"""How often a shard is handed out again that Dask has given up. It does so by default
after four deaths, which need not be the shard's fault."""


class ClusterEngine:
    """The workers of a cluster."""

    def __init__(self, client: Client, *, fewest_out: int) -> None:
        """So many tasks are out at once, or two for each worker if that is more."""
        self._client = client
        self._fewest_out = fewest_out
        self._sweep_id = uuid4().hex

    def n_workers(self) -> int:
        with answering():
            return int(self._client.scheduler_info(n_workers=0)["n_workers"])

    def facts(self, request: ModelRequest) -> ModelFacts:
        found: ModelFacts = self._call(model_facts, model_elsewhere(request))
        return replace(found, name=str(request.model))

    def check_store(self, store: str | Path) -> None:
        with answering():
            seen = self._client.run(sees, store_elsewhere(store), on_error="return")
        for worker, found in seen.items():
            if isinstance(found, StoreError):
                raise found
            if found is False:
                raise StoreError(
                    f"the worker {worker} does not see {store_elsewhere(store)}: put "
                    f"the store where all workers see it, on a shared disk or an "
                    f"object store"
                )

    def shards(
        self, request: RunRequest, tasks: Iterable[Task], report: Reporter
    ) -> Iterator[Done]:
        request = run_elsewhere(request)
        queue = iter(tasks)
        out: dict[Any, Task] = {}
        tries: dict[int, int] = {}
        running = as_completed(raise_errors=False)

        def hand_out(task: Task) -> None:
            with answering():
                future = self._client.submit(
                    do_shard, self._sweep_id, request, task, pure=False
                )
            out[future.key] = task
            running.add(future)

        def fill() -> None:
            window = max(self._fewest_out, 2 * self.n_workers())
            while len(out) < window and (task := next(queue, None)):
                hand_out(task)

        try:
            fill()
            for future in running:
                task = out.pop(future.key)
                error, done = outcome(future)
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
        plan = request.plan
        if layers_left(request.store, plan.model_hash, plan.n_layers):
            report.say("what the neurons promote and suppress, once per model")
            self._call(neuron_vocab, run_elsewhere(request))

    def halt(self) -> None:
        with suppress(ClusterError), answering():  # who waits for shards is told
            self._client.register_plugin(Halted(self._sweep_id))

    def _call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        with answering():
            future = self._client.submit(work, *arguments, pure=False)
        error, result = outcome(future)
        if isinstance(error, KilledWorker):
            raise ClusterError(
                "the workers die while they load the model, of too little memory "
                "perhaps: start fewer of them"
            ) from error
        if error is not None:
            raise error
        return result


def outcome(future: "Future[Any]") -> tuple[BaseException | None, Any]:
    """Why a task failed, or what it gave, once it is over."""
    with answering():
        wait([future])
        error: BaseException | None = future.exception()
        return error, None if error else future.result()


@contextmanager
def answering() -> Iterator[None]:
    """Say that the scheduler is gone, where that is what went wrong."""
    try:
        yield
    except (CancelledError, ClosedClientError, FuturesCancelledError, OSError) as error:
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
