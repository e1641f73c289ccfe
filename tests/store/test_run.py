"""A run: made once, continued by the same configuration, refused to another."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowglass.store import TABLES, StoreError
from flowglass.store.layout import FORMAT
from flowglass.store.parquet import conform
from flowglass.store.run import RunWriter, run_id_of

from .builders import commit_shard, make_plan, prompt_ids, rows, shard_tables, write_run

COUNTS = {"n_prompts": 2, "n_tokens": 6, "n_quarantined": 0}


def test_a_run_continues_where_it_was(tmp_path: Path) -> None:
    """The same plan opens the same run, with its shards, totals and first plan."""
    write_run(tmp_path, make_plan(), shards=range(2))
    later = make_plan()
    later = type(later)(**{**vars(later), "started_at": "2027-01-01T00:00:00+00:00"})
    writer = RunWriter(tmp_path, later)
    assert writer.committed() == {0, 1}
    assert writer.totals() == {"n_prompts": 4, "n_tokens": 12, "n_quarantined": 0}
    assert writer.plan == make_plan()
    assert not commit_shard(writer, 1)
    assert commit_shard(writer, 2)


def test_a_run_name_with_other_settings_is_refused(tmp_path: Path) -> None:
    """The message names what differs, there and here."""
    RunWriter(tmp_path, make_plan("mine", cutoff=0.01))
    with pytest.raises(
        StoreError,
        match=r"run 'mine' .* settings\.cutoff \(0\.01 there, 0\.02 here\); .*--run",
    ):
        RunWriter(tmp_path, make_plan("mine", cutoff=0.02))


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", ".hidden", "x" * 201])
def test_a_run_name_is_a_plain_folder_name(tmp_path: Path, name: str) -> None:
    """Nothing else becomes a folder or part of one."""
    with pytest.raises(StoreError, match="run name"):
        RunWriter(tmp_path, make_plan(name))
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_a_folder(tmp_path: Path) -> None:
    """A file in its place is refused, and left alone."""
    path = tmp_path / "store"
    path.write_text("mine")
    with pytest.raises(StoreError, match="is a file: give a folder"):
        RunWriter(path, make_plan())
    assert path.read_text() == "mine"


def test_a_later_schema_is_refused_untouched(tmp_path: Path) -> None:
    """An old flowglass writes nothing into a new store, and names both versions."""
    said = {"format": "flowglass", "schema_version": 99}
    (tmp_path / FORMAT).write_text(json.dumps(said))
    with pytest.raises(StoreError, match="schema version 99, this flowglass reads"):
        RunWriter(tmp_path, make_plan())
    assert [path.name for path in tmp_path.iterdir()] == [FORMAT]


def test_rows_lie_sorted_in_the_schema(tmp_path: Path) -> None:
    """Head-major edges, zstd, the columns' docs and the schema version in the file."""
    write_run(tmp_path, make_plan(), shards=range(1))
    (path,) = tmp_path.glob("runs/run_id=tiny/data/edges/shard=000000/*.parquet")
    file = pq.ParquetFile(path)
    table = file.read()
    assert table.column("head").to_pylist() == [1, 1, None, None]
    assert table.column("prompt_id").to_pylist() == [0, 1, 0, 1]
    assert table.schema.equals(TABLES["edges"].schema)
    assert file.schema_arrow.field("head").metadata[b"doc"].startswith(b"query head")
    assert file.schema_arrow.metadata[b"flowglass.schema_version"] == b"1"
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_empty_tables_have_no_file(tmp_path: Path) -> None:
    """A shard writes what it has rows of."""
    writer = RunWriter(tmp_path, make_plan())
    tables = {**shard_tables(0), "quarantine": rows("quarantine")}
    writer.commit(0, tables, prompt_ids=prompt_ids(0), info=COUNTS)
    written = {path.name for path in (tmp_path / "runs/run_id=tiny/data").iterdir()}
    assert written == shard_tables(0).keys()


@pytest.mark.parametrize("wrong", ["missing", "unknown", "type", "null"])
def test_rows_that_do_not_fit_the_schema_are_our_bug(wrong: str) -> None:
    """An assertion, before anything is written."""
    table = shard_tables(0)["prompts"]
    n_tokens, place = table["n_tokens"], table.schema.get_field_index("n_tokens")
    changed = {
        "missing": lambda: table.drop_columns(["n_tokens"]),
        "unknown": lambda: table.append_column("more", n_tokens),
        "type": lambda: table.set_column(place, "n_tokens", n_tokens.cast("int32")),
        "null": lambda: table.set_column(place, "n_tokens", pa.nulls(2, pa.int64())),
    }[wrong]()
    with pytest.raises(AssertionError, match="prompts"):
        conform(TABLES["prompts"], changed)


def test_text_may_come_dictionary_encoded() -> None:
    """Writers that repeat a word need not spell it out."""
    table = shard_tables(0)["edges"]
    encoded = table.set_column(
        table.schema.get_field_index("step"), "step", table["step"].dictionary_encode()
    )
    assert conform(TABLES["edges"], encoded).equals(table)


def test_a_run_is_named_by_what_changes_its_rows() -> None:
    """The same identity, in any order, has the same name; another has another."""
    name = run_id_of("gpt2-ioi", {"a": 1, "b": {"c": 2, "d": 3}})
    assert name == run_id_of("gpt2-ioi", {"b": {"d": 3, "c": 2}, "a": 1})
    assert name != run_id_of("gpt2-ioi", {"a": 1, "b": {"c": 2, "d": 4}})
    assert name.startswith("gpt2-ioi-")
    assert len(name) == len("gpt2-ioi-") + 12
