"""A store's files on an object store, as the commit protocol sees them.

What a disk does by fsync and hard links an object store does by PUTs, which are atomic,
and durable when they are answered. The one thing that must be exclusive, the name of a
record, is a PUT that the server refuses if the name is taken.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from .errors import StoreError
from .objects import Objects, open_objects

_REQUESTS = 16
"""At once: one by one, nearly all time is waiting."""


def remote_files(url: str, **storage_options: Any) -> "RemoteFiles":
    """The files below an address such as s3://bucket/prefix.

    >>> remote_files("s3://sweeps/gpt2").where("FORMAT.json")  # doctest: +SKIP
    's3://sweeps/gpt2/FORMAT.json'
    """
    return RemoteFiles(open_objects(url, **storage_options))


class RemoteFiles:
    """A folder on an object store; threads may share it.

    A file that `fill` fills is not written again: that could bring it back after it was
    collected. Its content goes to its final name by `link`, whole and at once.
    """

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._filled: dict[str, bytes] = {}
        self._undecided: str | None = None

    def make_root(self) -> None:
        """Check that the server refuses a PUT of a name that is taken.

        Some S3-compatible ones overlook the condition, and two writers would both win.
        """
        probe = f".probe-{uuid4().hex[:12]}"
        exclusive = self.objects.put_new(probe, b"1") and not self.objects.put_new(
            probe, b"2"
        )
        self.unlink(probe)
        if not exclusive:
            raise StoreError(
                f"{self.where('')}: the server overwrites a file that must be new (it "
                f"overlooks `If-None-Match: *`), and a shard is committed by one: "
                f"upgrade the server, or put the store elsewhere"
            )

    def make_dirs(self, path: str) -> None:
        """Nothing: a folder is there as soon as something lies in it."""

    def create(self, path: str, data: bytes) -> None:
        if not self.objects.put_new(path, data):
            raise FileExistsError(self.where(path))

    def fill(self, path: str, data: bytes) -> None:
        if not self.exists(path):
            raise self._removed(path)
        self._filled[path] = data

    def fsync(self, path: str) -> None:
        """Nothing: what a PUT wrote was durable when it was answered."""

    def fsync_dir(self, path: str) -> None:
        """Nothing: so was its name."""

    def link(self, source: str, target: str) -> bool:
        try:
            data = self.read(source)
        except FileNotFoundError:
            raise self._removed(target) from None
        if not self.exists(source):
            raise self._removed(target)
        with self._decisive(target):
            won = self.objects.put_new(target, data)
            # Who takes an attempt for dead removes its announcement first, and then
            # looks for its record: at least one of us sees the other.
            collected = won and not self.exists(source)
        if collected:
            self.unlink(target)
            raise self._removed(target)
        return won

    def unlink(self, path: str) -> None:
        if self._undecided is not None:
            raise StoreError(self._undecided)
        self._filled.pop(path, None)
        self.objects.delete(path)

    def unlink_all(self, paths: Iterable[str]) -> None:
        with ThreadPoolExecutor(_REQUESTS) as threads:
            list(threads.map(self.unlink, paths))

    def remove_dir(self, path: str) -> None:
        """Nothing: a folder goes with the last file in it."""

    def replace(self, path: str, data: bytes) -> None:
        self._filled.pop(path, None)
        self.objects.put(path, data)

    def listdir(self, path: str) -> list[str]:
        return self.objects.names(path)

    def below(self, path: str) -> list[str]:
        return self.objects.below(path)

    def read(self, path: str) -> bytes:
        filled = self._filled.get(path)
        return self.objects.get(path) if filled is None else filled

    def read_all(self, paths: Iterable[str]) -> dict[str, bytes]:
        with ThreadPoolExecutor(_REQUESTS) as threads:
            found = threads.map(self._read_if_there, wanted := list(paths))
            pairs = zip(wanted, found, strict=True)
            return {path: data for path, data in pairs if data is not None}

    def exists(self, path: str) -> bool:
        return self.objects.size(path) is not None

    def size(self, path: str) -> int | None:
        size = self.objects.size(path)
        if size is not None and path in self._filled:
            return len(self._filled[path])
        return size

    def age(self, path: str) -> float:
        try:
            written = self.objects.written(path)
        except FileNotFoundError:
            return 0.0
        return (datetime.now(UTC) - written).total_seconds()

    def where(self, path: str) -> str:
        return self.objects.where(path)

    def _read_if_there(self, path: str) -> bytes | None:
        try:
            return self.read(path)
        except FileNotFoundError:
            return None

    @contextmanager
    def _decisive(self, path: str) -> Iterator[None]:
        """Where this fails a record may be there: nothing may be removed any more."""
        try:
            yield
        except StoreError as error:
            self._undecided = (
                f"{error}; whether {path} was committed is not known, so all files "
                f"stay as they are: run the same command again"
            )
            raise StoreError(self._undecided) from error

    def _removed(self, path: str) -> StoreError:
        return StoreError(
            f"cannot write {self.where(path)}: its attempt counted as dead and was "
            f"removed meanwhile; run the same command again"
        )
