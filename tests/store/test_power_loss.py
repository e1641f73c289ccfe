"""Power may fail at any moment: every state the disk could be in is tried."""

import os
import random
import zlib
from collections.abc import Callable
from itertools import count

import pytest

from flowglass.store import commit as protocol
from flowglass.store.commit import Payload, collect_stale, commit, prepare, read_records
from flowglass.store.errors import StoreError

from .simulated_disk import SimulatedDisk

SHARDS = range(3)
FOLDER = "runs/run_id=x"
MOST = 400 if os.environ.get("FLOWGLASS_SOAK") else 16
"""Disks tried after each operation, where there are more."""


def commit_one(disk: SimulatedDisk, shard: int) -> bool:
    tables = {
        "edges": Payload(b"edges %d " % shard * 9, rows=9),
        "tokens": Payload(b"tokens %d " % shard * 5, rows=5),
    }
    return commit(
        disk,
        FOLDER,
        shard=shard,
        tables=tables,
        config_sha256="cafe",
        prompt_ids=[shard],
        info={},
        committed_at="now",
    )


def damage(disk: SimulatedDisk) -> list[str]:
    """What is wrong with the committed shards of a disk."""
    wrong = []
    for record in read_records(disk, FOLDER, known={}).values():
        for file in record.files:
            try:
                data = disk.read(f"{FOLDER}/{file.path}")
            except FileNotFoundError:
                wrong.append("committed file missing")
                continue
            if zlib.crc32(data) != file.crc32:
                wrong.append("committed file torn")
    return wrong


def wrong_after_cut(disk: SimulatedDisk, acknowledged: set[int]) -> list[str]:
    """What a restart after a power cut finds wrong, before and after it recovers."""
    try:
        there = read_records(disk, FOLDER, known={}).keys()
        wrong = ["acknowledged shard lost" for _ in acknowledged - there] + damage(disk)
        prepare(disk, FOLDER)
        collect_stale(disk, FOLDER, grace=0)
        for shard in SHARDS:
            commit_one(disk, shard)
        if set(read_records(disk, FOLDER, known={})) != set(SHARDS):
            wrong.append("recovery incomplete")
        return wrong + damage(disk)
    except StoreError:
        return ["unreadable"]


def violations(disk: SimulatedDisk, *, until: str = "") -> tuple[set[str], int]:
    """Commit three shards, cut the power after each operation; what went wrong.

    Once `until` went wrong, no more is tried. Also gives the number of disks tried.
    """
    chance, tried = random.Random(0), count()
    found: set[str] = set()
    acknowledged: set[int] = set()

    def cut(now: SimulatedDisk) -> None:
        for after in now.power_cuts(chance, most=MOST):
            if until not in found:
                next(tried)
                found.update(wrong_after_cut(after, acknowledged))

    prepare(disk, FOLDER)
    disk.after_operation = cut
    for shard in SHARDS:
        assert commit_one(disk, shard)
        acknowledged.add(shard)
    cut(disk)
    return found, next(tried)


def test_no_power_cut_loses_or_tears_a_committed_shard() -> None:
    """After any cut, acknowledged shards are whole and the rest can be done again."""
    found, n_states = violations(SimulatedDisk())
    assert found == set()
    assert n_states > 600


def unless(method: str, skipped: Callable[[str], bool]) -> SimulatedDisk:
    """A disk on which a protocol that leaves out some calls of a method runs."""
    real = getattr(SimulatedDisk, method)

    def instead(self: SimulatedDisk, path: str) -> None:
        if not skipped(path):
            real(self, path)

    mutant: type[SimulatedDisk] = type("Mutant", (SimulatedDisk,), {method: instead})
    return mutant()


@pytest.mark.parametrize(
    ("method", "skipped", "consequence"),
    [
        ("fsync", lambda path: "/data/" in path, "committed file torn"),
        ("fsync", lambda path: "/tmp/" in path, "unreadable"),
        ("fsync_dir", lambda path: "shard=" in path, "committed file missing"),
        ("fsync_dir", lambda path: path.endswith("/edges"), "committed file missing"),
        ("fsync_dir", lambda path: path.endswith("/data"), "committed file missing"),
        ("fsync_dir", lambda path: "/commits" in path, "acknowledged shard lost"),
    ],
    ids=["data", "record", "shard folder", "table folder", "data folder", "commits"],
)
def test_every_sync_is_needed(
    method: str, skipped: Callable[[str], bool], consequence: str
) -> None:
    """Leaving out any one kind of sync is noticed, so the model has teeth."""
    found, _ = violations(unless(method, skipped), until=consequence)
    assert consequence in found


def test_collecting_must_spare_what_is_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A crash just after the link leaves the announcement of a committed attempt."""
    monkeypatch.setattr(protocol, "_is_record_of", lambda *_: False)
    consequence = "committed file missing"
    found, _ = violations(SimulatedDisk(), until=consequence)
    assert consequence in found
