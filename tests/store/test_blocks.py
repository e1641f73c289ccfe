"""The log of blocks: added to by one at a time, given up where somebody was faster."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowglass.store import open_store
from flowglass.store.blocks import (
    collect_superseded,
    drop,
    drop_attempts,
    merge,
    superseded,
)
from flowglass.store.committed import read_committed
from flowglass.store.compact import compact, merged_tables
from flowglass.store.files import LocalFiles
from flowglass.store.run import RunWriter
from flowglass.store.verify import verify

from .builders import commit_shard, make_plan, write_run

FOLDER = "runs/run_id=tiny"


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    """Four shards."""
    write_run(tmp_path, make_plan(n_shards=4))
    return LocalFiles(tmp_path)


def merge_shards(files: LocalFiles, *shards: int) -> bool:
    units = [read_committed(files, FOLDER).records[shard] for shard in shards]
    return merge(files, FOLDER, units, merged_tables(files, FOLDER, units))


def prompts(files: LocalFiles) -> list[int]:
    with open_store(files.root) as store:
        rows = store.sql("SELECT prompt_id FROM prompts ORDER BY ALL").fetchall()
    return [prompt_id for (prompt_id,) in rows]


def test_who_merges_what_was_merged_meanwhile_gives_up(files: LocalFiles) -> None:
    """Nothing of the attempt is left, and the rows are there once."""
    units = list(read_committed(files, FOLDER).units[:2])
    tables = merged_tables(files, FOLDER, units)
    assert merge_shards(files, 1, 2)
    assert not merge(files, FOLDER, units, tables)
    assert prompts(files) == [*range(8)]
    assert verify(files.root, grace=0).unnamed == ()


def test_who_merges_what_was_dropped_meanwhile_gives_up(files: LocalFiles) -> None:
    """Or a repair would be undone; also where the shard has come again."""
    units = list(read_committed(files, FOLDER).units[:2])
    tables = merged_tables(files, FOLDER, units)
    assert drop(files, FOLDER, {1}) == {1}
    assert not merge(files, FOLDER, units, tables)
    commit_shard(RunWriter(files.root, make_plan(n_shards=4)), 1)
    assert not merge(files, FOLDER, units, tables)
    assert prompts(files) == [*range(8)]


def test_disjoint_merges_both_count(files: LocalFiles) -> None:
    """The second finds its number taken, looks, and takes the next."""
    first, second = ([*read_committed(files, FOLDER).units[s : s + 2]] for s in (0, 2))
    tables = merged_tables(files, FOLDER, second)

    class Slow(LocalFiles):
        def link(self, source: str, target: str) -> bool:
            if target.endswith("blocks/000000.json"):
                merge(files, FOLDER, first, merged_tables(files, FOLDER, first))
            return super().link(source, target)

    assert merge(Slow(files.root), FOLDER, second, tables)
    assert read_committed(files, FOLDER).blocks.keys() == {0, 1}
    assert prompts(files) == [*range(8)]


def test_dropping_a_shard_takes_its_block(files: LocalFiles) -> None:
    """Its rows cannot be taken out of a file; all are done again, once."""
    merge_shards(files, 0, 1)
    assert drop(files, FOLDER, {1}) == {0, 1}
    assert prompts(files) == [4, 5, 6, 7]
    writer = RunWriter(files.root, make_plan(n_shards=4))
    assert writer.committed() == {2, 3}
    assert commit_shard(writer, 0)
    assert commit_shard(writer, 1)
    assert prompts(files) == [*range(8)]
    assert collect_superseded(files, FOLDER, grace=0) > 0
    assert prompts(files) == [*range(8)]


def test_many_who_compact_at_once_are_as_one(files: LocalFiles) -> None:
    """While others read; the rows are there once, and no file is left over."""
    with ThreadPoolExecutor(6) as pool:
        done = [pool.submit(compact, files.root) for _ in range(4)]
        seen = [pool.submit(prompts, files) for _ in range(6)]
    assert all(reader.result() == [*range(8)] for reader in seen)
    assert sum(each.result().into_files for each in done) == 5
    assert prompts(files) == [*range(8)]
    found = verify(files.root, grace=0)
    assert found.damages == found.unnamed == ()


def test_what_was_done_again_meanwhile_is_not_dropped(files: LocalFiles) -> None:
    """Two repairs that found the same damage: the second leaves the new shard."""
    (attempt,) = (u.attempt for u in read_committed(files, FOLDER).units[1:2])
    assert drop_attempts(files, FOLDER, {attempt}) == {1}
    commit_shard(RunWriter(files.root, make_plan(n_shards=4)), 1)
    assert drop_attempts(files, FOLDER, {attempt}) == set()
    assert prompts(files) == [*range(8)]


def test_a_merge_does_not_save_what_is_being_dropped(files: LocalFiles) -> None:
    """It slips in after the look and before the record goes; the block goes too."""

    class Slow(LocalFiles):
        merged = False

        def unlink(self, path: str) -> None:
            if not self.merged and path.endswith("commits/000001.json"):
                self.merged = merge_shards(files, 0, 1, 2)
            super().unlink(path)

    assert drop(Slow(files.root), FOLDER, {1}) == {0, 1, 2}
    assert prompts(files) == [6, 7]


def test_a_reader_sees_what_comes_after_a_repair_that_died(files: LocalFiles) -> None:
    """Between taking the record away and saying so; the shard is done again at once."""

    class Dying(LocalFiles):
        def fsync_dir(self, path: str) -> None:
            super().fsync_dir(path)
            gone = not self.exists(f"{FOLDER}/commits/000001.json")
            if gone and path.endswith("/commits"):
                raise KeyboardInterrupt

    before = read_committed(files, FOLDER)
    with pytest.raises(KeyboardInterrupt):
        drop(Dying(files.root), FOLDER, {1})
    commit_shard(RunWriter(files.root, make_plan(n_shards=4)), 1)
    seen = read_committed(files, FOLDER, known=before)
    assert seen.records == read_committed(files, FOLDER).records
    assert seen.records[1].attempt != before.records[1].attempt


def test_what_waits_is_what_is_there_and_counts_once(files: LocalFiles) -> None:
    """A block that is dropped supersedes files, as did the merge that made it."""
    merge_shards(files, 0, 1)
    drop(files, FOLDER, {1})
    assert len(superseded(files, FOLDER)) == 15  # of two shards, and of the block
    assert collect_superseded(files, FOLDER, grace=0) == 15
    assert superseded(files, FOLDER) == {}
    assert collect_superseded(files, FOLDER, grace=0) == 0
