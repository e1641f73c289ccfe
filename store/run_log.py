"""A run's log: what happened to it and when, one line each, for people.

    S/runs/run_id=<run_id>/logs/2026-11-24T22-15-03.141592-host-4711.log

Every sweep of a run writes a file of its own. On an object store, where nothing can be
added to a file, it is written anew every half minute.
"""

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from types import TracebackType
from typing import Self

from .errors import StoreError
from .files import LocalFiles
from .layout import files_at, run_folder

WRITE_EVERY_S = 30.0


class RunLog:
    """The log of one sweep; `with` ends it."""

    path: str
    """As people call it."""

    def __init__(self, root: str | Path, run_id: str) -> None:
        self._files = files_at(root)
        folder = f"{run_folder(run_id)}/logs"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
        self._path = f"{folder}/{now}-{gethostname()}-{os.getpid()}.log"
        self.path = self._files.where(self._path)
        self._lines: list[str] = []
        self._written = float("-inf")
        self._files.make_dirs(folder)

    def add(self, what: str) -> None:
        """One line, with the time before it."""
        now = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        line = " ".join(what.splitlines())
        self._lines.append(f"{now.removesuffix('+00:00')} {line}\n")
        if isinstance(self._files, LocalFiles):
            self._files.append(self._path, self._content())
            self._lines.clear()
        elif time.monotonic() - self._written > WRITE_EVERY_S:
            self._write()

    def _write(self) -> None:
        self._files.replace(self._path, self._content())
        self._written = time.monotonic()

    def _content(self) -> bytes:
        return "".join(self._lines).encode(errors="backslashreplace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._end()
            return
        with suppress(StoreError):  # on a full disk, say, it is the first that counts
            self.add(f"ended by {type(error).__name__}: {error}")
            self._end()

    def _end(self) -> None:
        if not isinstance(self._files, LocalFiles):
            self._write()
