"""A sandbox answers questions: rows and their number, types, and mistakes explained."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from flowglass.store import Store, StoreError, open_store
from flowglass.store.connect import connect, function_names, show, table_names
from flowglass.store.sandbox import Limits, Sandbox, open_sandbox
from flowglass.store.shown import PLAIN
from flowglass.store.sql_helpers import HELPERS

from .builders import commit_shard, make_plan, write_run
from .sandboxed import pid


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    write_run(root, make_plan())
    return root


@pytest.fixture(scope="module")
def store(root: Path) -> Iterator[Store]:
    with open_store(root) as store:
        yield store


@pytest.fixture(scope="module")
def sandbox(store: Store) -> Iterator[Sandbox]:
    with store.sandbox(seconds=30) as sandbox:
        yield sandbox


def test_all_rows_of_a_small_answer_come_as_a_table(sandbox: Sandbox) -> None:
    """With their types, in their order, and nothing more."""
    rows = sandbox.query("SELECT prompt_id, text FROM prompts ORDER BY prompt_id DESC")
    ids = list(range(5, -1, -1))
    expected = {"prompt_id": ids, "text": [f"prompt {i}" for i in ids]}
    assert rows.table == pa.table(
        expected, schema=pa.schema({"prompt_id": pa.int32(), "text": pa.string()})
    )
    assert (rows.more, rows.exact) == (0, True)


@pytest.mark.parametrize(
    ("n", "limit", "shown", "more", "exact"),
    [
        (0, 40, 0, 0, True),
        (40, 40, 40, 0, True),
        (41, 40, 40, 1, True),
        (5, 0, 0, 5, True),
        (1_000_040, 40, 40, 1_000_000, True),
        (1_000_041, 40, 40, 1_000_000, False),
        (10**15, 40, 40, 1_000_000, False),
    ],
)
def test_the_first_rows_come_with_the_number_of_the_others(
    sandbox: Sandbox, n: int, limit: int, shown: int, more: int, exact: bool
) -> None:
    """Exact up to a million, whatever the size of the answer."""
    rows = sandbox.query(f"SELECT range AS i FROM range({n})", limit=limit)
    assert rows.table["i"].to_pylist() == list(range(shown))
    assert (rows.more, rows.exact) == (more, exact)


def test_a_stream_gives_every_row(sandbox: Sandbox) -> None:
    """More than one message holds, and then the sandbox is free again."""
    reader = sandbox.stream("SELECT range AS i, repeat('x', 50) AS t FROM range(90000)")
    assert reader.schema.names == ["i", "t"]
    table = reader.read_all()
    assert table["i"].to_pylist() == list(range(90000))
    assert sandbox.query("SELECT 1").table.num_rows == 1


def test_a_stream_of_no_rows_has_a_schema(sandbox: Sandbox) -> None:
    """So that a file of it can be written."""
    reader = sandbox.stream("SELECT 1::SMALLINT AS a WHERE false")
    assert reader.schema == pa.schema({"a": pa.int16()})
    assert reader.read_all().num_rows == 0


def test_what_fails_late_in_a_stream_is_told(sandbox: Sandbox) -> None:
    """As the same error, where the rows end."""
    late = "CASE WHEN range < 4900000 THEN 1 ELSE error('late') END"
    reader = sandbox.stream(f"SELECT {late} FROM range(5000000)")
    with pytest.raises(StoreError, match="late"):
        reader.read_all()
    assert sandbox.query("SELECT 1").table.num_rows == 1


def test_one_question_at_a_time(store: Store) -> None:
    """While a stream is read there is no other answer; when it is given up there is."""
    with store.sandbox() as sandbox:
        reader = sandbox.stream("FROM range(100000000)")
        with pytest.raises(StoreError, match="one query at a time"):
            sandbox.query("SELECT 1")
        del reader
        assert sandbox.query("SELECT 1").table.num_rows == 1


def test_what_is_committed_since_is_seen_after_a_refresh(tmp_path: Path) -> None:
    """The sandbox shows what its store shows."""
    writer = write_run(tmp_path, make_plan(), shards=range(1))
    count = "SELECT count(*) AS n FROM prompts"
    with open_store(tmp_path) as store, store.sandbox() as sandbox:
        assert sandbox.query(count).table["n"].to_pylist() == [2]
        commit_shard(writer, 1)
        assert sandbox.query(count).table["n"].to_pylist() == [2]
        store.refresh()
        assert sandbox.query(count).table["n"].to_pylist() == [4]


@pytest.mark.parametrize("name", ["it's [odd]* ?", "with space", "ünïcode"])
def test_a_sandboxed_store_may_lie_in_any_folder(tmp_path: Path, name: str) -> None:
    """Quotes and what looks like a pattern are names like any other."""
    write_run(tmp_path / name, make_plan())
    with open_sandbox(tmp_path / name, Limits(30, "1GB", None)) as sandbox:
        assert sandbox.query("FROM prompts").table.num_rows == 6


def test_an_address_is_no_folder(store: Store) -> None:
    """The child has no network: somebody must fetch the files first."""
    with pytest.raises(StoreError, match="s3://b/runs is no folder"):
        Sandbox("s3://b/runs", lambda: store.snapshot, Limits(1, "1GB", None))


def test_the_names_that_may_be_used_are_those_that_are_made(store: Store) -> None:
    """No view is forgotten by the guard, and none is announced in vain."""
    with closing(connect()) as connection:
        show(connection, store.root, store.snapshot)
        tables = connection.execute("SELECT name FROM (SHOW TABLES)").fetchall()
        functions = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE NOT internal"
        ).fetchall()
    assert {name for (name,) in tables} == table_names()
    assert {name for (name,) in functions} == function_names()


def test_tables_can_be_listed_before_any_was_read(store: Store) -> None:
    """Though a view is only made when a query names it."""
    with store.sandbox() as sandbox:
        assert set(sandbox.query("SHOW TABLES").table["name"].to_pylist()) == (
            table_names()
        )
        described = sandbox.query("DESCRIBE edges").table["column_name"].to_pylist()
        assert described[:3] == ["run_id", "prompt_id", "layer"]
        assert sandbox.query("FROM edges").table.num_rows == 12
        assert sandbox.query("FROM information_schema.columns").table.num_rows > 100


ARGUMENTS = {"head_prompts": "0, 0"}


@pytest.mark.parametrize("name", [*HELPERS, "helpers"])
def test_a_helper_alone_has_what_it_reads(sandbox: Sandbox, name: str) -> None:
    """The tables behind it are made with it."""
    helper = HELPERS.get(name)
    called = f"{name}({ARGUMENTS.get(name, '')})"
    sandbox.query(f"FROM {called if helper and helper.parameters else name}", limit=1)


def test_tables_are_announced_before_they_are_read(root: Path, store: Store) -> None:
    """So that whoever keeps the files elsewhere can fetch them."""
    asked: list[set[str]] = []
    limits = Limits(30, "1GB", None)
    with Sandbox(
        root,
        lambda: store.snapshot,
        limits,
        before=lambda tables: asked.append({*tables}),
    ) as sandbox:
        sandbox.query("SELECT 1")
        sandbox.query("FROM edges, heads LIMIT 1")
        sandbox.query("FROM accuracy")
        with pytest.raises(StoreError):
            sandbox.query("FROM edges, '/etc/passwd'")
    assert asked == [set(), {"edges", "heads"}, {"accuracy", "prompts", "targets"}]


def test_a_plan_can_be_explained(sandbox: Sandbox, root: Path) -> None:
    """Without running the query, and without telling where the store lies."""
    for query in ("EXPLAIN FROM edges WHERE layer = 0", " explain/**/(SELECT 1)"):
        plan = str(sandbox.query(query).table.to_pylist())
        assert "physical_plan" in plan
        assert str(root) not in plan
    with pytest.raises(StoreError):
        sandbox.query("EXPLAIN ANALYZE FROM edges")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT contributoin FROM edges", "no column 'contributoin': .*contribution"),
        ("SELECT frequenzy FROM activation_frequency()", "did you mean frequency"),
        ("SELECT * FROM edgse", "no table 'edgse': did you mean edges"),
        ("FROM zzzzzz", "no table 'zzzzzz': SHOW TABLES lists them"),
        ("SELCT 1", 'syntax error at or near "SELCT"'),
        ("SELECT 1; SELECT 2", "one SQL statement, not 2"),
        ("-- nothing", "one SQL statement, not 0"),
        ("SELECT foo(1)", "Scalar Function with name foo does not exist"),
        ("SELECT CAST('a' AS INTEGER)", "Could not convert string 'a' to INT32"),
        ("SELECT ?", "[Pp]arameter"),
        ("SELECT '\ud800'", "no text"),
        ("SELECT 1\0, 2", "no text"),
        ("SELECT 1 --" + "x" * 200_000, "longer than 200,000 characters"),
        ("SELECT " + "(" * 400 + "1" + ")" * 400, "nests too deeply"),
        ("FROM " + "(FROM " * 300 + "edges" + ")" * 300, "nests too deeply"),
    ],
)
def test_a_mistake_is_explained_in_one_line(
    sandbox: Sandbox, query: str, message: str
) -> None:
    """And costs nothing: the same child answers the next query."""
    before = pid(sandbox)
    with pytest.raises(StoreError, match=message) as refusal:
        sandbox.query(query)
    assert "\n" not in str(refusal.value)
    assert sandbox.query("SELECT 1").table.num_rows == 1
    assert pid(sandbox) == before


def test_an_answer_of_large_rows_is_not_shown(sandbox: Sandbox) -> None:
    """Whoever asks for forty rows does not get a gigabyte."""
    with pytest.raises(StoreError, match="first 40 rows are larger than"):
        sandbox.query("SELECT repeat('x', 9000000) FROM range(40)", limit=40)


def test_types_that_arrow_lacks_come_as_text(sandbox: Sandbox) -> None:
    """Inside others too; those that it has are kept, and no name comes twice."""
    (row,) = sandbox.query(
        "SELECT INTERVAL 1 DAY AS a, 1 AS a, {'i': INTERVAL 1 MONTH, 'n': 2} AS s, "
        "[union_value(x := 1)] AS u, MAP {'k': '101'::BIT} AS m, "
        "340282366920938463463374607431768211455::UHUGEINT AS h, "
        "DATE '2026-01-02' AS d, [1, 2]::INTEGER[2] AS f"
    ).table.to_pylist(maps_as_pydicts="strict")
    assert str(row.pop("d")) == "2026-01-02"
    assert row == {
        "a": "1 day",
        "a_2": 1,
        "s": {"i": "1 month", "n": 2},
        "u": ["1"],
        "m": {"k": "101"},
        "h": "340282366920938463463374607431768211455",
        "f": [1, 2],
    }


def test_times_are_text_where_only_plain_types_are_kept(sandbox: Sandbox) -> None:
    """As DuckDB writes them, however far back."""
    rows = sandbox.query(
        "SELECT DATE '0044-03-15 (BC)' AS a, ['infinity'::TIMESTAMP] AS b", kept=PLAIN
    )
    assert rows.table.to_pylist() == [{"a": "0044-03-15 (BC)", "b": ["infinity"]}]


def test_an_answer_that_is_no_sound_arrow_is_refused(sandbox: Sandbox) -> None:
    """As of a number that its type cannot hold."""
    with pytest.raises(StoreError, match=r"cannot be read .*cast"):
        sandbox.query(f"SELECT {2**127 - 1}::HUGEINT")


def test_a_sandbox_needs_no_open_store(root: Path) -> None:
    """Nor does it start a process where there is no store."""
    with open_sandbox(root, Limits(30, "1GB", 1)) as sandbox:
        assert sandbox.query("FROM runs").table["run_id"].to_pylist() == ["tiny"]
    with pytest.raises(StoreError, match="no store at nowhere"):
        open_sandbox("nowhere", Limits(30, "1GB", 1))
