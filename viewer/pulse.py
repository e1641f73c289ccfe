"""Sees what is committed while people look: for all readers together, in threads of its
own, so that a slow store holds up nobody.

Nobody waits here. A reader's session calls `beat` about every second; whoever calls
when a look at the store is due has it begun, and all see what it found at a later beat.
While nobody calls, nothing is read.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from threading import BoundedSemaphore, Lock
from types import TracebackType
from typing import Any, Self, TypeVar

import pyarrow as pa

from flowglass.store.errors import StoreError
from flowglass.store.queries import worst_closure
from flowglass.store.snapshot import RunState
from flowglass.store.store import Store
from flowglass.store.throughput import Observer, Progress, Quiet, pace, progress

from .stores import Stores

BUSY = 5.0
"""Seconds between two looks while a run is at work."""

IDLE = 30.0
"""And while none is: a new sweep shows within this time."""

ABANDONED = 600.0
"""A run to which no shard has come for so many seconds is not at work."""

REST = 4.0
"""A look that takes long is followed by a rest that is so many times as long."""

SEATS = 4
"""How many readers' SQL queries run at once; others wait."""

REMEMBERED = 16
"""How many runs' activation frequencies are kept."""

MOST_KEPT = 1000
"""Other answers about runs, all of them small."""

Key = tuple[str, float]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Frequency:
    """Activation frequencies of a run as of some of its shards."""

    of: tuple[int, int]
    """Which shards, as `shards_of` tells."""
    run: Progress
    """How far the run was."""
    table: pa.Table
    trouble: str
    """Why there are none; empty if there are."""


class Pulse:
    """A store that stays fresh while somebody looks; `with` ends its threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.n_changes = 0
        self.seats = BoundedSemaphore(SEATS)
        self.trouble = ""
        """Why the last look failed; empty if it did not."""
        self.closures: Mapping[str, float] = {}
        """The worst closure of each run, as of the last look."""
        self._observer = Observer()
        self._observer.look(store.snapshot, now=time.time())
        self._known: dict[Key, Frequency] = {}
        self._kept: dict[tuple[str, str], tuple[tuple[int, int], Any]] = {}
        self._lock = Lock()
        self._looking = Lock()
        self._jobs: dict[str, Future[None]] = {}
        self._due: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="pulse")

    @property
    def runs(self) -> Mapping[str, Progress]:
        """How far every run is, oldest first."""
        return self._observer.runs

    def beat(self) -> int:
        """How many times something has changed; has the store looked at if that is due.

        Raises what went wrong in a look, if that was no StoreError.
        """
        self._start("look", lambda: self._look(self.store.refresh))
        return self.n_changes

    def ask(self) -> None:
        """Have the store looked at by the next beat, whenever it was last."""
        self._due["look"] = 0.0

    def look_now(self, *, live_only: bool) -> None:
        """Look in this thread: somebody knows that something has been stored."""
        if isinstance(self.store, Stores) and live_only:
            self._look(self.store.refresh_live)
        else:
            self._look(self.store.refresh)

    def frequency(self, run_id: str, tau: float) -> Frequency | None:
        """A run's activation frequencies as last counted; None before the first time.

        Has them counted anew if shards have come.
        """
        known = self._known.get((run_id, tau))
        state = self.store.snapshot.runs.get(run_id)
        if state and (known is None or known.of != shards_of(state)):
            self._start("count", lambda: self._count(run_id, tau))
        return known

    def kept(self, what: str, run_id: str, ask: Callable[[], T]) -> T:
        """The answer to a question about a run, which all sessions have: asked again
        only if shards have come since."""
        state = self.store.snapshot.runs.get(run_id)
        # First: if shards come while it is asked, it is asked again.
        of = shards_of(state) if state else (-1, -1)
        with self._lock:
            known = self._kept.get((what, run_id))
        if known is not None and known[0] == of:
            answer: T = known[1]
            return answer
        answer = ask()
        with self._lock:
            self._kept[what, run_id] = (of, answer)
            while len(self._kept) > MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return answer

    def _start(self, what: str, job: Callable[[], None]) -> None:
        with self._lock:
            before = self._jobs.get(what)
            if before is not None:
                if not before.done():
                    return
                del self._jobs[what]
                before.result()
            if time.monotonic() >= self._due.get(what, 0.0):
                self._jobs[what] = self._pool.submit(self._timed, what, job)

    def _timed(self, what: str, job: Callable[[], None]) -> None:
        began = time.monotonic()
        self._due[what] = began + (IDLE if what == "look" else 0.0)
        try:
            job()
        finally:
            took = time.monotonic() - began
            least = self._interval() if what == "look" else 0.0
            self._due[what] = time.monotonic() + max(least, REST * took)

    def _interval(self) -> float:
        now = time.time()
        return BUSY if any(_at_work(run, now) for run in self.runs.values()) else IDLE

    def _look(self, refresh: Callable[[], bool]) -> None:
        with self._looking:
            try:
                changed, trouble = refresh(), ""
            except StoreError as error:  # a network that is gone for a minute, mostly
                changed, trouble = False, str(error)
            self._observer.look(self.store.snapshot, now=time.time())
            closures = self._closures()
            if changed or trouble != self.trouble or closures != self.closures:
                self.trouble, self.closures = trouble, closures
                self.n_changes += 1

    def _closures(self) -> dict[str, float]:
        """Without the runs that cannot be read: their own pages say why."""
        found = {}
        for run_id in list(self.store.snapshot.runs):
            ask = partial(worst_closure, self.store, run_id)
            with suppress(StoreError):
                if (closure := self.kept("closure", run_id, ask)) is not None:
                    found[run_id] = closure
        return found

    def _count(self, run_id: str, tau: float) -> None:
        # First: if shards come while it is counted, it is counted again.
        state = self.store.snapshot.runs[run_id]
        run = progress(state, before=None, looked=-inf, now=time.time())
        of = shards_of(state)
        try:
            table = self.store.activation_frequency(run_id, tau=tau)
            found = Frequency(of, run, table, "")
        except StoreError as error:
            found = Frequency(of, run, pa.table({}), str(error))
        self._known[run_id, tau] = found
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()


def shards_of(state: RunState) -> tuple[int, int]:
    """Tells which shards are committed: the log only grows, and between two entries
    the shards do."""
    return len(state.committed.log), len(state.committed.shards)


def _at_work(run: Progress, now: float) -> bool:
    at = pace(run, now=now)
    given_up = isinstance(at, Quiet) and at.seconds > ABANDONED
    return run.status == "partial" and not given_up
