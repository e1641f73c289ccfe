"""Prompts that readers type: traced one request after the other, for all readers.

Here is the queue; what may be asked is in live_asks.py, and how it is traced in
live_sweep.py.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from .live_asks import Ask, LiveError, Request, Visitor, check
from .live_sweep import Sweeper, message_of, models_offered
from .pulse import Pulse
from .stores import Stores

MAX_WAITING = 8
"""Requests of all sessions together, the one in work not counted."""


class Live:
    """The requests and the one thread that works on them; `with` ends it."""

    def __init__(
        self,
        pulse: Pulse,
        stores: Stores,
        folder: Path,
        *,
        path: str,
        models: Sequence[str] = (),
    ) -> None:
        """`folder` is temporary, and `path` the address of the store that is shown."""
        self.models = models_offered(models)
        self.stores = stores
        self._pulse = pulse
        self._sweeper = Sweeper(folder, path=path)
        self._asks: dict[str, Ask] = {}
        self._lock = Lock()
        self._waiting = 0
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="live")

    def submit(
        self, visitor: Visitor, ask: Ask, *, notify: Callable[[], None]
    ) -> Request:
        """Have an Ask traced; raises LiveError if it is not taken."""
        return self._submit(visitor, Request(check(ask, self.models), notify=notify))

    def save(
        self, visitor: Visitor, run_id: str, *, notify: Callable[[], None]
    ) -> Request:
        """Have a live run stored in the store that is shown."""
        if run_id not in self._asks:
            raise LiveError("This run is gone: trace its prompt again.")
        return self._submit(
            visitor,
            Request(self._asks[run_id], save=True, run_id=run_id, notify=notify),
        )

    def _submit(self, visitor: Visitor, request: Request) -> Request:
        now = time.monotonic()
        with self._lock:
            visitor.check(now)
            if self._waiting > MAX_WAITING:
                raise LiveError(
                    f"{MAX_WAITING} requests are waiting already: try again in a while."
                )
            self._waiting += 1
            visitor.note(request, now)
        working = self._worker.submit(self._run, request)
        working.add_done_callback(lambda done: self._over(request, done))
        return request

    def _over(self, request: Request, done: "Future[None]") -> None:
        """The worker is done with a request, well or not."""
        with self._lock:
            self._waiting -= 1
        if done.cancelled():
            request.error = "The server is being stopped."
        elif (error := done.exception()) is not None:
            request.error = message_of(error)
        request.over = True
        request.tell(request.said)
        request.notify = lambda: None  # what it holds is a whole session

    def _run(self, request: Request) -> None:
        planned = self._sweeper.plan(request)
        self._asks[planned.run_id] = request.ask

        def stored() -> None:
            self._pulse.look_now(live_only=not request.save)
            request.run_id = planned.run_id

        self._sweeper.sweep(planned, request, stored=stored)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sweeper.halt()
        self._worker.shutdown(cancel_futures=True)
