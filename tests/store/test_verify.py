"""Whatever is wrong with a store is found, named, and dropped if that is wanted."""

import hashlib
import shutil
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from flowglass.store import StoreError, open_store
from flowglass.store import verify as verifying
from flowglass.store.compact import compact
from flowglass.store.files import LocalFiles
from flowglass.store.record import from_bytes, to_bytes
from flowglass.store.run import RunWriter
from flowglass.store.verify import verify

from .builders import commit_shard, make_plan, write_run

GOLDEN = Path(__file__).parent / "golden/schema_1"
"""A sweep of tiny-gpt2 over two prompts, by the flowglass of schema version 1."""


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """A copy of a real sweep's store."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "swept"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three shards; the first two are one block."""
    write_run(tmp_path / "s", make_plan(), shards=range(2))
    compact(tmp_path / "s", grace=0)
    commit_shard(RunWriter(tmp_path / "s", make_plan()), 2)
    return tmp_path / "s"


def damages(root: Path) -> list[str]:
    return [damage.what for damage in verify(root).damages]


@pytest.mark.parametrize("store", ["swept", "root"])
def test_a_whole_store_is_found_whole(
    store: str, request: pytest.FixtureRequest
) -> None:
    """Every file and row is counted, nothing is wrong."""
    path = request.getfixturevalue(store)
    found = verify(path)
    assert found.damages == found.unnamed == ()
    assert found.n_files == len(list(path.glob("runs/*/data/*/*/*.parquet")))
    with open_store(path) as opened:
        (n,) = opened.sql("SELECT count(*) FROM edges").fetchall()[0]
    assert found.n_rows > n


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [(Path.unlink, "is missing"), (cut, "checksum"), (flip, "checksum")],
    ids=["missing", "cut", "a bit flipped"],
)
@pytest.mark.parametrize(
    ("unit", "shards"), [("shard=000002", {2}), ("shard=000000-000001", {0, 1})]
)
def test_a_damaged_file_costs_its_shards_and_no_other(
    root: Path,
    damage: Callable[[Path], None],
    message: str,
    unit: str,
    shards: set[int],
) -> None:
    """It is named; repair drops its shard or block, and the sweep does just that."""
    with open_store(root) as store:
        before = store.table("SELECT * FROM edges ORDER BY ALL")
    (victim,) = root.glob(f"runs/*/data/edges/{unit}/*.parquet")
    damage(victim)
    (what,) = damages(root)
    assert str(victim) in what
    assert message in what

    repaired = verify(root, repair=True)

    assert repaired.dropped == {"runs/run_id=tiny": shards}
    writer = RunWriter(root, make_plan())
    assert writer.committed() == {0, 1, 2} - shards
    with open_store(root) as store:
        assert store.sql("SELECT status FROM runs").fetchall() == [("partial",)]
        store.table("SELECT * FROM edges")
    for shard in shards:
        assert commit_shard(writer, shard)
    assert damages(root) == []
    with open_store(root) as store:
        assert store.table("SELECT * FROM edges ORDER BY ALL").equals(before)


def test_every_damaged_file_is_named(root: Path) -> None:
    """Not only the first; other runs' and shards' files are looked at all the same."""
    victims = sorted(root.glob("runs/*/data/*/*/*.parquet"))
    for victim in victims:
        flip(victim)
    cut(next(root.glob("runs/*/commits/000002.json")))
    said = damages(root)
    named = [v for v in victims if "000002" not in str(v)]
    assert all(any(str(victim) in what for what in said) for victim in named)
    assert any("commits/000002.json is damaged" in what for what in said)


@pytest.mark.parametrize(
    ("record", "shards"), [("commits/000002", {0, 1}), ("blocks/000000", {2})]
)
def test_a_damaged_record_is_taken_away(
    root: Path, record: str, shards: set[int]
) -> None:
    """What it spoke of is done again, and counts once."""
    path = root / "runs/run_id=tiny" / f"{record}.json"
    cut(path)
    assert any(f"{path} is damaged" in what for what in damages(root))
    with pytest.raises(StoreError, match=r"is damaged: .*--repair"):
        open_store(root)

    repaired = verify(root, repair=True)

    writer = RunWriter(root, make_plan())
    assert writer.committed() == shards
    assert repaired.dropped == {"runs/run_id=tiny": {0, 1, 2} - shards}
    for shard in {0, 1, 2} - shards:
        assert commit_shard(writer, shard)
    assert damages(root) == []
    with open_store(root) as store:
        assert store.sql("SELECT count(*) FROM prompts").fetchall() == [(6,)]


def test_a_record_under_another_name_goes(root: Path) -> None:
    """As a copy by hand may make; it is of no shard, so none is to be done again."""
    commits = root / "runs/run_id=tiny/commits"
    shutil.copy(commits / "000002.json", commits / "000040.json")
    (what,) = damages(root)
    assert "000040.json is of shard 2: it was renamed" in what
    assert verify(root, repair=True).dropped == {"runs/run_id=tiny": set()}
    assert damages(root) == []


def test_a_reader_from_before_sees_what_was_done_again(root: Path) -> None:
    """Its records are not remembered past a repair."""
    with open_store(root) as store:
        flip(next(root.glob("runs/*/data/edges/shard=000002/*")))
        verify(root, repair=True)
        commit_shard(RunWriter(root, make_plan()), 2)
        assert store.refresh()
        assert store.sql("SELECT count(contribution) FROM edges").fetchall() == [(12,)]


def change(root: Path, table: str, edit: Callable[[pa.Table], pa.Table]) -> None:
    """Change rows of a committed file, its record too, as a bug of ours would."""
    (path,) = root.glob(f"runs/*/data/{table}/*/*.parquet")
    pq.write_table(edit(pq.ParquetFile(path).read()), path)
    data = path.read_bytes()
    (record_path,) = root.glob("runs/*/commits/*.json")
    record = from_bytes(record_path.read_bytes(), path="")
    n_rows = pq.ParquetFile(path).metadata.num_rows
    files = tuple(
        replace(f, bytes=len(data), crc32=zlib.crc32(data), rows=n_rows)
        if f.table == table
        else f
        for f in record.files
    )
    record_path.write_bytes(to_bytes(replace(record, files=files)))


def scaled(column: str, by: float) -> Callable[[pa.Table], pa.Table]:
    def edit(rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index(column)
        values = pc.multiply(rows[column], pa.scalar(by, rows[column].type))
        return rows.set_column(place, rows.schema.field(place), values)

    return edit


@pytest.mark.parametrize(
    ("table", "edit", "message"),
    [
        ("edges", lambda r: pa.concat_tables([r, r.slice(0, 1)]), "two rows have"),
        ("edges", lambda r: r.slice(0, r.num_rows - 40), "not 1, where prompt_id"),
        ("edges", scaled("contribution", 1.1), r"kept.* is 1\.\d+, not 1"),
        ("steps", scaled("resid", 0.5), r"resid \+ attn \+ ffn is 0\.\d+, not 1"),
        ("prompts", scaled("closure", 1e9), "has a closure of"),
        ("prompts", lambda r: r.slice(0, 1), "1 rows of prompts, its record counts 2"),
        ("tokens", scaled("prompt_id", 7), "prompt 7 is of another shard"),
        ("tokens", lambda r: r.drop_columns(["token"]), r"columns \['token'\]"),
    ],
)
def test_rows_that_cannot_be_are_found(
    swept: Path, table: str, edit: Callable[[pa.Table], pa.Table], message: str
) -> None:
    """Checksums cannot tell; keys, sums, closure and counts do."""
    change(swept, table, edit)
    with pytest.raises(AssertionError, match=message):
        assert damages(swept) == []


def test_prompts_in_two_shards_are_found(root: Path) -> None:
    """As a plan that was changed by hand would make them."""
    writer = RunWriter(root / "twice", make_plan())
    commit_shard(writer, 0)
    (path,) = (root / "twice").glob("runs/*/commits/000000.json")
    record = from_bytes(path.read_bytes(), path="")
    second = replace(record, shard=1, files=())
    path.with_name("000001.json").write_bytes(to_bytes(second))
    said = damages(root / "twice")
    assert any("shards 0 and 1 both hold prompt 0" in what for what in said)
    (dropped,) = verify(root / "twice", repair=True).dropped.values()
    assert dropped == {0, 1}
    assert damages(root / "twice") == []


def test_files_that_no_record_names_are_told_and_removed(root: Path) -> None:
    """But not while somebody may be writing them."""
    lost = root / "runs/run_id=tiny/data/edges/shard=000009/0123456789ab.parquet"
    lost.parent.mkdir()
    lost.write_bytes(b"x")
    assert verify(root).unnamed == ()
    assert len(verify(root, grace=0).unnamed) == 1
    verify(root, grace=0, repair=True)
    assert not lost.exists()
    assert damages(root) == []


def test_what_cannot_be_done_again_is_to_be_restored(root: Path) -> None:
    """A plan is no shard: repair leaves it, and says what to do."""
    plan = root / "runs/run_id=tiny/plan.json"
    cut(plan)
    (damage,) = verify(root, repair=True).damages
    assert not damage.mended
    assert "restore it" in damage.what
    plan.unlink()
    (damage,) = verify(root).damages
    assert f"{plan} is missing: restore it" in damage.what


@pytest.mark.parametrize("table", ["steps", "edges", "tokens", "component_stats"])
def test_any_damaged_file_of_a_real_sweep_is_named(swept: Path, table: str) -> None:
    """Also where another table's rows are compared with it."""
    (victim,) = swept.glob(f"runs/*/data/{table}/*/*.parquet")
    flip(victim)
    (what,) = damages(swept)
    assert str(victim) in what
    assert verify(swept, repair=True).dropped == {"runs/run_id=golden": {0}}


@pytest.mark.parametrize("number", [0, 1])
def test_a_lost_entry_of_the_log_doubles_nothing(tmp_path: Path, number: int) -> None:
    """An entry that it replaced does not come back beside one that holds its shards."""
    writer = RunWriter(tmp_path, make_plan(n_shards=4))
    for shard in range(4):
        commit_shard(writer, shard)
        compact(tmp_path)
    (tmp_path / f"runs/run_id=tiny/blocks/{number:06d}.json").unlink()
    with open_store(tmp_path) as store:
        found = store.sql("SELECT prompt_id FROM prompts ORDER BY ALL").fetchall()
    assert found == [(prompt_id,) for prompt_id in range(8)]
    (lost,) = verify(tmp_path, repair=True).damages
    assert f"{number:06d}.json is missing: entries follow it" in lost.what
    assert damages(tmp_path) == []
    assert RunWriter(tmp_path, make_plan(n_shards=4)).committed() == {0, 1, 2, 3}


def test_a_record_of_a_later_flowglass_is_no_damage(root: Path) -> None:
    """It says to upgrade, and stays."""
    path = root / "runs/run_id=tiny/commits/000002.json"
    body = path.read_bytes().partition(b"\n")[0].replace(b'"version":1', b'"version":9')
    later = body + b"\n" + hashlib.sha256(body).hexdigest().encode() + b"\n"
    path.write_bytes(later)
    with pytest.raises(StoreError, match=r"has version 9, .*: upgrade"):
        verify(root, repair=True)
    assert path.read_bytes() == later


def test_what_is_merged_meanwhile_is_no_damage(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files went while it was looked at: the block is looked at instead."""

    def compact_first(files: LocalFiles, folder: str, *rest: Any) -> Any:
        monkeypatch.undo()
        compact(root, grace=0)
        return verifying.wrong_rows(files, folder, *rest)

    monkeypatch.setattr(verifying, "wrong_rows", compact_first)
    found = verify(root, repair=True)
    assert found.damages == ()
    assert found.n_files == 5
    assert RunWriter(root, make_plan()).committed() == {0, 1, 2}
