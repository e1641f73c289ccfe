"""DuckDB reading a store's files on an object store, with no extension of DuckDB's.

DuckDB asks a file system of Python's for a file's size and its age each time it opens
it, and threads of one query share a handle: one may seek between another's seek and
read. So sizes are remembered, for data files never change, and every thread has a place
of its own in a file.
"""

from datetime import UTC, datetime
from threading import local
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem

from .errors import StoreError
from .objects import Objects
from .remote import RemoteFiles

if TYPE_CHECKING:
    import duckdb

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
"""When every file was written, as DuckDB is told: it keeps in memory what it has read
of a file that has not changed for a while."""


def register(connection: "duckdb.DuckDBPyConnection", files: RemoteFiles) -> None:
    """Let a connection and its cursors read the store's files by their addresses.

    Once for a connection, before `lock`; it then reads nothing else on object stores.
    """
    connection.register_filesystem(_Reading(files.objects))


class _Reading(AbstractFileSystem):  # type: ignore[misc]
    """What DuckDB calls of a file system."""

    cachable = False

    def __init__(self, objects: Objects) -> None:
        super().__init__()
        self.protocol = objects.url.partition("://")[0]
        self._objects = objects
        self._sizes: dict[str, int] = {}

    def glob(self, path: str, **_: Any) -> list[str]:
        """The file of that name: records name all there is, so nobody looks."""
        return [self._address(_without_globs(path))]

    def size(self, path: str) -> int:
        address = self._address(path)
        if address not in self._sizes:
            size = self._objects.size(self._relative(address))
            if size is None:
                raise FileNotFoundError(f"no file {address}")
            self._sizes[address] = size
        return self._sizes[address]

    def modified(self, path: str) -> datetime:
        return _LONG_AGO

    def open(self, path: str, mode: str = "rb", **_: Any) -> "_Ranges":
        if mode != "rb":
            raise StoreError(f"{path}: a store is only read")
        return _Ranges(self._objects, self._relative(self._address(path)))

    def _address(self, path: str) -> str:
        address = str(self.unstrip_protocol(path))
        if not address.startswith(f"{self._objects.url}/"):
            raise StoreError(f"{path} is no file of the store {self._objects.url}")
        return address

    def _relative(self, address: str) -> str:
        return address.removeprefix(f"{self._objects.url}/")


class _Ranges:
    """A file, of which each read asks the server for as much as it gives."""

    def __init__(self, objects: Objects, path: str) -> None:
        self._objects = objects
        self._path = path
        self._here = local()

    def seek(self, position: int) -> int:
        self._here.position = position
        return position

    def tell(self) -> int:
        return int(getattr(self._here, "position", 0))

    def read(self, count: int) -> bytes:
        start = self.tell()
        data = self._objects.get_range(self._path, start, start + count)
        self._here.position = start + len(data)
        return data

    def close(self) -> None:
        """Nothing is held open."""


def _without_globs(path: str) -> str:
    """The path that `views.by_the_letter` has written so that it is no glob."""
    for letter in "*?[":
        path = path.replace(f"[{letter}]", letter)
    return path
