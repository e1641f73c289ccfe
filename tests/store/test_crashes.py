"""kill -9 at any moment of a sweep, a compaction or a repair costs nothing."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowglass.store import open_store
from flowglass.store.layout import files_at
from flowglass.store.verify import verify

from .builders import make_plan, write_run
from .crash_worker import N_SHARDS, WORK
from .s3_server import S3Server

KILLS = 100 if os.environ.get("FLOWGLASS_SOAK") else 10
HERE = Path(__file__).parents[2]
TABLES = ("prompts", "targets", "edges", "importance", "component_stats")


def start(store: str, what: str, chance: random.Random) -> subprocess.Popen[str]:
    """A worker that is ready to begin."""
    command = [sys.executable, "-m", "tests.store.crash_worker", store, what]
    worker = subprocess.Popen(
        [*command, str(chance.randrange(999))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=HERE,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def finish(worker: subprocess.Popen[str]) -> set[int]:
    """The shards that it said it had committed; it must not have failed by itself."""
    out, errors = worker.communicate()
    assert worker.returncode in (0, -9), errors
    return {int(line) for line in out.splitlines(keepends=True) if line.endswith("\n")}


def rows(store: str) -> dict[str, Counter[str]]:
    """Every row of the tables, as often as it is there."""
    with open_store(store) as opened:
        return {
            table: Counter(map(repr, opened.table(f"FROM {table}").to_pylist()))
            for table in TABLES
        }


def damage_one(store: str, chance: random.Random) -> str:
    """Flip a bit in a committed file; the folder that is to be repaired."""
    files = files_at(store)
    with open_store(store) as opened:
        some = opened.files("tiny", chance.choice(TABLES))
        if not some:
            return ""
        path = chance.choice(some).removeprefix(f"{opened.root}/")
    data = bytearray(files.read(path))
    data[len(data) // 2] ^= 1
    files.replace(path, bytes(data))
    return path


def survives(
    store: str,
    chance: random.Random,
    undisturbed: dict[str, Any],
    *,
    settle: Callable[[], None] = lambda: None,
) -> None:
    """Kill, look, go on; in the end nothing tells the store from an undisturbed one."""
    committed: set[int] = set()
    for kill in range(KILLS):
        what = list(WORK)[kill % len(WORK)]
        damaged = damage_one(store, chance) if what == "repair" and committed else ""
        workers = [start(store, what, chance)]
        if what == "compaction" or chance.random() < 0.3:  # others at work meanwhile
            workers.append(start(store, "sweep", chance))
        time.sleep(chance.uniform(0, 0.15))
        for worker in workers:
            worker.kill()
        for worker in workers:
            committed |= finish(worker)
        settle()
        if damaged:
            found = verify(store)
            assert all(damaged in d.what for d in found.damages), found.damages
            dropped = verify(store, repair=True, grace=0).dropped
            committed -= set().union(*dropped.values())
            with open_store(store) as opened:
                now = opened.snapshot.runs["tiny"].committed.shards.keys()
            committed &= now  # the killed repair may have dropped some itself
        assert verify(store).damages == ()
        with open_store(store) as opened:
            there = opened.snapshot.runs["tiny"].committed.shards.keys()
        assert committed <= there
        found_rows = rows(store)
        for table in TABLES[:-1]:
            assert found_rows[table] <= undisturbed[table], f"{table} has rows twice"
    for what in ("sweep", "compaction"):
        finish(start(store, what, chance))
    assert verify(store, repair=True, grace=0).damages == ()
    assert rows(store) == undisturbed
    assert verify(store, grace=0).unnamed == ()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Counter[str]]:
    """What the finished store holds if nobody is killed."""
    root = tmp_path_factory.mktemp("undisturbed")
    write_run(root, make_plan(n_shards=N_SHARDS))
    return rows(str(root))


def test_on_an_object_store(
    s3: tuple[S3Server, str], undisturbed: dict[str, Counter[str]]
) -> None:
    """The same protocol by exclusive PUTs; the store's address is a URL."""
    server, address = s3
    store = f"{address}/runs"
    write_run(store, make_plan(n_shards=N_SHARDS), shards=range(2))
    # A request that a killed worker had sent may still be under way.
    survives(store, random.Random(2), undisturbed, settle=server.finish)


def test_on_a_disk(tmp_path: Path, undisturbed: dict[str, Counter[str]]) -> None:
    """A folder of this machine."""
    write_run(tmp_path, make_plan(n_shards=N_SHARDS), shards=range(2))
    survives(str(tmp_path), random.Random(1), undisturbed)
