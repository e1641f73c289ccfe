"""Compaction: many small files become few large sorted ones, while all goes on.

Neighbouring shards of a run are merged, all their tables together, until the largest
table has TARGET_ROWS: few files to open for a question about the corpus, and still only
few row groups to look through for one about a prompt. The roll-up is added up; every
other table is its parts' rows in the table's order.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .blocks import collect_superseded, merge, superseded
from .commit import GRACE, Payload, collect_stale
from .committed import Committed, first, read_committed
from .files import Files
from .layout import raise_format, run_folder, store_files
from .record import Block, Record
from .schema import TABLES
from .snapshot import Snapshot, take_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

TARGET_ROWS = 4_000_000
"""Rows of the largest table of a block: one prompt's edges are found among so many in
about 20 ms."""

ROLL_UP = "component_stats"

MOST_BYTES = 512 * 2**20
"""Of the largest file of a block, for `tensors` have few rows but large ones."""

Unit = Record | Block


@dataclass(frozen=True)
class Compacted:
    """What a compaction did."""

    merged_files: int
    """That are superseded now."""
    into_files: int
    removed_files: int
    """That were superseded longer than the grace period ago."""
    waiting_files: int
    """That are superseded and wait for it to pass."""


def compact(
    store: "str | Path",
    *,
    grace: float = GRACE,
    target_rows: int = TARGET_ROWS,
    report: Callable[[str], None] = lambda line: None,
) -> Compacted:
    """Merge small files of every run; readers and sweeps go on meanwhile.

    Files that are superseded go `grace` seconds later, with the next compaction or
    sweep. Raises StoreError where a file is damaged: nothing of it is merged.
    """
    files = store_files(store)
    merged = into = removed = waiting = 0
    snapshot = take_snapshot(files, known=Snapshot())
    for run_id, state in snapshot.runs.items():
        folder, now = run_folder(run_id), state.committed
        for group in _groups(now, target_rows):
            raise_format(files)
            tables = merged_tables(files, folder, group)
            now = read_committed(files, folder, known=now)
            if merge(files, folder, group, tables, known=now):
                old = sum(len(unit.files) for unit in group)
                merged, into = merged + old, into + len(tables)
                report(f"{run_id}: {old} files merged into {len(tables)}")
        collect_stale(files, folder)
        removed += collect_superseded(files, folder, grace=grace)
        waiting += len(superseded(files, folder))
    return Compacted(merged, into, removed, waiting)


def merged_tables(
    files: Files, folder: str, units: Sequence[Unit]
) -> dict[str, Payload]:
    """The rows of some units, table by table, as the files of a block."""
    from .parquet import read_rows, to_parquet

    found = {}
    for name, table in TABLES.items():
        parts = [
            read_rows(files, folder, file)
            for unit in units
            for file in unit.files
            if file.table == name
        ]
        if parts:
            rows = _together(name, parts)
            found[name] = Payload(to_parquet(table, rows), rows.num_rows)
    return found


def _groups(committed: Committed, target_rows: int) -> Iterator[list[Unit]]:
    """Neighbouring units that together stay within the target; one that fills half of
    it already is left alone, or it would be written again and again."""
    group: list[Unit] = []
    rows: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for unit in committed.units:
        # Rows of the roll-up are added up: there are no more of them in a block.
        own = Counter({f.table: f.rows for f in unit.files if f.table != ROLL_UP})
        own_size = Counter({file.table: file.bytes for file in unit.files})
        small = (
            max(own.values(), default=0) * 2 <= target_rows
            and max(own_size.values(), default=0) * 2 <= MOST_BYTES
        )
        fits = (
            group
            and first(unit) == _last(group[-1]) + 1
            and max((rows + own).values(), default=0) <= target_rows
            and max((size + own_size).values(), default=0) <= MOST_BYTES
        )
        if not (small and fits):
            if len(group) > 1:
                yield group
            group, rows, size = [], Counter(), Counter()
        if small:
            group.append(unit)
            rows += own
            size += own_size
    if len(group) > 1:
        yield group


def _last(unit: Unit) -> int:
    if isinstance(unit, Record):
        return unit.shard
    return max(record.shard for record in unit.shards)


def _together(name: str, parts: Sequence["pa.Table"]) -> "pa.Table":
    import pyarrow as pa

    if name == ROLL_UP:
        from .rollup import added_up

        return added_up(parts)
    # A run of an older flowglass may lack a column; its view shows null all the same.
    return pa.concat_tables(
        [TABLES[name].schema.empty_table(), *parts], promote_options="default"
    )
