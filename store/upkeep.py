"""The commands that keep a store in order: `verify` and `compact`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .cli import StoreAddress


def verify(
    store: StoreAddress,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Drop damaged shards; the next sweep redoes them."
        ),
    ] = False,
) -> None:
    """Check every file of a store: checksums, rows, keys, closure, sums to 1."""
    from .verify import verify as look

    found = look(store, repair=repair, report=lambda line: print(line, file=sys.stderr))
    print(f"{store}: {found.n_files:,} files, {found.n_rows:,} rows", end="; ")
    print(f"{len(found.damages):,} wrong" if found.damages else "nothing is wrong")
    if found.unnamed:
        gone = "removed" if repair else "in nobody's way; --repair removes them"
        print(f"{len(found.unnamed):,} files that no record names: {gone}")
    for folder, shards in found.dropped.items():
        if shards:
            said = ", ".join(map(str, sorted(shards)))
            print(f"dropped from {Path(folder).name}: shards {said}")
    if not found.damages:
        return
    if not repair:
        print(f"next: flowglass verify {store} --repair")
        raise typer.Exit(1)
    if any(found.dropped.values()):
        print("next: the same sweep again, which does just what was dropped")
    if any(not damage.mended for damage in found.damages):
        print("not all of it can be repaired: see above what to do")
        raise typer.Exit(1)


def compact(
    store: StoreAddress,
    grace: Annotated[
        float, typer.Option(help="Hours that superseded files stay for readers.")
    ] = 24.0,
) -> None:
    """Merge small files into few large sorted ones, while others read and write."""
    from .compact import compact as merge

    done = merge(store, grace=grace * 3600, report=print)
    if not done.merged_files:
        print(f"{store}: nothing to merge")
    else:
        print(f"{store}: {done.merged_files:,} files merged into {done.into_files:,}")
    if done.removed_files:
        print(f"removed {done.removed_files:,} files that were superseded before")
    if done.waiting_files:
        print(
            f"{done.waiting_files:,} superseded files stay for readers; the next "
            f"compaction or sweep after {grace:g} h removes them"
        )
