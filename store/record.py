"""Records: what one committed shard consists of, or a block of merged shards.

A record is a line of JSON and a line with its sha256, so that a damaged one is noticed.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import StoreError

RECORD_VERSION = 1


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a shard; `path` is relative to the run's folder."""

    table: str
    path: str
    rows: int
    bytes: int
    crc32: int


@dataclass(frozen=True)
class Record:
    """A committed shard: all its tables, together."""

    shard: int
    attempt: str
    config_sha256: str
    """Of the identity of the run that wrote it."""
    files: tuple[DataFile, ...]
    prompts: tuple[tuple[int, int], ...]
    """The ids of its prompts as [start, stop) ranges, the quarantined included."""
    info: Mapping[str, Any]
    """n_prompts, n_tokens, n_quarantined, seconds, and whatever else is known."""
    committed_at: str
    """ISO 8601, UTC."""

    def holds(self, prompt_id: int) -> bool:
        """Whether the prompt is in this shard."""
        return any(start <= prompt_id < stop for start, stop in self.prompts)

    @property
    def n_bytes(self) -> int:
        """Bytes on disk, the record itself aside."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True)
class Block:
    """Shards whose rows were merged into larger files; an entry of a run's log.

    One without shards only takes away: what it replaces is to be done again.
    """

    attempt: str
    config_sha256: str
    replaces: tuple[int, ...]
    """Entries of the log that count no more."""
    shards: tuple[Record, ...]
    """What it holds, without their files."""
    files: tuple[DataFile, ...]
    superseded: tuple[str, ...]
    """The files that nobody needs any more, relative to the run's folder."""
    committed_at: str

    def holds(self, prompt_id: int) -> bool:
        """Whether the prompt is in one of its shards."""
        return any(shard.holds(prompt_id) for shard in self.shards)

    @property
    def n_bytes(self) -> int:
        """Bytes on disk, the record itself aside."""
        return sum(file.bytes for file in self.files)


def to_bytes(record: Record | Block) -> bytes:
    """The record as it lies on disk."""
    body = canonical({"version": RECORD_VERSION, **asdict(record)})
    return body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n"


def from_bytes(data: bytes, *, path: str) -> Record:
    """The commit record in a file's content; StoreError if it is not whole."""
    return _record(_checked(data, path=path))


def block_from_bytes(data: bytes, *, path: str) -> Block:
    """The log entry in a file's content; StoreError if it is not whole."""
    fields = _checked(data, path=path)
    return Block(
        **{
            **fields,
            "files": _files(fields),
            "shards": tuple(map(_record, fields["shards"])),
            "replaces": tuple(fields["replaces"]),
            "superseded": tuple(fields["superseded"]),
        }
    )


class DamagedRecord(StoreError):
    """A record is not whole; a repair may take it away."""


def _checked(data: bytes, *, path: str) -> dict[str, Any]:
    body, _, digest = data.removesuffix(b"\n").rpartition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise DamagedRecord(
            f"the record {path} is damaged: `flowglass verify STORE --repair` takes "
            f"it away, then the same sweep does its shards again"
        )
    fields: dict[str, Any] = json.loads(body)
    version = fields.pop("version")
    if version != RECORD_VERSION:
        raise StoreError(
            f"the record {path} has version {version}, this flowglass reads "
            f"{RECORD_VERSION}: upgrade flowglass"
        )
    return fields


def _record(fields: dict[str, Any]) -> Record:
    ranges = tuple((start, stop) for start, stop in fields["prompts"])
    return Record(**{**fields, "files": _files(fields), "prompts": ranges})


def _files(fields: dict[str, Any]) -> tuple[DataFile, ...]:
    return tuple(DataFile(**file) for file in fields["files"])


def canonical(value: Any) -> bytes:
    """The one JSON text of a value, which hashes are taken of: sorted, no spaces."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def as_ranges(ids: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Whole numbers as ascending [start, stop) ranges.

    >>> as_ranges([4, 5, 6, 9])
    ((4, 7), (9, 10))
    """
    ranges: list[tuple[int, int]] = []
    for number in sorted(ids):
        if ranges and ranges[-1][1] == number:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return tuple(ranges)


def utc_now() -> str:
    """This moment as records and plans write it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
