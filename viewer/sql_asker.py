"""Asks a reader's SQL in a sandbox, beside everything else that the session does.

Each session has a sandbox of its own, begun with its first query: a reader can stop a
query without another's, and waits for no one. What that costs is bounded: a query by
its time and memory, all readers together by seats, and a sandbox that is not asked for
some minutes is ended.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import BoundedSemaphore, Lock, Thread, Timer

from flowglass.store.errors import StoreError
from flowglass.store.sandbox import Rows, Sandbox
from flowglass.store.store import Store

SECONDS = 30.0
MEMORY = "2GB"
MOST_ROWS = 10_000
"""Rows of an answer that are shown; the others are counted."""

IDLE = 300.0
"""Seconds for which a sandbox waits for the next query."""

STEP = 0.05
"""Seconds between two looks whether a query that waits for a seat was given up."""


@dataclass(frozen=True)
class Found:
    """Rows, and what it took to find them."""

    rows: Rows
    seconds: float
    missing_layers: tuple[str, ...]
    """What of a sandbox this system lacks, a line each; usually nothing."""


@dataclass(frozen=True)
class Refused:
    """No rows, and why."""

    message: str


@dataclass(frozen=True)
class Stopped:
    """The reader did not want to wait any longer."""


Answer = Found | Refused | Stopped
Tell = Callable[[Answer], None]


class _Job:
    """A query that was asked, until it is answered."""

    def __init__(self, sql: str, tell: Tell) -> None:
        self.sql = sql
        self.tell = tell
        self.is_stopped = False
        self.is_replaced = False


class Asker:
    """One session's queries, one at a time; not to be used after `close`."""

    def __init__(self, store: Store, seats: BoundedSemaphore) -> None:
        """`seats` are as many queries as may run at once, whoever asks."""
        self._store = store
        self._seats = seats
        self._lock = Lock()  # held for moments: the job, the sandbox and the timer
        self._turn = Lock()  # held while a query runs
        self._job: _Job | None = None
        self._sandbox: Sandbox | None = None
        self._rest: Timer | None = None
        self._missing: tuple[str, ...] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a query runs, or waits to."""
        return self._job is not None

    def ask(self, sql: str, tell: Tell) -> None:
        """Begin with a query; `tell` gets its answer, in another thread.

        A query that still runs is stopped, and its answer is told to nobody.
        """
        self.stop(replaced=True)
        job = _Job(sql, tell)
        with self._lock:
            self._job = job
            self._wake()
        Thread(target=self._work, args=[job], daemon=True).start()

    def stop(self, *, replaced: bool = False) -> None:
        """Give up the query that runs, if one does."""
        with self._lock:
            job, sandbox = self._job, self._sandbox
            if job is None:
                return
            job.is_stopped, job.is_replaced = True, replaced
            self._job = self._sandbox = None
        if sandbox is not None:
            sandbox.close()

    def close(self) -> None:
        """The session is over."""
        self.stop(replaced=True)
        with self._lock:
            self._wake()
        self._end_sandbox()

    def _work(self, job: _Job) -> None:
        answer: Answer = Refused("this failed, and should not: the server's log has it")
        try:
            with self._turn:
                answer = self._answered(job)
        finally:
            with self._lock:
                if self._job is job:
                    self._job = None
                    self._sleep()
            if not job.is_replaced:
                job.tell(answer)

    def _answered(self, job: _Job) -> Answer:
        while not self._seats.acquire(timeout=STEP):
            if job.is_stopped:
                return Stopped()
        try:
            began = time.monotonic()
            sandbox = self._sandbox_for(job)
            if sandbox is None:
                return Stopped()
            if self._missing is None:
                self._missing = sandbox.missing_layers
            rows = sandbox.query(job.sql, limit=MOST_ROWS)
            return Found(rows, time.monotonic() - began, self._missing)
        except StoreError as error:
            return Stopped() if job.is_stopped else Refused(str(error))
        finally:
            self._seats.release()

    def _sandbox_for(self, job: _Job) -> Sandbox | None:
        """The session's sandbox, made if there is none; None if nobody waits."""
        with self._lock:
            if job.is_stopped:
                return None
            if self._sandbox is None:
                self._sandbox = self._store.sandbox(seconds=SECONDS, memory=MEMORY)
            return self._sandbox

    def _sleep(self) -> None:
        self._rest = Timer(IDLE, self._end_sandbox)
        self._rest.daemon = True
        self._rest.start()

    def _wake(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._rest = None

    def _end_sandbox(self) -> None:
        with self._lock:
            if self._job is not None:
                return
            sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()
