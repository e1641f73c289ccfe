"""The commit protocol: a shard is there with all its tables, or it is not there.

1. An empty file in tmp/ announces the attempt, so that its remains can be found.
2. The data files are written under names of this attempt alone, and made durable, as
   are the folders that name them.
3. The commit record is written to the file in tmp/ and made durable.
4. The record is linked to its final name: atomic, and exclusive, so of two writers
   one wins. Its folder is made durable. The shard is committed.
5. The file in tmp/ goes; so do the data files of a writer who lost.

Readers see what records name and nothing else. Whatever a crash leaves is either in a
record or announced in tmp/.
"""

import os.path
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from .errors import StoreError
from .files import Files
from .record import DataFile, Record, as_ranges, from_bytes, to_bytes

GRACE = 24 * 3600.0
"""Seconds after which an attempt that has not committed counts as dead."""


@dataclass(frozen=True)
class Payload:
    """One table of a shard, as the bytes of a file."""

    data: bytes
    rows: int


def prepare(files: Files, folder: str) -> None:
    """Make what a folder of shards needs, durably."""
    for name in ("data", "commits", "tmp"):
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
    attempt = uuid4().hex[:12]
    announced = f"{folder}/tmp/{shard:06d}-{attempt}.json"
    record = Record(
        shard=shard,
        attempt=attempt,
        config_sha256=config_sha256,
        files=tuple(
            DataFile(
                table=table,
                path=_data_path(table, shard, attempt),
                rows=payload.rows,
                bytes=len(payload.data),
                crc32=zlib.crc32(payload.data),
            )
            for table, payload in tables.items()
        ),
        prompts=as_ranges(prompt_ids),
        info=info,
        committed_at=committed_at,
    )
    try:
        files.create(announced, b"")
        _write_data(files, folder, record, tables)
        files.fill(announced, to_bytes(record))
        files.fsync(announced)
        won = files.link(announced, _record_path(folder, shard))
    except StoreError:  # such as a full disk: the record is not there
        _discard(files, folder, record, announced)
        raise
    # A loser too may say that the shard is there only once that is durable.
    files.fsync_dir(f"{folder}/commits")
    if won:
        files.unlink(announced)
    else:
        _discard(files, folder, record, announced)
    return won


def committed_shards(files: Files, folder: str) -> set[int]:
    """The shards that have a record."""
    names = (n.removesuffix(".json") for n in files.listdir(f"{folder}/commits"))
    return {int(name) for name in names if name.isdecimal()}


def read_records(
    files: Files, folder: str, *, known: Mapping[int, Record]
) -> dict[int, Record]:
    """The record of every committed shard; those in `known` are not read again."""
    records = {}
    for shard in sorted(committed_shards(files, folder)):
        path = _record_path(folder, shard)
        records[shard] = known.get(shard) or from_bytes(files.read(path), path=path)
    return records


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
        shard, _, attempt = name.removesuffix(".json").partition("-")
        if shard.isdecimal() and not _is_record_of(files, folder, int(shard), attempt):
            for table in files.listdir(f"{folder}/data"):
                files.unlink(f"{folder}/{_data_path(table, int(shard), attempt)}")
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
    files: Files, folder: str, record: Record, tables: Mapping[str, Payload]
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


def _discard(files: Files, folder: str, record: Record, announced: str) -> None:
    for file in record.files:
        files.unlink(f"{folder}/{file.path}")
    files.unlink(announced)


def _is_record_of(files: Files, folder: str, shard: int, attempt: str) -> bool:
    if shard not in committed_shards(files, folder):
        return False
    path = _record_path(folder, shard)
    return from_bytes(files.read(path), path=path).attempt == attempt


def _upwards(path: str) -> list[str]:
    """The path and every folder above it, up to the store's own, ''."""
    above = [path]
    while above[-1]:
        above.append(os.path.dirname(above[-1]))
    return above


def _data_path(table: str, shard: int, attempt: str) -> str:
    return f"data/{table}/shard={shard:06d}/{attempt}.parquet"


def _record_path(folder: str, shard: int) -> str:
    return f"{folder}/commits/{shard:06d}.json"
