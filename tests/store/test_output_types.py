"""Every type of DuckDB's comes out of `flowglass sql`, in each form."""

import csv
import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import duckdb
import pyarrow.parquet as pq
import pytest

from .builders import make_plan, write_run
from .command import Run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    write_run(root, make_plan(), shards=range(1))
    return root


EXACT = "0.1234567890123456789"
HUGE = 12345678901234567890123456789
NOON = datetime(2026, 1, 2, 12, 30, 5, 500000)
TYPES: dict[str, tuple[str, object, object]] = {
    # SQL: as text, as JSON, and as Arrow has it in Parquet.
    "NULL": ("", None, None),
    "true": ("true", True, True),
    "7::UTINYINT": ("7", 7, 7),
    f"{HUGE}::HUGEINT": (str(HUGE), HUGE, Decimal(HUGE)),
    "9::UHUGEINT": ("9", "9", "9"),
    "99999999999999999999::BIGNUM": ("9" * 20, "9" * 20, "9" * 20),
    "1.50::DECIMAL(5, 2)": ("1.50", 1.5, Decimal("1.50")),
    f"{EXACT}::DECIMAL(30, 19)": (EXACT, float(EXACT), Decimal(EXACT)),
    "0.25::FLOAT": ("0.25", 0.25, 0.25),
    "'-inf'::DOUBLE": ("-inf", None, -math.inf),
    "'a, \"b\"'": ('a, "b"', 'a, "b"', 'a, "b"'),
    "'\\xAB'::BLOB": ("ab", "ab", b"\xab"),
    "'10101'::BIT": ("10101", "10101", "10101"),
    "'{\"a\":1}'::JSON": ('{"a":1}', '{"a":1}', '{"a":1}'),
    "'b'::ENUM('a', 'b')": ("b", "b", "b"),
    f"'{UUID(int=7)}'::UUID": (str(UUID(int=7)), str(UUID(int=7)), str(UUID(int=7))),
    "DATE '2026-01-02'": ("2026-01-02", "2026-01-02", NOON.date()),
    "TIME '12:30:05.5'": ("12:30:05.5", "12:30:05.5", NOON.time()),
    "TIMETZ '12:30:05+02'": ("12:30:05+02", "12:30:05+02", "12:30:05+02"),
    "TIMESTAMP '2026-01-02 12:30:05.5'": (
        "2026-01-02 12:30:05.5",
        "2026-01-02 12:30:05.5",
        NOON,
    ),
    "TIMESTAMPTZ '2026-01-02 14:30:05.5+02'": (
        "2026-01-02 12:30:05.5+00",
        "2026-01-02 12:30:05.5+00",
        NOON.replace(tzinfo=UTC),
    ),
    "INTERVAL '1 month 2 days 3 hours'": ("1 month 2 days 03:00:00",) * 3,
    "union_value(x := 2)": ("2", "2", "2"),
    "[[1], [], NULL]": ("[[1], [], null]", [[1], [], None], [[1], [], None]),
    "[1, 2]::INTEGER[2]": ("[1, 2]", [1, 2], [1, 2]),
    "{'a': 1.5::DOUBLE, 'b': [NULL]}": (
        '{"a": 1.5, "b": [null]}',
        {"a": 1.5, "b": [None]},
        {"a": 1.5, "b": [None]},
    ),
    "{'a': INTERVAL 1 DAY}": ('{"a": "1 day"}', {"a": "1 day"}, {"a": "1 day"}),
    "MAP {'a': 1, 'b': NULL}": (
        '{"a": 1, "b": null}',
        {"a": 1, "b": None},
        [("a", 1), ("b", None)],
    ),
    "MAP {[1]: MAP {2: 3}}": (
        '{"[1]": {"2": 3}}',
        {"[1]": {"2": 3}},
        [([1], [(2, 3)])],
    ),
    "[MAP {'a': 1}]": ('[{"a": 1}]', [{"a": 1}], [[("a", 1)]]),
    "{'m': MAP {1: 'a'}}": ('{"m": {"1": "a"}}', {"m": {"1": "a"}}, {"m": [(1, "a")]}),
}
ALL_TYPES = "SELECT " + ", ".join(TYPES)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")


@pytest.mark.usefixtures("utc")
def test_every_type_has_its_text(run: Run, root: Path) -> None:
    """In CSV and in the table; text as it is, numbers with all their digits."""
    _, out, err = run("sql", root, ALL_TYPES, "--format", "csv")
    _, texts = csv.reader(out.splitlines())
    assert (texts, err) == ([text for text, _, _ in TYPES.values()], "")
    _, table, _ = run("sql", root, ALL_TYPES)
    assert [text for text in texts if f" {text} " not in table] == []
    assert " null " in table


@pytest.mark.usefixtures("utc")
def test_every_type_has_its_json(run: Run, root: Path) -> None:
    """Numbers, lists and objects where JSON has them, else text."""
    _, out, _ = run("sql", root, ALL_TYPES, "--format", "json")
    (row,) = json.loads(out)
    assert list(row.values()) == [value for _, value, _ in TYPES.values()]


@pytest.mark.usefixtures("utc")
def test_every_type_can_be_saved_as_parquet(
    run: Run, root: Path, tmp_path: Path
) -> None:
    """As itself where Parquet has it, else as text."""
    path = tmp_path / "types.parquet"
    assert run("sql", root, ALL_TYPES, "--output", path)[0] == 0
    columns = pq.read_table(path).columns
    found = [value for column in columns for value in column.to_pylist()]
    assert found == [value for _, _, value in TYPES.values()]


def test_times_that_python_has_not_are_written(
    run: Run, root: Path, tmp_path: Path
) -> None:
    """Long ago, never, and to the nanosecond."""
    moments = "TIMESTAMP_NS '2026-01-02 03:04:05.123456789'"
    query = f"SELECT DATE '0044-03-15 (BC)', 'infinity'::TIMESTAMP, {moments}"
    texts = ["0044-03-15 (BC)", "infinity", "2026-01-02 03:04:05.123456789"]
    _, out, _ = run("sql", root, query, "--format", "csv")
    assert list(csv.reader(out.splitlines()))[1] == texts
    assert run("sql", root, query, "--output", tmp_path / "times.parquet")[0] == 0
    with duckdb.connect() as connection:
        saved = connection.sql(
            f"SELECT COLUMNS(*)::VARCHAR FROM '{tmp_path}/*.parquet'"
        )
        assert saved.fetchall() == [tuple(texts)]
