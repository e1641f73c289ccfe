"""A shard is committed exactly once, whatever writers do to each other."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowglass.store import StoreError
from flowglass.store.commit import Payload, collect_stale, commit, prepare
from flowglass.store.committed import read_committed
from flowglass.store.files import LocalFiles

FOLDER = "runs/run_id=x"
TABLES = {"edges": Payload(b"e" * 1000, rows=10), "tokens": Payload(b"t", rows=1)}

WRITER = """
import random, sys
from pathlib import Path
from flowglass.store.commit import Payload, commit
from flowglass.store.files import LocalFiles
shards = list(range(int(sys.argv[2])))
random.Random(int(sys.argv[3])).shuffle(shards)
tables = {t: Payload(bytes(20_000), rows=1) for t in ("edges", "tokens", "steps")}
for shard in shards:
    won = commit(LocalFiles(Path(sys.argv[1])), "runs/run_id=x", shard=shard,
                 tables=tables, config_sha256="c", prompt_ids=[shard], info={},
                 committed_at="now")
    print(shard, int(won), flush=True)
"""


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    files = LocalFiles(tmp_path)
    prepare(files, FOLDER)
    return files


def commit_one(files: LocalFiles, shard: int = 0) -> bool:
    return commit(
        files,
        FOLDER,
        shard=shard,
        tables=TABLES,
        config_sha256="cafe",
        prompt_ids=[4, 5, 9],
        info={"n_prompts": 3},
        committed_at="2026-01-01T00:00:00+00:00",
    )


def data_files(root: Path) -> set[str]:
    folder = root / FOLDER
    return {str(path.relative_to(folder)) for path in folder.rglob("*.parquet")}


def start_writer(root: Path, n_shards: int, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), str(n_shards), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_record_says_what_was_committed(files: LocalFiles) -> None:
    """Files with rows, sizes and checksums, prompts as ranges, and the counts."""
    assert commit_one(files)
    record = read_committed(files, FOLDER).shards[0]
    assert [(f.table, f.rows, f.bytes) for f in record.files] == [
        ("edges", 10, 1000),
        ("tokens", 1, 1),
    ]
    assert {f.path for f in record.files} == data_files(files.root)
    assert record.prompts == ((4, 6), (9, 10))
    assert record.info == {"n_prompts": 3}
    assert record.holds(5)
    assert not record.holds(6)


def test_who_comes_second_loses_and_leaves_nothing(files: LocalFiles) -> None:
    """The first commit of a shard stands; the second is told and cleans up."""
    assert commit_one(files)
    before = data_files(files.root)
    assert not commit_one(files)
    assert data_files(files.root) == before
    assert os.listdir(files.root / FOLDER / "tmp") == []


def test_racing_processes_commit_every_shard_once(files: LocalFiles) -> None:
    """Of two processes that do the same shards, one wins each; no file is left over."""
    writers = [start_writer(files.root, 25, seed) for seed in range(2)]
    said = [line.split() for w in writers for line in w.communicate()[0].splitlines()]
    won = [int(shard) for shard, won in said if won == "1"]
    assert len(said) == 50
    assert sorted(won) == list(range(25))
    records = read_committed(files, FOLDER).shards.values()
    assert data_files(files.root) == {f.path for r in records for f in r.files}


def test_killed_writers_lose_nothing_they_reported(files: LocalFiles) -> None:
    """kill -9 at any moment: what was reported stays, the rest is done again."""
    chance, n_shards = random.Random(1), 200
    reported: set[int] = set()
    for _ in range(50 if os.environ.get("FLOWGLASS_SOAK") else 5):
        writer = start_writer(files.root, n_shards, chance.randrange(999))
        assert writer.stdout is not None
        reported.add(int(writer.stdout.readline().split()[0]))
        time.sleep(chance.uniform(0, 0.1))
        writer.send_signal(signal.SIGKILL)
        rest = writer.communicate()[0].splitlines(keepends=True)
        reported |= {int(line.split()[0]) for line in rest if line.endswith("\n")}
        collect_stale(files, FOLDER, grace=0)
        records = read_committed(files, FOLDER).shards
        assert reported <= records.keys()
        named = {f.path for r in records.values() for f in r.files}
        assert data_files(files.root) == named


def test_a_dead_attempt_is_collected_after_its_grace(files: LocalFiles) -> None:
    """Young files may belong to a writer at work; old ones do not."""
    committed = commit_one(files, shard=0) and data_files(files.root)
    left_over = "data/edges/shard=000001/0123456789ab.parquet"
    announced = "tmp/000001-0123456789ab.json"
    for path in (left_over, announced):
        (files.root / FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (files.root / FOLDER / path).write_bytes(b"")
    assert collect_stale(files, FOLDER) == 0
    two_days_ago = time.time() - 2 * 86400
    os.utime(files.root / FOLDER / announced, (two_days_ago, two_days_ago))
    assert collect_stale(files, FOLDER) == 1
    assert data_files(files.root) == committed
    assert os.listdir(files.root / FOLDER / "tmp") == []


def test_a_sleeper_taken_for_dead_cannot_commit(files: LocalFiles) -> None:
    """Its files were collected while it slept, so no record of it may come."""

    class Sleepy(LocalFiles):
        def fill(self, path: str, data: bytes) -> None:
            collect_stale(files, FOLDER, grace=0)
            super().fill(path, data)

    with pytest.raises(StoreError, match="removed meanwhile; run the same command"):
        commit_one(Sleepy(files.root))
    assert read_committed(files, FOLDER).shards == {}
    assert data_files(files.root) == set()


def test_a_sleeper_that_committed_keeps_its_files(files: LocalFiles) -> None:
    """Collecting at the very moment of its link takes the announcement alone."""

    class Sleepy(LocalFiles):
        def link(self, source: str, target: str) -> bool:
            won = super().link(source, target)
            collect_stale(files, FOLDER, grace=0)
            return won

    assert commit_one(Sleepy(files.root))
    (record,) = read_committed(files, FOLDER).shards.values()
    assert data_files(files.root) == {file.path for file in record.files}


def test_the_age_of_a_record_counts_from_its_commit(files: LocalFiles) -> None:
    """Not from its writing: the machine may have slept in between."""

    class Sleepy(LocalFiles):
        def link(self, source: str, target: str) -> bool:
            two_days_ago = time.time() - 2 * 86400
            os.utime(self.root / source, (two_days_ago, two_days_ago))
            return super().link(source, target)

    assert commit_one(Sleepy(files.root))
    assert files.age(f"{FOLDER}/commits/000000.json") < 3600


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_record_is_named_with_its_remedy(
    files: LocalFiles, damage: str
) -> None:
    """A torn or altered record is an error; without it the shard is done again."""
    commit_one(files, shard=7)
    path = files.root / FOLDER / "commits" / "000007.json"
    whole = path.read_bytes()
    changed = whole.replace(b"edges", b"edgez")
    path.write_bytes(whole[:-20] if damage == "cut" else changed)
    with pytest.raises(StoreError, match=r"000007\.json is damaged: .*--repair"):
        read_committed(files, FOLDER)
    path.unlink()
    assert commit_one(files, shard=7)


def test_other_files_beside_the_records_are_no_shards(files: LocalFiles) -> None:
    """What a file manager or a network disk leaves there is not taken for a record."""
    commit_one(files, shard=3)
    (files.root / FOLDER / "commits" / ".nfs0001").touch()
    (files.root / FOLDER / "commits" / "copy of 000004.json").touch()
    assert read_committed(files, FOLDER).shards.keys() == {3}
