"""Damaged records, and files that no record names."""

import os.path
from collections.abc import Collection, Iterator

from .committed import block_path, numbered, read_committed
from .files import Files
from .record import (
    Block,
    DamagedRecord,
    block_from_bytes,
    from_bytes,
    to_bytes,
    utc_now,
)


def damaged_records(files: Files, folder: str) -> Iterator[tuple[str, str]]:
    """The records of a run or model that are not whole, and what is wrong.

    Raises StoreError for one that a later flowglass has written: it is not damaged.
    """
    for kind, parse in (("commits", from_bytes), ("blocks", block_from_bytes)):
        paths = dict(numbered(files, f"{folder}/{kind}"))
        content = files.read_all(paths.values())
        for number, path in paths.items():
            if path not in content:  # taken away since it was listed
                continue
            try:
                record = parse(content[path], path=files.where(path))
            except DamagedRecord as error:
                yield path, str(error)
                continue
            if getattr(record, "shard", number) != number:
                yield (
                    path,
                    f"the record {files.where(path)} is of shard "
                    f"{getattr(record, 'shard', None)}: it was renamed",
                )
    log = {number for number, _ in numbered(files, f"{folder}/blocks")}
    for number in sorted(set(range(max(log, default=0))) - log):
        path = block_path(folder, number)
        yield path, f"the record {files.where(path)} is missing: entries follow it"


def forget(files: Files, path: str) -> None:
    """Let a damaged record count no more.

    A shard's is removed. The place of a log's entry stays taken, by one that says
    nothing, or a reader could mistake a later entry for it.
    """
    if "/blocks/" not in path:
        files.unlink(path)
        files.fsync_dir(path.rpartition("/")[0])
        return
    nothing = Block("", "", (), (), (), (), utc_now())
    files.replace(path, to_bytes(nothing))


def unnamed_files(
    files: Files, folder: str, *, grace: float, without: Collection[str]
) -> list[str]:
    """Data files, older than `grace` seconds, that neither a record names nor an
    attempt that may still be at work; takes damaged records for not being there."""
    # First the attempts: one that commits meanwhile is then in its record.
    attempts = {
        name.removesuffix(".json").rpartition("-")[2]
        for name in files.listdir(f"{folder}/tmp")
    }
    committed = read_committed(files, folder, without=without)
    named = {file.path for unit in committed.units for file in unit.files}
    named |= {path for entry in committed.log.values() for path in entry.superseded}
    found = []
    for path in files.below(f"{folder}/data"):
        attempt, dot, _ = os.path.basename(path).partition(".parquet")
        if not dot or path.removeprefix(f"{folder}/") in named or attempt in attempts:
            continue
        if files.age(path) >= grace:
            found.append(path)
    return found
