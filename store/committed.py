"""What is committed in a folder of shards: commit records, and a log of blocks.

`commits/000003.json` says that shard 3 is there, and in which files. `blocks/` is a
log: each entry says that the rows of some shards now stand in other, larger files, or
that some shards count no more. Entries are added at the end alone, each exclusively, by
whoever has seen all those before; so all readers agree on what holds.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from .files import Files
from .record import Block, Record, block_from_bytes, from_bytes


@dataclass(frozen=True)
class Committed:
    """The shards of one run, or of one model's tables."""

    log: Mapping[int, Block] = field(default_factory=dict)
    """Every entry by its number, those that count no more included."""
    records: Mapping[int, Record] = field(default_factory=dict)
    """Of the shards that stand in files of their own."""

    @cached_property
    def blocks(self) -> Mapping[int, Block]:
        """The blocks that count, by number."""
        return _live(self.log)

    @cached_property
    def shards(self) -> Mapping[int, Record]:
        """Every committed shard; those of blocks without their files."""
        merged = {r.shard: r for block in self.blocks.values() for r in block.shards}
        return dict(sorted({**self.records, **merged}.items()))

    @cached_property
    def units(self) -> tuple[Record | Block, ...]:
        """What has files, in the order of the first shard of each."""
        return tuple(sorted([*self.records.values(), *self.blocks.values()], key=first))


def first(unit: Record | Block) -> int:
    """The first shard of a unit."""
    if isinstance(unit, Record):
        return unit.shard
    return min(record.shard for record in unit.shards)


def read_committed(
    files: Files,
    folder: str,
    *,
    known: Committed | None = None,
    without: Collection[str] = (),
) -> Committed:
    """What is committed now; records that `known` has are not read again.

    Takes the records `without` names, which are damaged, for not being there.
    """
    known = known or Committed()
    entries = dict(numbered(files, f"{folder}/blocks"))
    entries = {n: path for n, path in entries.items() if path not in without}
    news = _blocks(files, {n: entries[n] for n in entries.keys() - known.log.keys()})
    # What was taken away may have come again, and an entry without shards tells so:
    # then all is read anew.
    if entries.keys() >= known.log.keys() and all(b.shards for b in news.values()):
        log, records = {**known.log, **news}, dict(known.records)
    else:
        log, records = _blocks(files, entries) if known.log else news, {}
    covered = {r.shard for block in _live(log).values() for r in block.shards}
    names = {
        shard: path
        for shard, path in numbered(files, f"{folder}/commits")
        if shard not in covered and path not in without
    }
    unread = sorted(names.keys() - records.keys())
    content = files.read_all(names[shard] for shard in unread)
    for shard in unread:
        if (path := names[shard]) in content:  # else taken away since it was listed
            records[shard] = from_bytes(content[path], path=files.where(path))
    return Committed(log, {s: r for s, r in sorted(records.items()) if s in names})


def _blocks(files: Files, entries: Mapping[int, str]) -> dict[int, Block]:
    content = files.read_all(entries.values())
    return {
        number: block_from_bytes(content[path], path=files.where(path))
        for number, path in sorted(entries.items())
        if path in content
    }


def is_of_record(files: Files, folder: str, unit: str, attempt: str) -> bool:
    """Whether an attempt at a shard, or at a range of them, has been committed."""
    if not unit.isdecimal():
        log = _blocks(files, dict(numbered(files, f"{folder}/blocks")))
        return any(block.attempt == attempt for block in log.values())
    path = commit_path(folder, int(unit))
    return any(
        from_bytes(data, path=files.where(path)).attempt == attempt
        for data in files.read_all([path]).values()
    )


def commit_path(folder: str, shard: int) -> str:
    """The name of a shard's commit record."""
    return f"{folder}/commits/{shard:06d}.json"


def block_path(folder: str, number: int) -> str:
    """The name of an entry of the log."""
    return f"{folder}/blocks/{number:06d}.json"


def _live(log: Mapping[int, Block]) -> dict[int, Block]:
    """The entries that count. The latest first: where one that replaced another is lost
    that other shares a shard with a later one, and does not come back."""
    replaced = {number for block in log.values() for number in block.replaces}
    taken: set[int] = set()
    live = {}
    for number, block in sorted(log.items(), reverse=True):
        shards = {record.shard for record in block.shards}
        if shards and number not in replaced and not shards & taken:
            live[number] = block
            taken |= shards
    return dict(sorted(live.items()))


def numbered(files: Files, folder: str) -> Iterator[tuple[int, str]]:
    """The records in a folder, by number; what else lies there is none."""
    for name in files.listdir(folder):
        stem = name.removesuffix(".json")
        if stem != name and stem.isdecimal():
            yield int(stem), f"{folder}/{name}"
