"""Copies of a remote store's data files on this machine.

For readers who may not touch the network: what a question needs is fetched first. Data
files never change and no two have the same name, so a copy is right for good. Any
number of processes may share a cache: a copy appears whole, by being renamed.
"""

import hashlib
import os
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TypeVar
from uuid import uuid4

from .errors import StoreError
from .record import DataFile
from .remote import RemoteFiles

LATELY = 900.0
"""Seconds after its last use for which a copy stays, whatever the limit: another
process may be about to read it."""

_THREADS = 8
_CHUNK = 8 * 2**20
_NONE: Mapping[str, DataFile] = MappingProxyType({})
_Result = TypeVar("_Result")


def cache_folder(url: str) -> Path:
    """Where the copies of a store's files are unless said: in the user's cache."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]
    return Path(caches) / "flowglass" / name


def fetch(
    files: RemoteFiles,
    paths: Iterable[str],
    cache: Path,
    *,
    limit_bytes: int,
    described: Mapping[str, DataFile] = _NONE,
) -> None:
    """Have copies of these files below `cache`, under the names they have in the store.

    `described` is what records say of them, by path: new copies are then compared with
    their checksums, and the server is not asked for sizes. Where the limit would be
    passed, the copies used least recently go, but none that is wanted now.
    """
    copies = {path: _copy_of(files, path, cache) for path in paths}

    def size_of(path: str) -> int:
        if path in described:
            return described[path].bytes
        size = files.size(path)
        if size is None:
            raise _gone(files, path)
        return size

    def download(path: str) -> None:
        crc32 = described[path].crc32 if path in described else None
        _download(files, path, copies[path], sizes[path], crc32)

    sizes = dict(zip(copies, _side_by_side(size_of, copies), strict=True))
    try:
        missing = [path for path in copies if not _used(copies[path], sizes[path])]
        if missing:
            _make_room(cache, set(copies.values()), sum(sizes.values()), limit_bytes)
            _side_by_side(download, missing)
    except OSError as error:
        raise StoreError(
            f"cannot keep copies of {files.where('')} in {cache} ({error}): free some "
            f"space there, or set XDG_CACHE_HOME to another folder"
        ) from error


def _copy_of(files: RemoteFiles, path: str, cache: Path) -> Path:
    """Where the copy of a file is; a record may be forged to name one elsewhere."""
    named = PurePosixPath(path)
    if named.is_absolute() or ".." in named.parts:
        raise StoreError(
            f"{files.where('')} names a file outside itself, {path!r}: do not trust it"
        )
    return cache / named


def _used(copy: Path, size: int) -> bool:
    """Whether there is a whole copy; if so, note that it is used now."""
    try:
        whole = copy.stat().st_size == size  # it may be cut by a power failure
        if whole:
            os.utime(copy)
        return whole
    except FileNotFoundError:
        return False


def _make_room(cache: Path, wanted: Collection[Path], needed: int, limit: int) -> None:
    if needed > limit:
        raise StoreError(
            f"this needs {needed / 1e6:,.0f} MB of the store, and {cache} may hold "
            f"{limit / 1e6:,.0f} MB: ask for fewer tables, or set FLOWGLASS_CACHE_SIZE "
            f"to more"
        )
    others = []
    for folder, _, names in os.walk(cache):
        for copy in (Path(folder, name) for name in names):
            if copy not in wanted and (found := _stat(copy)) is not None:
                others.append((found.st_mtime, found.st_size, copy))
    total = needed + sum(size for _, size, _ in others)
    for used, size, copy in sorted(others):
        if total <= limit or used > time.time() - LATELY:
            return
        copy.unlink(missing_ok=True)
        total -= size


def _download(
    files: RemoteFiles, path: str, copy: Path, size: int, crc32: int | None
) -> None:
    """Make a copy of a file of this size and, if that is known, of this checksum."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    part = copy.with_name(f"{copy.name}.{uuid4().hex[:12]}.part")
    checksum = 0
    try:
        with part.open("xb") as file:
            for start in range(0, size, _CHUNK):
                data = _read(files, path, start, min(start + _CHUNK, size))
                checksum = zlib.crc32(data, checksum)
                file.write(data)
        if part.stat().st_size != size or crc32 not in (None, checksum):
            raise _damaged(files, path)
        part.replace(copy)
    finally:
        part.unlink(missing_ok=True)


def _read(files: RemoteFiles, path: str, start: int, stop: int) -> bytes:
    try:
        return files.objects.get_range(path, start, stop)
    except FileNotFoundError:
        raise _gone(files, path) from None


def _stat(path: Path) -> os.stat_result | None:
    """None if another process has just removed the file."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _side_by_side(
    work: Callable[[str], _Result], paths: Iterable[str]
) -> list[_Result]:
    """The results of many requests; the first that fails ends them all."""
    with ThreadPoolExecutor(_THREADS) as threads:
        futures = [threads.submit(work, path) for path in paths]
        try:
            return [future.result() for future in futures]
        finally:
            threads.shutdown(cancel_futures=True)


def _gone(files: RemoteFiles, path: str) -> StoreError:
    return StoreError(
        f"{files.where(path)} is gone: open the store again; if it stays away, "
        f"`flowglass verify` tells what else is damaged"
    )


def _damaged(files: RemoteFiles, path: str) -> StoreError:
    return StoreError(
        f"{files.where(path)} is not as it was committed: `flowglass verify` tells "
        f"what else is damaged"
    )
