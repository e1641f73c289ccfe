"""What is damaged or no store is named, with what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flowglass.store import StoreError, open_store
from flowglass.store.compact import compact
from flowglass.store.layout import FORMAT
from flowglass.store.verify import verify

from .builders import commit_shard, make_plan, write_run


def test_records_of_another_configuration_are_noticed(tmp_path: Path) -> None:
    """A plan.json that was changed by hand does not describe its shards any more."""
    write_run(tmp_path, make_plan(), shards=range(1))
    plan = tmp_path / "runs/run_id=tiny/plan.json"
    plan.write_text(plan.read_text().replace('"0123abcd"', '"other"'))
    with pytest.raises(StoreError, match="another configuration"):
        open_store(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "cut", "empty"])
def test_a_damaged_file_is_named_with_its_remedy(tmp_path: Path, damage: str) -> None:
    """The file, and what drops its shard so that it is done again."""
    write_run(tmp_path, make_plan())
    with open_store(tmp_path) as store:
        path = Path(store.files("tiny", "edges")[1])
        data = path.read_bytes()
        path.unlink()
        if damage != "missing":
            path.write_bytes(data[:100] if damage == "cut" else b"")
        with pytest.raises(StoreError) as refusal:
            store.table("SELECT sum(contribution) FROM edges")
    assert str(path) in str(refusal.value)
    assert "`flowglass verify STORE --repair`" in str(refusal.value)
    assert verify(tmp_path, repair=True).dropped == {"runs/run_id=tiny": {1}}
    with open_store(tmp_path) as store:
        store.table("SELECT sum(contribution) FROM edges")


FOOTER_LENGTH = slice(-8, -4)


def without_footer(data: bytes) -> bytes:
    return data[: -8 - int.from_bytes(data[FOOTER_LENGTH], "little")]


def with_blank_footer(data: bytes) -> bytes:
    kept = without_footer(data)
    return kept + bytes(len(data) - len(kept) - 8) + data[-8:]


@pytest.mark.parametrize("damage", [without_footer, with_blank_footer])
def test_a_table_whose_first_file_is_damaged_is_mended_by_the_remedy(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """The store does not open; once it is repaired it does."""
    root = tmp_path / "a store [1]"
    write_run(root, make_plan())
    (path,) = root.glob("runs/*/data/edges/shard=000000/*")
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(StoreError) as refusal:
        open_store(root)

    assert f"file {path} is missing or damaged" in str(refusal.value)
    assert "--repair" in str(refusal.value)
    verify(root, repair=True)
    with open_store(root) as store:
        assert store.sql("SELECT count(*) FROM edges").fetchall() == [(8,)]


def test_a_failed_refresh_leaves_what_was_shown(tmp_path: Path) -> None:
    """A damaged file is reported; once it is mended the store goes on."""
    writer = write_run(tmp_path, make_plan(), shards=range(0))
    with open_store(tmp_path) as store:
        commit_shard(writer, 0)
        (path,) = tmp_path.glob("runs/run_id=tiny/data/prompts/*/*")
        path.rename(tmp_path / "away")
        with pytest.raises(StoreError, match="missing or damaged"):
            store.refresh()
        assert store.sql("SELECT count(*) FROM edges").fetchall() == [(0,)]
        (tmp_path / "away").rename(path)
        assert store.refresh()
        assert store.sql("SELECT count(*) FROM edges").fetchall() == [(4,)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no store at .*: give a folder"),
        ("{", "damaged"),
        ('{"format": "other", "schema_version": 1}', "no flowglass store"),
        (
            '{"format": "flowglass", "schema_version": 9}',
            "schema version 9, this flowglass reads up to 2: upgrade",
        ),
    ],
)
def test_what_is_no_store_is_refused(
    tmp_path: Path, content: str | None, message: str
) -> None:
    """With what was found and what to do."""
    if content is not None:
        (tmp_path / FORMAT).write_text(content)
    with pytest.raises(StoreError, match=message):
        open_store(tmp_path)


def test_a_reader_from_before_a_compaction_is_told_to_open_it_again(
    tmp_path: Path,
) -> None:
    """Its files are gone and nothing is damaged: no record may be touched."""
    write_run(tmp_path, make_plan())
    with open_store(tmp_path) as store:
        compact(tmp_path, grace=0)
        with pytest.raises(StoreError, match=r"merged .* open the store again"):
            store.table("SELECT sum(contribution) FROM edges")
        assert store.refresh()
        store.table("SELECT sum(contribution) FROM edges")


def test_a_damaged_note_of_a_stop_is_named(tmp_path: Path) -> None:
    """It only says why a run was stopped."""
    write_run(tmp_path, make_plan())
    (tmp_path / "runs/run_id=tiny/stopped.json").write_text("{")
    with pytest.raises(StoreError, match=r"stopped\.json is damaged .*: delete it"):
        open_store(tmp_path)
