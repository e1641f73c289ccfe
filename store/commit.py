"""The commit protocol: a shard is there with all its tables, or it is not there.

1. An empty file in tmp/ announces the attempt, so that its remains can be found.
2. The data files are written under names of this attempt alone, and made durable, as
   are the folders that name them.
3. The commit record is written to the file in tmp/ and made durable.
4. The record is linked to its final name: atomic, and exclusive, so of two writers
   one wins. Its folder is made durable. The shard is committed.
5. The file in tmp/ goes; so do the data files of a writer who lost.

Readers see what records name and nothing else. Whatever a crash leaves is either in a
record or announced in tmp/. Steps 1 to 3 are `stage`, 4 and 5 differ a little for a
block of merged shards (`blocks.py`).
"""

import os.path
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from .committed import commit_path, is_of_record
from .errors import StoreError
from .files import Files
from .record import Block, DataFile, Record, as_ranges, to_bytes

GRACE = 24 * 3600.0
"""Seconds after which an attempt that has not committed counts as dead, and a file that
is superseded is not read any more."""


@dataclass(frozen=True)
class Payload:
    """One table of a shard, as the bytes of a file."""

    data: bytes
    rows: int


def prepare(files: Files, folder: str) -> None:
    """Make what a folder of shards needs, durably."""
    for name in ("data", "commits", "blocks", "tmp"):
        files.make_dirs(f"{folder}/{name}")
    for path in _upwards(folder):
        files.fsync_dir(path)


def commit(
    files: Files,
    folder: str,
    *,
    shard: int,
    tables: Mapping[str, Payload],
    config_sha256: str,
    prompt_ids: Iterable[int],
    info: Mapping[str, Any],
    committed_at: str,
) -> bool:
    """Commit one shard; False if another writer had done so, and nothing changes."""
    attempt = new_attempt()
    record = Record(
        shard=shard,
        attempt=attempt,
        config_sha256=config_sha256,
        files=data_files(tables, f"{shard:06d}", attempt),
        prompts=as_ranges(prompt_ids),
        info=info,
        committed_at=committed_at,
    )
    target = commit_path(folder, shard)
    return settle(
        files,
        folder,
        record,
        stage(files, folder, f"{shard:06d}", record, tables),
        lambda staged: files.link(staged, target),
        named_in="commits",
    )


def new_attempt() -> str:
    """A name that no other attempt has."""
    return uuid4().hex[:12]


def data_files(
    tables: Mapping[str, Payload], unit: str, attempt: str
) -> tuple[DataFile, ...]:
    """What a record says of the tables; `unit` is a shard, or a range of them."""
    return tuple(
        DataFile(
            table=table,
            path=_data_path(table, unit, attempt),
            rows=payload.rows,
            bytes=len(payload.data),
            crc32=zlib.crc32(payload.data),
        )
        for table, payload in tables.items()
    )


def stage(
    files: Files,
    folder: str,
    unit: str,
    record: Record | Block,
    tables: Mapping[str, Payload],
) -> str:
    """Make a record and its data durable; the file in tmp/ that is to be linked."""
    announced = f"{folder}/tmp/{unit}-{record.attempt}.json"
    try:
        files.create(announced, b"")
        _write_data(files, folder, record, tables)
        files.fill(announced, to_bytes(record))
        files.fsync(announced)
    except StoreError:  # such as a full disk: the record is not there
        _discard(files, folder, record, announced)
        raise
    return announced


def settle(
    files: Files,
    folder: str,
    record: Record | Block,
    staged: str,
    link: Callable[[str], bool],
    *,
    named_in: str,
) -> bool:
    """Link what is staged into a folder, if it is to be; else nothing is left of it."""
    try:
        won = link(staged)
    except StoreError:
        _discard(files, folder, record, staged)
        raise
    # A loser too may say that the record is there only once that is durable.
    files.fsync_dir(f"{folder}/{named_in}")
    if won:
        files.unlink(staged)
    else:
        _discard(files, folder, record, staged)
    return won


def _discard(files: Files, folder: str, record: Record | Block, staged: str) -> None:
    """Take away what an attempt wrote that did not commit."""
    for file in record.files:
        files.unlink(f"{folder}/{file.path}")
    files.unlink(staged)


def collect_stale(files: Files, folder: str, *, grace: float = GRACE) -> int:
    """Remove what attempts left behind that died over `grace` seconds ago.

    One that only slept cannot commit any more once its announcement is gone, which it
    would fill and link; so that goes first, and only then what it wrote, if it did not
    commit before.
    """
    collected = 0
    for name in files.listdir(f"{folder}/tmp"):
        announced = f"{folder}/tmp/{name}"
        if files.age(announced) < grace:
            continue
        files.unlink(announced)
        unit, _, attempt = name.removesuffix(".json").rpartition("-")
        if unit and not is_of_record(files, folder, unit, attempt):
            for table in files.listdir(f"{folder}/data"):
                files.unlink(f"{folder}/{_data_path(table, unit, attempt)}")
        collected += 1
    return collected


def publish(files: Files, path: str, data: bytes, *, tmp: str) -> bool:
    """Write a file that is never changed again; False if it was there already."""
    draft = f"{tmp}/{os.path.basename(path)}-{uuid4().hex[:12]}"
    files.create(draft, data)
    files.fsync(draft)
    won = files.link(draft, path)
    files.fsync_dir(os.path.dirname(path))
    files.unlink(draft)
    return won


def _write_data(
    files: Files,
    folder: str,
    record: Record | Block,
    tables: Mapping[str, Payload],
) -> None:
    named_in = {folder}
    for file in record.files:
        path = f"{folder}/{file.path}"
        files.make_dirs(os.path.dirname(path))
        files.create(path, tables[file.table].data)
        files.fsync(path)
        # Another writer may have made these folders and not synced them yet.
        named_in |= {p for p in _upwards(os.path.dirname(path)) if len(p) > len(folder)}
    for path in sorted(named_in):
        files.fsync_dir(path)


def _upwards(path: str) -> list[str]:
    """The path and every folder above it, up to the store's own, ''."""
    above = [path]
    while above[-1]:
        above.append(os.path.dirname(above[-1]))
    return above


def _data_path(table: str, unit: str, attempt: str) -> str:
    return f"data/{table}/shard={unit}/{attempt}.parquet"
