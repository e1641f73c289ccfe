"""Untrusted SQL: anybody may type anything.

Four layers, each for what the one before lets through:

1. The **guard** (guard.py) judges the parsed query before it runs: one statement that
   reads the store's tables; nothing that writes, reads files or settings, or runs SQL
   from a text. It goes by DuckDB's words, so a later DuckDB may know one that it does
   not.
2. A **child process** (sandbox_child.py), with neither the caller's environment nor its
   open files. The kernel keeps it from all files but the store's data, to read, and a
   temporary folder, and from TCP (Landlock), and bounds its memory. Whatever DuckDB
   does, the store stays as it was. It may use its processors for as long as it lives.
3. A **locked DuckDB** in it: no file but the store's data, no extension, no setting to
   change, bounds on memory, threads, temporary files and time. It stops most queries in
   time with a clear message, but it is no sandbox: it writes where it may read, and a
   function such as repeat() allocates past its bounds.
4. A **hard kill** when the time is over: levenshtein() does not look at the clock.

The query is parsed in the child, for a text can keep a parser busy for minutes, and
judged here. Where a system lacks a layer, `missing_layers` says so.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from threading import Lock, Timer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .errors import StoreError
from .files import Files
from .layout import store_files
from .sandbox_limits import LimitReached, Limits
from .sandbox_process import Ended, SandboxProcess
from .sandbox_session import Session
from .shown import ARROW
from .snapshot import Snapshot, take_snapshot

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LimitReached", "Limits", "Rows", "Sandbox", "open_sandbox", "sandbox_of"]

_GRACE = 1.0
"""Seconds that DuckDB has to stop by itself when time is over."""


@dataclass(frozen=True)
class Rows:
    """The first rows of an answer, and how many more there are."""

    table: "pa.Table"
    more: int
    exact: bool
    """Whether there are just so many more; else more than that."""


class Sandbox:
    """A series of untrusted queries, one at a time; `with` ends it.

    A query that is stopped costs the child that ran it; the next one gets another.

    >>> with open_store("runs/").sandbox(seconds=5) as sandbox:  # doctest: +SKIP
    ...     sandbox.query("select * from edges", limit=40).table
    """

    def __init__(
        self,
        root: Path | str,
        snapshot: Callable[[], Snapshot],
        limits: Limits,
        *,
        before: Callable[[Collection[str]], None] = lambda tables: None,
        process: SandboxProcess | None = None,
    ) -> None:
        """`root` is the folder that is read: the store, or copies of its files.

        Its folders `runs` and `models` must be there when the sandbox is made. `before`
        is called with the tables that a query reads, before it does. `process` is one
        that has been started ahead.
        """
        if "://" in str(root):
            raise StoreError(f"{root} is no folder: copy the store to one for this")
        self._root = root
        self._snapshot = snapshot
        self._limits = limits
        self._before = before
        self._free = Lock()
        self._closed = False
        self._session: Session | None = None
        self._watch: Timer | None = None
        try:
            self._start(process or SandboxProcess())
        except Ended as ended:
            raise self._died(ended) from None

    def query(
        self, sql: str, *, limit: int | None = None, kept: Collection[str] = ARROW
    ) -> Rows:
        """All rows of a query, or the first ones and how many more there are.

        Those behind the limit are counted up to a million. Types that are not `kept`
        come as text.
        """
        import pyarrow as pa

        *tables, end = self._run(sql, kept, limit)
        return Rows(pa.concat_tables(tables), end["more"], end["exact"])

    def stream(
        self, sql: str, *, kept: Collection[str] = ARROW
    ) -> "pa.RecordBatchReader":
        """All rows as they come, whatever their number; the sandbox is busy until then.

        The time limit holds for reading them too.
        """
        import pyarrow as pa

        parts = self._run(sql, kept, None)
        first = next(parts)
        batches = (
            batch
            for part in chain([first], parts)
            if isinstance(part, pa.Table)
            for batch in part.to_batches()
        )
        return pa.RecordBatchReader.from_batches(first.schema, batches)

    @property
    def missing_layers(self) -> tuple[str, ...]:
        """What this system cannot hold back, one line each; usually nothing."""
        with self._turn() as session:
            return session.missing_layers()

    def close(self) -> None:
        """End the child, and with it a query that another thread waits for."""
        self._closed = True
        self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, sql: str, kept: Collection[str], limit: int | None) -> Iterator[Any]:
        with self._turn() as session:
            yield from session.run(sql, kept=kept, limit=limit, before=self._bring)

    def _bring(self, tables: Collection[str]) -> None:
        """Have ready what a query reads; that is not its own time."""
        self._unwatch()
        self._before(tables)
        self._watched()

    def _watched(self) -> None:
        """From here on the child has its time, and is killed when that is over."""
        if self._session is None:  # another thread has closed it meanwhile
            raise StoreError("the sandbox was closed")
        process = self._session.process
        self._watch = Timer(self._limits.seconds + _GRACE, process.stop_late)
        self._watch.daemon = True
        self._watch.start()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()

    @contextmanager
    def _turn(self) -> Iterator[Session]:
        """A child for one query; it is ended unless it answered to the end."""
        if not self._free.acquire(blocking=False):
            raise StoreError("a sandbox is asked one query at a time: open another")
        try:
            session = self._current()
            session.missing_layers()
            self._watched()
            try:
                yield session
            finally:
                self._unwatch()
        except Ended as ended:
            raise self._died(ended) from None
        finally:
            session_now = self._session
            if session_now and (session_now.process.busy or session_now.is_over):
                self._drop()
            self._free.release()

    def _current(self) -> Session:
        """A session that shows what the store shows now."""
        if self._closed:
            raise StoreError("the sandbox was closed")
        session = self._session
        if (
            session is not None
            and session.process.is_there
            and session.snapshot is self._snapshot()
        ):
            return session
        self._drop()
        return self._start(SandboxProcess())

    def _start(self, process: SandboxProcess) -> Session:
        self._session = Session(process, self._root, self._snapshot(), self._limits)
        return self._session

    def _drop(self) -> None:
        if self._session is not None:
            self._session.process.end()
        self._session = None

    def _died(self, ended: Ended) -> StoreError:
        """Why there is no answer."""
        if self._session is not None and self._session.process.late:
            return self._limits.too_long()
        if self._closed:
            return StoreError("the sandbox was closed")
        return StoreError(f"the process of the query ended ({ended}) with no answer")


def sandbox_of(
    files: Files,
    snapshot: Callable[[], Snapshot],
    limits: Limits,
    process: SandboxProcess | None = None,
) -> Sandbox:
    """A sandbox over a store; one on an object store is read from local copies."""
    root = files.where("")
    if "://" not in root:
        return Sandbox(root, snapshot, limits, process=process)
    from .local_copy import LocalCopy
    from .remote import RemoteFiles

    assert isinstance(files, RemoteFiles)
    copy = LocalCopy(files, snapshot)
    return Sandbox(copy.root, snapshot, limits, before=copy.bring, process=process)


def open_sandbox(path: Path | str, limits: Limits) -> Sandbox:
    """A sandbox over a store that is not opened by itself, which takes less time."""
    with ExitStack() as opening:
        process = opening.enter_context(SandboxProcess())  # starts meanwhile
        files = store_files(path)
        snapshot = take_snapshot(files, known=Snapshot())
        sandbox = sandbox_of(files, lambda: snapshot, limits, process)
        opening.pop_all()
    return sandbox
