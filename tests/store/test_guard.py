"""A store is only read: whatever else a query would do is refused."""

from pathlib import Path

import pytest

from flowglass.store import Store, StoreError, open_store

from .builders import make_plan, write_run

WRITES = [
    "COPY (SELECT 1) TO '{file}'",
    "WITH x AS (COPY (SELECT 1) TO '{file}') SELECT 1",
    "SELECT * FROM (WITH x AS (COPY (SELECT 1) TO '{file}') SELECT 1)",
    "SELECT (WITH x AS (COPY (SELECT 1) TO '{file}') SELECT 1)",
    "SELECT 1 UNION ALL (WITH x AS (COPY (SELECT 1) TO '{file}') SELECT 1)",
    "WITH x AS (INSERT INTO runs SELECT * FROM runs RETURNING 1) SELECT 1",
    "WITH x AS (DELETE FROM runs RETURNING 1) SELECT 1",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql("
    "'WITH x AS (COPY (SELECT 1) TO ''{file}'') SELECT 1'))",
    "SELECT * FROM QUERY('SELECT 1')",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{file}'",
    "ATTACH '{file}' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "PRAGMA threads = 1",
    "CALL enable_logging()",
    "DROP VIEW edges",
    "CREATE TABLE mine AS SELECT 1",
    "UPDATE runs SET model = 'x'",
    "EXPORT DATABASE '{file}'",
    "PREPARE p AS SELECT 1",
    "BEGIN",
    "SELECT 1; DROP VIEW edges",
    "",
    "-- nothing",
]

READS = [
    "SELECT count(*) FROM edges",
    "FROM runs",
    "WITH x AS (SELECT 1 AS a) SELECT a FROM x",
    "WITH RECURSIVE r AS (SELECT 1 AS n UNION SELECT n + 1 FROM r WHERE n < 3) FROM r",
    "SELECT 1 UNION ALL SELECT 2 EXCEPT SELECT 3",
    "SELECT head FROM edges QUALIFY row_number() OVER (ORDER BY head) = 1",
    "SELECT list_transform([1], lambda x: x + 1)",
    "SELECT * FROM (VALUES (1), (2)) AS v(a)",
    "SELECT head FROM edges WHERE layer IN (SELECT layer FROM steps)",
    "DESCRIBE edges",
    "SHOW TABLES",
    "SUMMARIZE prompts",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("store")
    write_run(root, make_plan(), shards=range(1))
    return open_store(root)


@pytest.mark.parametrize("query", WRITES)
def test_what_writes_is_refused(store: Store, query: str) -> None:
    """A StoreError, no file, and the views as they were."""
    file = store.root / "runs/run_id=tiny/data/written"
    with pytest.raises(StoreError):
        store.sql(query.format(file=file)).fetchall()
    assert not file.exists()
    assert store.sql("SELECT count(*) FROM edges, runs").fetchall() == [(4,)]


@pytest.mark.parametrize("query", READS)
def test_what_reads_is_answered(store: Store, query: str) -> None:
    """The guard is not in the way of questions."""
    store.sql(query).fetchall()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT contributoin FROM edges", "no column 'contributoin': .*contribution"),
        ("SELECT e.haed FROM edges e", "no column 'haed': did you mean head"),
        ("SELECT zzzzz FROM edges", "no column 'zzzzz': SHOW TABLES"),
        ("SELECT * FROM edgse", "no table 'edgse': did you mean edges"),
        ("SELCT 1", 'syntax error at or near "SELCT"'),
        ("SELECT 1; SELECT 2", "one SQL statement, not 2"),
        ("SELECT foo(1)", "Scalar Function with name foo does not exist"),
    ],
)
def test_a_wrong_query_is_explained_in_one_line(
    store: Store, query: str, message: str
) -> None:
    """Names that nearly fit are offered."""
    with pytest.raises(StoreError, match=message) as refusal:
        store.sql(query)
    assert "\n" not in str(refusal.value)


def test_a_locked_store_reads_nothing_outside(store: Store, tmp_path: Path) -> None:
    """Its own files and nothing else, and no way back."""
    outside = tmp_path / "mine.csv"
    outside.write_text("a\n1\n")
    with open_store(store.root) as locked:
        assert locked.sql(f"SELECT a FROM '{outside}'").fetchall() == [(1,)]
        locked.lock()
        for path in (outside, f"{store.root}/runs/../../{outside.name}", "/etc/passwd"):
            with pytest.raises(StoreError):
                locked.table(f"SELECT * FROM read_text('{path}')")
        assert locked.sql("SELECT count(*) FROM edges").fetchall() == [(4,)]


def test_python_variables_are_not_tables(store: Store) -> None:
    """Nor looked for: not even this one, which has the name and a table's type."""
    query = store.table("SELECT 1 AS a")
    with pytest.raises(StoreError, match="no table 'query'"):
        store.sql("SELECT * FROM query")
    setting = store.sql("SELECT current_setting('python_enable_replacements')")
    assert (query.num_rows, setting.fetchall()) == (1, [(False,)])
