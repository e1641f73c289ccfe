"""A store is only read: whatever else a query would do is refused."""

from functools import cache
from pathlib import Path

import duckdb
import pytest

from flowglass.store import Store, StoreError, open_store
from flowglass.store.connect import connect, function_names, lock, show, table_names
from flowglass.store.guard import (
    REFUSED,
    RUNS_SQL,
    TABLE_FUNCTIONS,
    Named,
    check_confined,
    check_reads_only,
    parse,
    read_tree,
)

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
    file = Path(store.root) / "runs/run_id=tiny/data/written"
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


def test_a_locked_connection_reads_nothing_outside(
    store: Store, tmp_path: Path
) -> None:
    """The store's own files and nothing else, and no way back."""
    outside = tmp_path / "mine.csv"
    outside.write_text("a\n1\n")
    with connect() as locked:
        show(locked, store.root, store.snapshot)
        assert locked.sql(f"SELECT a FROM '{outside}'").fetchall() == [(1,)]
        lock(locked, store.root)
        for path in (outside, f"{store.root}/runs/../../{outside.name}", "/etc/passwd"):
            with pytest.raises(duckdb.PermissionException, match="disabled"):
                locked.sql(f"SELECT * FROM read_text('{path}')")
        with pytest.raises(duckdb.InvalidInputException, match="locked"):
            locked.sql("SET enable_external_access = true")
        assert locked.sql("SELECT count(*) FROM edges").fetchall() == [(4,)]


def test_python_variables_are_not_tables(store: Store) -> None:
    """Nor looked for: not even this one, which has the name and a table's type."""
    query = store.table("SELECT 1 AS a")
    with pytest.raises(StoreError, match="no table 'query'"):
        store.sql("SELECT * FROM query")
    setting = store.sql("SELECT current_setting('python_enable_replacements')")
    assert (query.num_rows, setting.fetchall()) == (1, [(False,)])


@cache
def connection() -> duckdb.DuckDBPyConnection:
    return connect()


def judged(query: str) -> Named:
    tree = read_tree(*parse(connection(), query))
    return check_confined(tree, tables=table_names(), functions=function_names())


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT 1", set()),
        ("FROM edges", {"edges"}),
        ('SELECT * FROM Main."EDGES" e, memory.main.runs r', {"edges", "runs"}),
        ("WITH edges AS (SELECT 1 AS a) FROM edges", {"edges"}),
        ("WITH a AS (FROM steps) SELECT (SELECT max(layer) FROM a), [1]", {"steps"}),
        ("DESCRIBE heads", {"heads"}),
        ("SHOW heads", {"heads"}),
        ("SUMMARIZE SELECT layer FROM heads", {"heads"}),
        ("FROM activation_frequency(tau := 0.02)", {"activation_frequency"}),
        ("FROM range(3) t(i) JOIN accuracy ON true", {"accuracy"}),
        ("PIVOT edges ON kind IN ('attn', 'ffn') USING sum(contribution)", {"edges"}),
        (
            "WITH RECURSIVE r(a) USING KEY (a) AS (SELECT 1 UNION "
            "SELECT a + 1 FROM r WHERE a < 3 AND a IN (FROM recurring.r)) FROM r",
            set(),
        ),
    ],
)
def test_what_is_confined_names_what_it_reads(query: str, names: set[str]) -> None:
    """So that only that need be there; WITH may hide a table in a part of a query."""
    assert judged(query) == Named(frozenset(names), lists=False)


@pytest.mark.parametrize(
    "query",
    [
        "SHOW TABLES",
        "SHOW ALL TABLES",
        "FROM information_schema.columns",
        "FROM duckdb_columns()",
    ],
)
def test_what_lists_tables_is_told_apart(query: str) -> None:
    """It needs every table to be there, but no rows."""
    assert judged(query) == Named(frozenset(), lists=True)


OUTSIDE = [
    "FROM '/etc/passwd.csv'",
    "FROM '{root}/runs/x.parquet'",
    "SHOW 'x.parquet'",
    "DESCRIBE 'x.parquet'",
    "SUMMARIZE 'x.parquet'",
    "WITH \"x.parquet\" AS (SELECT 1) FROM 'x.parquet'",
    "FROM pg_catalog.pg_views",
    "FROM sqlite_master",
    "FROM duckdb_views",
    "FROM information_schema.views",
    "FROM other.main.edges",
    "SHOW DATABASES",
    "SHOW VARIABLES",
    "SHOW TABLES FROM memory",
    "SELECT current_setting('temp_directory')",
    "SELECT system.main.current_setting('temp_directory')",
    "SELECT CURRENT_SETTING('x') OVER ()",
    "SELECT [x for x in [1] if getvariable('a') = x]",
    "SELECT (SELECT pg_get_viewdef(1))",
    "SELECT json_serialize_plan('FROM edges')",
    "SELECT write_log('x')",
    "SELECT count(*) FILTER (WHERE sleep_ms(1) > 0)",
    "SELECT finalize('x'::BLOB)",
    "SELECT 1 ORDER BY __internal_compress_string_ubigint('a')",
    "SELECT 1 LIMIT nextval('a')",
    "SELECT \u212aey(1)",
]


@pytest.mark.parametrize("query", OUTSIDE)
def test_what_looks_outside_the_store_is_refused(query: str) -> None:
    """Files, settings, the SQL of views, other databases; wherever it is written."""
    with pytest.raises(StoreError):
        judged(query)


def all_functions(types: str) -> set[str]:
    found = connection().execute(
        f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE {types}"
    )
    return {name for (name,) in found.fetchall()}


def test_what_reads_only_is_parsed_once_and_what_does_not_every_time() -> None:
    """A refused text is refused again, whatever was accepted between."""
    reads, writes = "SELECT 41 + 1", "DROP TABLE edges"
    with duckdb.connect() as connection:
        for _ in range(2):
            check_reads_only(connection, reads)
            with pytest.raises(StoreError, match="only read"):
                check_reads_only(connection, writes)
    check_reads_only(connection, reads)  # closed: it is not asked any more
    with pytest.raises(duckdb.Error):
        check_reads_only(connection, f"{reads} AS n")


def test_no_table_function_but_those_known_to_be_harmless_passes() -> None:
    """Whatever else this DuckDB can read from is refused, by any name."""
    known = all_functions("function_type IN ('table', 'table_macro', 'pragma')")
    assert known >= TABLE_FUNCTIONS
    assert len(known - TABLE_FUNCTIONS) > 100
    for name in known - TABLE_FUNCTIONS:
        for spelt in (f'"{name}"', f'"{name.upper()}"', f'main."{name}"'):
            with pytest.raises(StoreError, match=r"is refused|runs SQL from"):
                judged(f"FROM {spelt}()")


def test_functions_that_do_more_than_compute_are_judged() -> None:
    """Every one that DuckDB calls volatile, or that has a suspicious name.

    When a new DuckDB fails here: decide whether the function belongs in guard.REFUSED.
    """
    harmless = {
        *("current_connection_id", "current_query_id", "current_transaction_id"),
        *("random", "setseed", "uuid", "uuidv4", "uuidv7", "gen_random_uuid"),
        *("current_query", "error", "stats", "vector_type"),
        # Names of this very database; constants that PostgreSQL's clients ask for.
        *("current_catalog", "in_search_path", "inet_client_addr", "inet_client_port"),
        *("inet_server_addr", "inet_server_port"),
        # Functions of their arguments alone.
        *("parse_path", "parse_dirpath", "parse_filename", "parse_dirname"),
        *("path_join", "json_extract_path", "json_extract_path_text", "log", "log2"),
        *("log10", "parse_duckdb_log_message", "hive_partition_component"),
        *("json_serialize_sql", "json_deserialize_sql", "normalized_interval"),
    }
    suspicious = all_functions(
        "function_type IN ('scalar', 'aggregate', 'macro') AND ("
        "has_side_effects OR stability = 'VOLATILE' OR regexp_matches(function_name, "
        "'file|path|dir|env|secret|setting|variable|log|read|write|glob|serial|state|"
        "plan|viewdef|sleep|inet|http|query$|sql$|^pg_get|finalize|combine|val$'))"
    )
    assert len(suspicious) > 30
    unknown = suspicious - REFUSED - RUNS_SQL - harmless
    assert {name for name in unknown if not name.startswith("__internal")} == set()
