"""Small files become few, and nobody can tell from the rows."""

import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowglass.store import Store, StoreError, open_store
from flowglass.store.compact import compact
from flowglass.store.files import LocalFiles
from flowglass.store.layout import FORMAT, SCHEMA_VERSION
from flowglass.store.run import RunWriter
from flowglass.store.schema import TABLES

from .builders import commit_shard, make_plan, prompt_ids, write_run


def rows(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, in one order."""
    return {
        name: store.table(f"SELECT * FROM {name} ORDER BY ALL").to_pylist()
        for name in [*TABLES, "runs"]
    }


def data_files(root: Path) -> list[Path]:
    return sorted(root.glob("runs/*/data/*/*/*.parquet"))


def test_the_rows_stay_and_the_files_are_few(tmp_path: Path) -> None:
    """One file a table, in the table's order, and the roll-up added up."""
    write_run(tmp_path, make_plan(n_shards=5))
    with open_store(tmp_path) as store:
        before = rows(store)
    done = compact(tmp_path)
    assert (done.merged_files, done.into_files, done.waiting_files) == (25, 5, 25)
    with open_store(tmp_path) as store:
        assert rows(store) == before
        (edges,) = store.files("tiny", "edges")
        keys = "layer, head, prompt_id, query, key"
        lie = store.sql(f"SELECT {keys} FROM read_parquet('{edges}')").fetchall()
        assert lie == sorted(lie, key=lambda row: (row[1] is None, row))
        (stats,) = store.files("tiny", "component_stats")
        assert len(store.table(f"FROM read_parquet('{stats}')")) == 2 * (3 + 1)


def test_an_open_store_reads_on_and_sees_the_blocks_when_refreshed(
    tmp_path: Path,
) -> None:
    """Superseded files stay for a grace period; a later compaction removes them."""
    write_run(tmp_path, make_plan())
    with open_store(tmp_path) as store:
        before = rows(store)
        compact(tmp_path)
        assert rows(store) == before
        assert store.refresh()
        assert rows(store) == before
        assert compact(tmp_path, grace=0).removed_files == 15
        assert rows(store) == before
    assert len(data_files(tmp_path)) == 5
    assert compact(tmp_path, grace=0).removed_files == 0


def test_a_sweep_goes_on_behind_a_block(tmp_path: Path) -> None:
    """Merged shards stay committed, whoever tries them again; new ones come beside."""
    writer = write_run(tmp_path, make_plan(n_shards=4), shards=range(3))
    compact(tmp_path, grace=0)
    assert writer.committed() == {0, 1, 2}
    assert writer.totals()["n_prompts"] == 6
    assert not commit_shard(writer, 1)
    assert commit_shard(writer, 3)
    with open_store(tmp_path) as store:
        assert store.snapshot.runs["tiny"].status == "complete"
        assert store.sql("SELECT count(*) FROM prompts").fetchall() == [(8,)]
    compact(tmp_path, grace=0)  # the block and the new shard
    assert len(data_files(tmp_path)) == 5


def test_a_prompt_is_in_one_file_of_a_block(tmp_path: Path) -> None:
    """Found by the records that the block keeps."""
    write_run(tmp_path, make_plan(n_shards=4))
    compact(tmp_path, target_rows=8)  # two shards of four edges each
    with open_store(tmp_path) as store:
        assert len(store.files("tiny", "edges")) == 2
        for shard in range(4):
            for prompt_id in prompt_ids(shard):
                (file,) = store.files("tiny", "edges", prompt_id)
                found = store.sql(f"SELECT DISTINCT prompt_id FROM '{file}'").fetchall()
                assert (prompt_id,) in found


def test_what_is_large_enough_is_left_alone(tmp_path: Path) -> None:
    """Or a block would be written again with every shard that comes."""
    write_run(tmp_path, make_plan(n_shards=4))
    assert compact(tmp_path, target_rows=8).into_files == 10
    assert compact(tmp_path, target_rows=8).into_files == 0
    assert compact(tmp_path, target_rows=6).into_files == 0


def test_only_neighbours_are_merged(tmp_path: Path) -> None:
    """A shard that is still missing parts its neighbours."""
    writer = RunWriter(tmp_path, make_plan(n_shards=5))
    for shard in (0, 1, 3, 4):
        commit_shard(writer, shard)
    compact(tmp_path)
    with open_store(tmp_path) as store:
        assert len(store.files("tiny", "edges")) == 2


def test_a_damaged_file_is_named_and_not_merged(tmp_path: Path) -> None:
    """The checksum says so; nothing is superseded."""
    write_run(tmp_path, make_plan())
    victim = next(tmp_path.glob("runs/*/data/edges/shard=000001/*"))
    data = bytearray(victim.read_bytes())
    data[40] ^= 1
    victim.write_bytes(data)
    with pytest.raises(StoreError, match=r"edges/shard=000001.*checksum.*--repair"):
        compact(tmp_path)
    assert not list(tmp_path.glob("runs/*/blocks/*"))


def test_an_older_flowglass_refuses_a_compacted_store(tmp_path: Path) -> None:
    """It would look for the shards' own files; so the store says its new version."""
    write_run(tmp_path, make_plan())
    (tmp_path / FORMAT).write_text('{"format": "flowglass", "schema_version": 1}')
    compact(tmp_path)
    assert f'"schema_version": {SCHEMA_VERSION}' in (tmp_path / FORMAT).read_text()


def test_compacting_what_is_no_store_is_refused(tmp_path: Path) -> None:
    """And makes nothing."""
    with pytest.raises(StoreError, match="no store at"):
        compact(tmp_path / "nothing")
    assert os.listdir(tmp_path) == []


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), n_shards=st.integers(1, 7))
def test_any_order_of_commits_and_compactions_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n_shards: int
) -> None:
    """Blocks of blocks, with shards that come late, equal the plain store."""
    chance = random.Random(seed)
    plain, mixed = (tmp_path_factory.mktemp(name) for name in ("plain", "mixed"))
    write_run(plain, make_plan(n_shards=n_shards))
    writer = RunWriter(mixed, make_plan(n_shards=n_shards))
    for shard in chance.sample(range(n_shards), n_shards):
        commit_shard(writer, shard)
        if chance.random() < 0.5:
            target = chance.choice([8, 12, 100])
            compact(mixed, target_rows=target, grace=chance.choice([0, 1e9]))
    with open_store(plain) as one, open_store(mixed) as other:
        wanted, found = rows(one), rows(other)
    for table in ("edges", "prompts", "targets", "importance", "component_stats"):
        assert found[table] == wanted[table]
    assert found["runs"][0]["status"] == "complete"


def test_few_rows_may_be_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block's files stay below a size, whatever they have in rows."""
    write_run(tmp_path, make_plan(n_shards=4))
    sizes = [f.stat().st_size for f in tmp_path.glob("runs/*/data/*/*/*.parquet")]
    monkeypatch.setattr("flowglass.store.compact.MOST_BYTES", 2 * max(sizes))
    assert compact(tmp_path).into_files == 10
    monkeypatch.setattr("flowglass.store.compact.MOST_BYTES", max(sizes))
    assert compact(tmp_path).into_files == 0


def test_no_record_is_read_again_for_every_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a compaction of ten thousand shards would read millions of them."""
    n_shards = 40
    write_run(tmp_path, make_plan(n_shards=n_shards))
    read: list[str] = []
    real = LocalFiles.read

    def counted(self: LocalFiles, path: str) -> bytes:
        read.append(path)
        return real(self, path)

    monkeypatch.setattr(LocalFiles, "read", counted)
    assert compact(tmp_path, target_rows=8).into_files == n_shards // 2 * 5
    records = [path for path in read if "/commits/" in path or "/blocks/" in path]
    assert len(records) < 4 * n_shards
