"""Writers of one run on an object store race, are killed, and are read meanwhile."""

import os
import random
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event
from uuid import uuid4

import pytest

from flowglass.store.commit import Payload, collect_stale, commit, prepare
from flowglass.store.committed import commit_path, read_committed
from flowglass.store.remote import RemoteFiles, remote_files

from .s3_server import S3Server

FOLDER = "runs/run_id=x"
ROUNDS = 10 if os.environ.get("FLOWGLASS_SOAK") else 1
"""Of 10 kills each."""

WRITER = """
import random
from flowglass.store.commit import Payload, commit
from flowglass.store.remote import remote_files
files = remote_files(url)
files.listdir("runs")
with open(said, "w", buffering=1) as out:
    print("ready", file=out)
    for shard in random.Random(seed).sample(range(n_shards), n_shards):
        tables = {t: Payload(b"%d " % shard * 99, rows=1) for t in ("edges", "tokens")}
        won = commit(files, "runs/run_id=x", shard=shard, tables=tables, info={},
                     config_sha256="c", prompt_ids=[shard], committed_at="now")
        print(shard, int(won), file=out)
"""


@dataclass(frozen=True)
class Writer:
    """A process that commits shards, and the file in which it says so."""

    process: ForkServerProcess
    said: Path

    def lines(self) -> list[list[str]]:
        """What it has said so far, in whole lines."""
        if not self.said.exists():
            return []
        lines = self.said.read_text().splitlines(keepends=True)
        return [line.split() for line in lines if line.endswith("\n")]

    def committed(self) -> list[tuple[int, bool]]:
        """The shards that it found committed, and whether by itself."""
        return [(int(shard), won == "1") for shard, won in self.lines()[1:]]


@pytest.fixture
def files(s3: tuple[S3Server, str], request: pytest.FixtureRequest) -> RemoteFiles:
    files = remote_files(f"{s3[1]}/{request.node.name}")
    prepare(files, FOLDER)
    return files


def commit_shards(files: RemoteFiles, n_shards: int, seed: int) -> list[int]:
    """Try all shards in an order of one's own; those that were won."""
    won = []
    for shard in random.Random(seed).sample(range(n_shards), n_shards):
        tables = {"edges": Payload(b"%d of %d " % (shard, seed) * 99, rows=9)}
        if commit(
            files,
            FOLDER,
            shard=shard,
            tables=tables,
            config_sha256="c",
            prompt_ids=[shard],
            info={},
            committed_at="now",
        ):
            won.append(shard)
    return won


@pytest.fixture
def start_writer(files: RemoteFiles, tmp_path: Path) -> Callable[[int, int], Writer]:
    """Starts processes that are about to commit their first shard."""
    context = get_context("forkserver")  # what is imported once is there for all
    context.set_forkserver_preload(["s3fs", "flowglass.store.remote"])

    def start(n_shards: int, seed: int) -> Writer:
        said = tmp_path / uuid4().hex
        values = {"url": files.where(""), "n_shards": n_shards, "seed": seed}
        process = context.Process(target=exec, args=(WRITER, values | {"said": said}))
        process.start()
        writer = Writer(process, said)
        while not writer.lines():
            assert process.is_alive()
            time.sleep(0.005)
        return writer

    return start


@dataclass(frozen=True)
class Found:
    """What is committed, and what is wrong."""

    shards: set[int]
    damaged: list[str]
    """Files that are gone, or not as they were committed."""
    unnamed: set[str]
    """Files that no record names."""


def look(files: RemoteFiles) -> Found:
    root = files.objects.key("")
    shards = read_committed(files, FOLDER).shards
    all_keys = files.objects.file_system.find(root)
    named = {f"{FOLDER}/{file.path}": file for r in shards.values() for file in r.files}
    there = files.read_all(named)
    damaged = [
        path
        for path, file in named.items()
        if path not in there or zlib.crc32(there[path]) != file.crc32
    ]
    records = {commit_path(FOLDER, shard) for shard in shards}
    unnamed = {key.removeprefix(f"{root}/") for key in all_keys} - named.keys()
    return Found(set(shards), damaged, unnamed - records)


def test_racing_threads_commit_every_shard_once(files: RemoteFiles) -> None:
    """Of six threads that do the same shards, one wins each; no file is left over."""
    with ThreadPoolExecutor(6) as threads:
        won = list(threads.map(lambda seed: commit_shards(files, 6, seed), range(6)))
    assert sorted(chain.from_iterable(won)) == list(range(6))
    assert look(files) == Found(set(range(6)), [], set())


def test_racing_processes_commit_every_shard_once(
    files: RemoteFiles, start_writer: Callable[[int, int], Writer]
) -> None:
    """Nor do two processes that do the same shards come between each other."""
    writers = [start_writer(12, seed) for seed in range(2)]
    for writer in writers:
        writer.process.join()
    found = [each for writer in writers for each in writer.committed()]
    assert len(found) == 24
    assert sorted(shard for shard, won in found if won) == list(range(12))
    assert look(files) == Found(set(range(12)), [], set())


def test_readers_see_whole_shards_alone(files: RemoteFiles) -> None:
    """Whatever is committed so far is whole, at any moment of writing."""
    done, seen = Event(), []

    def read() -> None:
        reader = remote_files(files.where(""))
        while not done.is_set():
            found = look(reader)
            assert found.damaged == []
            seen.append(len(found.shards))

    with ThreadPoolExecutor(3) as threads:
        reading = threads.submit(read)
        writing = [threads.submit(commit_shards, files, 12, seed) for seed in range(2)]
        try:
            won = [shard for writer in writing for shard in writer.result()]
        finally:
            done.set()
        reading.result()
    assert sorted(won) == list(range(12))
    assert seen == sorted(seen)
    assert len(set(seen)) > 2, "the reader has seen shards come"


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_writers_lose_nothing_they_reported(
    s3: tuple[S3Server, str],
    files: RemoteFiles,
    start_writer: Callable[[int, int], Writer],
    seed: int,
) -> None:
    """kill -9 at any moment: what was reported stays, the rest is done again."""
    chance, n_shards = random.Random(seed), 50
    reported: set[int] = set()
    for kill in range(10):
        writers = [
            start_writer(n_shards, chance.randrange(999)) for _ in range(1 + kill % 2)
        ]
        time.sleep(chance.uniform(0, 0.3))
        for writer in writers:
            writer.process.kill()
        for writer in writers:
            writer.process.join()
            reported |= {shard for shard, _ in writer.committed()}
        s3[0].finish()
        collect_stale(files, FOLDER, grace=0)
        found = look(files)
        assert found == Found(found.shards | reported, [], set())
    assert reported
    commit_shards(files, n_shards, seed=0)
    assert look(files) == Found(set(range(n_shards)), [], set())
