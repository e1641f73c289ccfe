"""The log of blocks: adding to it, and removing what it made superfluous.

An entry is committed as a shard is, but to the next free number of the log. Whoever
finds that number taken looks again: if somebody else has replaced or taken away what
the entry is about, it is given up, and nothing changes. So there is no lock, and nobody
waits for a process that died.

Files that an entry supersedes stay for a grace period, for readers who opened the store
before. Commit records of merged shards stay for good: they are what keeps a slow writer
from committing such a shard again.
"""

import os.path
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from .commit import GRACE, Payload, data_files, new_attempt, prepare, settle, stage
from .committed import Committed, block_path, commit_path, read_committed
from .files import Files
from .record import Block, Record, utc_now


def merge(
    files: Files,
    folder: str,
    units: Iterable[Record | Block],
    tables: Mapping[str, Payload],
    *,
    known: Committed | None = None,
) -> bool:
    """Let `tables`, which hold the rows of `units`, take their place.

    False if one of them does not count any more, and nothing changes. Records that
    `known` has are not read again.
    """
    units = list(units)
    now = read_committed(files, folder, known=known)
    replaces = {n for n, block in now.blocks.items() if block in units}
    shards = sorted(
        (record for unit in units for record in _shards_of(unit)),
        key=lambda record: record.shard,
    )
    attempt = new_attempt()
    name = f"{shards[0].shard:06d}-{shards[-1].shard:06d}"
    block = Block(
        attempt=attempt,
        config_sha256=shards[0].config_sha256,
        replaces=tuple(sorted(replaces)),
        shards=tuple(replace(record, files=()) for record in shards),
        files=data_files(tables, name, attempt),
        superseded=tuple(file.path for unit in units for file in unit.files),
        committed_at=utc_now(),
    )
    return _append(files, folder, block, tables, name=name, known=now)


def drop(files: Files, folder: str, shards: Iterable[int]) -> set[int]:
    """Take shards away, so that the next sweep does them again; which those were.

    A block goes as a whole: what else it holds is to be done again too.
    """
    wanted = set(shards)
    units = read_committed(files, folder).units
    return drop_attempts(
        files,
        folder,
        {u.attempt for u in units if wanted & {r.shard for r in _shards_of(u)}},
    )


def drop_attempts(files: Files, folder: str, attempts: Collection[str]) -> set[int]:
    """The same for the shards and blocks of these attempts: what others have done again
    meanwhile stays. Makes an entry even if there is none, so that readers look anew."""
    dropped: dict[int, str] = {}
    files_of_them: list[str] = []
    announced = entered = False
    while True:
        now = read_committed(files, folder)
        # A merge may just have taken up what was to go.
        hit = [
            unit
            for unit in now.units
            if unit.attempt in attempts
            or any(dropped.get(r.shard) == r.attempt for r in _shards_of(unit))
        ]
        if entered and not hit:
            return set(dropped)
        dropped |= {r.shard: r.attempt for unit in hit for r in _shards_of(unit)}
        files_of_them += [file.path for unit in hit for file in unit.files]
        if hit and not announced:  # who dies before the last entry leaves this one
            announced = _append(files, folder, _taking(), {}, name="drop", known=now)
        # First the records: while a block still counts, its shards stay committed.
        for shard in {r.shard for unit in hit for r in _shards_of(unit)}:
            files.unlink(commit_path(folder, shard))
        files.fsync_dir(f"{folder}/commits")
        entry = _taking(
            replaces=tuple(n for n, block in now.blocks.items() if block in hit),
            superseded=tuple(files_of_them),
        )
        entered = _append(files, folder, entry, {}, name="drop", known=now) or entered


def _taking(
    *, replaces: tuple[int, ...] = (), superseded: tuple[str, ...] = ()
) -> Block:
    """An entry that only takes away; readers look anew at all records behind it."""
    return Block(
        attempt=new_attempt(),
        config_sha256="",
        replaces=replaces,
        shards=(),
        files=(),
        superseded=superseded,
        committed_at=utc_now(),
    )


def collect_superseded(files: Files, folder: str, *, grace: float = GRACE) -> int:
    """Remove the files that entries older than `grace` seconds supersede."""
    old = sorted(
        path for path, age in superseded(files, folder).items() if age >= grace
    )
    files.unlink_all(old)
    for emptied in {os.path.dirname(path) for path in old}:
        files.remove_dir(emptied)
    return len(old)


def superseded(files: Files, folder: str) -> dict[str, float]:
    """The files that are there though nobody needs them: for how many seconds."""
    log = read_committed(files, folder).log
    entries = {number: entry for number, entry in log.items() if entry.superseded}
    there = set(files.below(f"{folder}/data")) if entries else set()
    found: dict[str, float] = {}
    for number, entry in entries.items():
        left = there.intersection(f"{folder}/{path}" for path in entry.superseded)
        if left:
            age = files.age(block_path(folder, number))
            found |= {path: max(age, found.get(path, 0.0)) for path in left}
    return found


def _append(
    files: Files,
    folder: str,
    block: Block,
    tables: Mapping[str, Payload],
    *,
    name: str,
    known: Committed,
) -> bool:
    def link(staged: str) -> bool:
        """To the next free number, for as long as the entry is right."""
        now = known
        while True:
            now = read_committed(files, folder, known=now)
            if not _still_right(now, block):
                return False
            number = max(now.log, default=-1) + 1
            if files.link(staged, block_path(folder, number)):
                return True

    prepare(files, folder)  # a store of schema 1, or a copy, may lack some of it
    staged = stage(files, folder, name, block, tables)
    return settle(files, folder, block, staged, link, named_in="blocks")


def _still_right(now: Committed, block: Block) -> bool:
    """Whether what an entry replaces and merges is what counts now."""
    if not set(block.replaces) <= now.blocks.keys():
        return False
    free = {record.shard: record.attempt for record in now.records.values()}
    for number in block.replaces:
        free |= {record.shard: record.attempt for record in now.blocks[number].shards}
    return all(free.get(record.shard) == record.attempt for record in block.shards)


def _shards_of(unit: Record | Block) -> tuple[Record, ...]:
    return (unit,) if isinstance(unit, Record) else unit.shards
