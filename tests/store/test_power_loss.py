"""Power may fail at any moment: every state the disk could be in is tried."""

import os
import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import count

import pytest

from flowglass.store import commit as protocol
from flowglass.store.blocks import collect_superseded, drop, merge
from flowglass.store.commit import Payload, collect_stale, commit, prepare
from flowglass.store.committed import read_committed
from flowglass.store.errors import StoreError

from .simulated_disk import SimulatedDisk

SHARDS = range(4)
FOLDER = "runs/run_id=x"
MOST = 400 if os.environ.get("FLOWGLASS_SOAK") else 16
"""Disks tried after each operation, where there are more."""

Wanted = Callable[[set[int]], None]
"""Tells the model which shards must be there from now on."""


def payloads(shards: Iterable[int]) -> dict[str, Payload]:
    """A row a shard and table: the shard's number, long enough to be torn."""
    rows = list(shards)
    return {
        table: Payload("".join(f"{table} {row};" for row in rows).encode(), len(rows))
        for table in ("edges", "tokens")
    }


def commit_one(disk: SimulatedDisk, shard: int) -> bool:
    return commit(
        disk,
        FOLDER,
        shard=shard,
        tables=payloads([shard]),
        config_sha256="cafe",
        prompt_ids=[shard],
        info={},
        committed_at="now",
    )


def merge_some(disk: SimulatedDisk, shards: set[int]) -> bool:
    units = [
        unit
        for unit in read_committed(disk, FOLDER).units
        if shards & {r.shard for r in getattr(unit, "shards", [unit])}
    ]
    return merge(disk, FOLDER, units, payloads(sorted(shards)))


def collect(disk: SimulatedDisk) -> None:
    collect_stale(disk, FOLDER, grace=0)
    collect_superseded(disk, FOLDER, grace=0)


def commits(disk: SimulatedDisk, wanted: Wanted) -> None:
    """Three shards, one after the other."""
    for shard in SHARDS[:3]:
        assert commit_one(disk, shard)
        wanted({*range(shard + 1)})


def compaction(disk: SimulatedDisk, wanted: Wanted) -> None:
    """Shards are merged, removed, and the blocks merged again, while a shard comes."""
    commits(disk, wanted)
    assert merge_some(disk, {0, 1})
    collect(disk)
    assert commit_one(disk, 3)
    wanted({*SHARDS})
    assert merge_some(disk, {0, 1, 2})
    collect(disk)


def repair(disk: SimulatedDisk, wanted: Wanted) -> None:
    """A shard of a block and one beside it are taken away, and done again."""
    commits(disk, wanted)
    assert merge_some(disk, {0, 1})
    wanted(set())
    assert drop(disk, FOLDER, {1, 2}) == {0, 1, 2}
    for shard in SHARDS[:3]:
        assert commit_one(disk, shard)
        wanted({*range(shard + 1)})
    collect(disk)


SCRIPTS = {"commits": commits, "compaction": compaction, "repair": repair}


def rows(disk: SimulatedDisk) -> Iterator[tuple[str, str]]:
    """Every committed row, with its table; or what is wrong with its file."""
    for unit in read_committed(disk, FOLDER).units:
        for file in unit.files:
            try:
                data = disk.read(f"{FOLDER}/{file.path}")
            except FileNotFoundError:
                yield "wrong", "committed file missing"
                continue
            if zlib.crc32(data) != file.crc32:
                yield "wrong", "committed file torn"
            else:
                for row in data.decode().split(";")[:-1]:
                    yield file.table, row


def damage(disk: SimulatedDisk, must_be_there: set[int]) -> list[str]:
    """What is wrong with the committed rows of a disk."""
    found = Counter(rows(disk))
    wrong = [what for (table, what) in found if table == "wrong"]
    wrong += ["row doubled" for n in found.values() if n > 1 and not wrong]
    lost = must_be_there - read_committed(disk, FOLDER).shards.keys()
    wrong += ["shard lost" for _ in lost]
    for table, shard in ((t, s) for t in ("edges", "tokens") for s in must_be_there):
        if not wrong and (table, f"{table} {shard}") not in found:
            wrong.append("rows lost")
    return wrong


def wrong_after_cut(disk: SimulatedDisk, must_be_there: set[int]) -> list[str]:
    """What a restart after a power cut finds wrong, before and after it recovers."""
    try:
        wrong = damage(disk, must_be_there)
        prepare(disk, FOLDER)
        collect(disk)
        for shard in SHARDS:
            commit_one(disk, shard)
        wrong += damage(disk, set(SHARDS))
        merge_some(disk, set(SHARDS))
        collect(disk)
        return wrong + damage(disk, set(SHARDS))
    except StoreError:
        return ["unreadable"]


def violations(
    disk: SimulatedDisk, script: str = "commits", *, until: str = ""
) -> tuple[set[str], int]:
    """Follow a script, cut the power after each operation; what went wrong.

    Once `until` went wrong, no more is tried. Also gives the number of disks tried.
    """
    chance, tried = random.Random(0), count()
    found: set[str] = set()
    must_be_there: set[int] = set()

    def wanted(shards: set[int]) -> None:
        must_be_there.clear()
        must_be_there.update(shards)

    def cut(now: SimulatedDisk) -> None:
        for after in now.power_cuts(chance, most=MOST):
            if until not in found:
                next(tried)
                found.update(wrong_after_cut(after, must_be_there))

    prepare(disk, FOLDER)
    disk.after_operation = cut
    SCRIPTS[script](disk, wanted)
    cut(disk)
    return found, next(tried)


@pytest.mark.parametrize(
    ("script", "least"), [("commits", 600), ("compaction", 1000), ("repair", 1000)]
)
def test_no_power_cut_loses_doubles_or_tears_a_row(script: str, least: int) -> None:
    """After any cut, what was acknowledged is whole and the rest can be done again."""
    found, n_states = violations(SimulatedDisk(), script)
    assert found == set()
    assert n_states > least


def unless(method: str, skipped: Callable[[str], bool]) -> SimulatedDisk:
    """A disk on which a protocol that leaves out some calls of a method runs."""
    real = getattr(SimulatedDisk, method)

    def instead(self: SimulatedDisk, path: str) -> None:
        if not skipped(path):
            real(self, path)

    mutant: type[SimulatedDisk] = type("Mutant", (SimulatedDisk,), {method: instead})
    return mutant()


@pytest.mark.parametrize(
    ("script", "method", "skipped", "consequence"),
    [
        ("commits", "fsync", lambda p: "/data/" in p, "committed file torn"),
        ("commits", "fsync", lambda p: "/tmp/" in p, "unreadable"),
        ("commits", "fsync_dir", lambda p: "shard=" in p, "committed file missing"),
        (
            "commits",
            "fsync_dir",
            lambda p: p.endswith("/edges"),
            "committed file missing",
        ),
        (
            "commits",
            "fsync_dir",
            lambda p: p.endswith("/data"),
            "committed file missing",
        ),
        ("commits", "fsync_dir", lambda p: "/commits" in p, "shard lost"),
        ("compaction", "fsync_dir", lambda p: "/blocks" in p, "committed file missing"),
        ("repair", "fsync_dir", lambda p: "/commits" in p, "committed file missing"),
    ],
    ids=[
        "data",
        "record",
        "shard folder",
        "table folder",
        "data folder",
        "commits",
        "log of blocks",
        "records taken away",
    ],
)
def test_every_sync_is_needed(
    script: str, method: str, skipped: Callable[[str], bool], consequence: str
) -> None:
    """Leaving out any one kind of sync is noticed, so the model has teeth."""
    found, _ = violations(unless(method, skipped), script, until=consequence)
    assert consequence in found


def test_collecting_must_spare_what_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A crash just after the link leaves the announcement of a committed attempt."""
    monkeypatch.setattr(protocol, "is_of_record", lambda *_: False)
    consequence = "committed file missing"
    found, _ = violations(SimulatedDisk(), until=consequence)
    assert consequence in found
