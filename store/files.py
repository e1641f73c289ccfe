"""The handful of file operations that a commit is made of.

They are few so that a test can put a simulated disk under the protocol and cut its
power after each of them. Paths are relative to the store, with `/`.
"""

import errno
import os
import time
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from .errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_STAYS = {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}
_BROKEN = {errno.EIO, errno.EBADMSG, errno.EISDIR}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class Unreadable(StoreError):
    """What is there cannot be read now, which says nothing of its content."""


class Broken(StoreError):
    """A disk does not give a file's content back any more."""


class Files(Protocol):
    """A disk, as the commit protocol sees it."""

    def make_root(self) -> None:
        """Make the place of the store itself, durably, or say why it cannot be one."""

    def make_dirs(self, path: str) -> None:
        """Make a folder and those above it; durable once each parent is synced."""

    def create(self, path: str, data: bytes) -> None:
        """Write a file that must be new; promises no durability."""

    def fill(self, path: str, data: bytes) -> None:
        """Write a file that must be there, and empty; promises no durability."""

    def fsync(self, path: str) -> None:
        """Make a file's content durable."""

    def fsync_dir(self, path: str) -> None:
        """Make the names in a folder durable."""

    def link(self, source: str, target: str) -> bool:
        """Give a file a second name, atomically; False if another file has it."""

    def unlink(self, path: str) -> None:
        """Remove a name; fine if it is gone."""

    def unlink_all(self, paths: Iterable[str]) -> None:
        """Remove many names; fine if they are gone."""

    def remove_dir(self, path: str) -> None:
        """Remove an empty folder; fine if it is gone, or not empty."""

    def replace(self, path: str, data: bytes) -> None:
        """Write a file anew, atomically and durably."""

    def listdir(self, path: str) -> list[str]:
        """The names in a folder, none if there is no folder."""

    def below(self, path: str) -> list[str]:
        """The paths of all files in a folder and in those in it."""

    def read(self, path: str) -> bytes:
        """A file's content."""

    def read_all(self, paths: Iterable[str]) -> dict[str, bytes]:
        """The content of many small files; those that are gone are left out."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""

    def size(self, path: str) -> int | None:
        """Bytes of a file; None if it is gone."""

    def age(self, path: str) -> float:
        """Seconds since a file was last written; 0 if it is gone."""

    def where(self, path: str) -> str:
        """How people and DuckDB call a file."""


class LocalFiles:
    """A folder on a disk of this machine, or one mounted as if it were."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def make_root(self) -> None:
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"the store {self.root} is a file: give a folder")
        missing = [p for p in (self.root, *self.root.parents) if not p.exists()]
        with _explained(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            for made in missing:
                _fsync(made.parent)

    def make_dirs(self, path: str) -> None:
        with _explained(self.root / path):
            (self.root / path).mkdir(parents=True, exist_ok=True)

    def create(self, path: str, data: bytes) -> None:
        with _explained(self.root / path), (self.root / path).open("xb") as file:
            file.write(data)

    def fill(self, path: str, data: bytes) -> None:
        with _explained(self.root / path), (self.root / path).open("r+b") as file:
            file.write(data)

    def fsync(self, path: str) -> None:
        with _explained(self.root / path):
            _fsync(self.root / path)

    def fsync_dir(self, path: str) -> None:
        self.fsync(path)

    def link(self, source: str, target: str) -> bool:
        with _explained(self.root / target):  # its age counts from now, not from its
            os.utime(self.root / source)  # writing: a machine may have slept between
        try:
            with _explained(self.root / target, refused=_NO_LINKS):
                os.link(self.root / source, self.root / target)
        except FileExistsError:
            # A network disk may say so of the link it has just made for us.
            try:
                return os.path.samefile(self.root / source, self.root / target)
            except FileNotFoundError:  # a repair has taken it away since
                return self.link(source, target)
        return True

    def unlink(self, path: str) -> None:
        with _explained(self.root / path):
            (self.root / path).unlink(missing_ok=True)

    def unlink_all(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.unlink(path)

    def remove_dir(self, path: str) -> None:
        try:
            (self.root / path).rmdir()
        except OSError as error:
            if error.errno not in _STAYS:
                with _explained(self.root / path):
                    raise

    def replace(self, path: str, data: bytes) -> None:
        draft = f"{path}.{os.getpid()}.new"
        with _explained(self.root / path):
            (self.root / draft).write_bytes(data)
            _fsync(self.root / draft)
            (self.root / draft).replace(self.root / path)
        self.fsync_dir(os.path.dirname(path))

    def append(self, path: str, data: bytes) -> None:
        """Add to a file, or begin it; promises no durability. Only a disk can."""
        with _explained(self.root / path), (self.root / path).open("ab") as file:
            file.write(data)

    def listdir(self, path: str) -> list[str]:
        try:
            with _reading(self.root / path):
                return sorted(os.listdir(self.root / path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def below(self, path: str) -> list[str]:
        with _reading(self.root / path):
            return sorted(
                os.path.relpath(os.path.join(folder, name), self.root)
                for folder, _, names in os.walk(self.root / path, onerror=_unless_gone)
                for name in names
            )

    def read(self, path: str) -> bytes:
        with _reading(self.root / path):
            return (self.root / path).read_bytes()

    def read_all(self, paths: Iterable[str]) -> dict[str, bytes]:
        found = {}
        for path in paths:
            with suppress(FileNotFoundError):
                found[path] = self.read(path)
        return found

    def exists(self, path: str) -> bool:
        with _reading(self.root / path):
            return (self.root / path).exists()

    def size(self, path: str) -> int | None:
        try:
            with _reading(self.root / path):
                return (self.root / path).stat().st_size
        except FileNotFoundError:
            return None

    def where(self, path: str) -> str:
        return str(self.root / path)

    def age(self, path: str) -> float:
        try:
            with _reading(self.root / path):
                return time.time() - (self.root / path).stat().st_mtime
        except FileNotFoundError:
            return 0.0


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path, *, refused: Set[int] = frozenset()) -> Iterator[None]:
    """Say in one line what a user can mend; anything else goes through."""
    try:
        yield
    except FileExistsError:
        raise
    except FileNotFoundError as error:
        raise StoreError(
            f"cannot write {path}: it or its folder was removed meanwhile; run "
            f"the same command again"
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"the disk is full at {path}: everything committed is safe; free some "
                f"space and run the same command again"
            ) from error
        if error.errno in refused:
            raise StoreError(
                f"the file system at {path} makes no hard links ({error.strerror}) "
                f"and a shard is committed by one: put the store on another disk"
            ) from error
        if error.errno in _FORBIDDEN:
            raise StoreError(
                f"cannot write {path} ({error.strerror}): give a store that you may "
                f"write to"
            ) from error
        raise


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say in one line why something cannot be read; what is missing goes through."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        said = f"cannot read {error.filename or path} ({error.strerror})"
        if error.errno in _BROKEN:
            raise Broken(f"{said}: see whether the disk fails") from error
        if error.errno in _FORBIDDEN:
            said += ": ask its owner to let you read the store"
        raise Unreadable(said) from error


def _unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
