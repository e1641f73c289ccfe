"""Accept exactly one statement that only reads, and in a sandbox only the store.

DuckDB's own statement type is not enough: `WITH x AS (COPY ... TO 'file') SELECT 1` has
type SELECT and writes. So the parsed tree is walked, and what is not known to read is
refused: kinds of nodes, tables and table functions by what is allowed, and the other
functions, of which there are a thousand, by what is not. tests/store/test_guard.py goes
through all functions of the DuckDB at hand.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from threading import Lock
from typing import TYPE_CHECKING, Any

from .errors import StoreError

if TYPE_CHECKING:
    import duckdb

NODES = frozenset(
    [
        "SELECT_NODE",
        "SET_OPERATION_NODE",
        "RECURSIVE_CTE_NODE",
        "CTE_NODE",
        "STATEMENT_NODE",
        "BASE_TABLE",
        "EMPTY",
        "EXPRESSION_LIST",
        "JOIN",
        "PIVOT",
        "SHOW_REF",
        "SUBQUERY",
        "TABLE_FUNCTION",
        "DISTINCT_MODIFIER",
        "LIMIT_MODIFIER",
        "LIMIT_PERCENT_MODIFIER",
        "ORDER_MODIFIER",
        "ASCENDING",
        "DESCENDING",
        "ORDER_DEFAULT",
    ]
)
"""What a query may consist of, besides expressions."""

EXPRESSIONS = frozenset(
    [
        "BETWEEN",
        "CASE",
        "CAST",
        "COLLATE",
        "COLUMN_REF",
        "COMPARISON",
        "CONJUNCTION",
        "CONSTANT",
        "DEFAULT",
        "FUNCTION",
        "LAMBDA",
        "LAMBDA_REF",
        "OPERATOR",
        "PARAMETER",
        "POSITIONAL_REFERENCE",
        "STAR",
        "SUBQUERY",
        "TYPE",
        "WINDOW",
    ]
)
"""The classes of expressions that a query may hold."""

RUNS_SQL = frozenset(("json_execute_serialized_sql", "query", "query_table"))
"""Functions that run SQL from a text, which the walk does not see."""

TABLE_FUNCTIONS = frozenset(
    [
        "duckdb_columns",
        "duckdb_functions",
        "duckdb_keywords",
        "duckdb_types",
        "generate_series",
        "icu_calendar_names",
        "json_each",
        "json_tree",
        "pg_timezone_names",
        "range",
        "repeat",
        "repeat_row",
        "unnest",
    ]
)
"""What may stand behind FROM in a sandbox besides tables: no file, path or setting."""

_TELL_PATHS = (
    "current_setting getenv getvariable json_serialize_plan pg_get_constraintdef "
    "pg_get_expr pg_get_viewdef"
)
_WRITE_OR_WAIT = "currval nextval pg_sleep setval sleep_ms write_log"
_TRUST_BYTES = (  # that are to be the inside of a value of DuckDB's own
    "combine combine_aggr finalize index_key to_aggregate_state "
    "variant_bytes_to_variant"
)
REFUSED = frozenset(f"{_TELL_PATHS} {_WRITE_OR_WAIT} {_TRUST_BYTES}".split())
"""Functions that a sandbox refuses anywhere, besides those named __internal..."""

_SHOWN = ('"tables"', "__show_tables_expanded")  # SHOW TABLES, SHOW ALL TABLES
_SCHEMA = "information_schema"
_SYSTEM = ("tables", "columns")  # in it
_LISTING = frozenset((_SCHEMA, "duckdb_columns", "duckdb_functions"))
_LIKE_A_FILE = re.compile(r"[/\\.:*?\[]")


def check_reads_only(connection: "duckdb.DuckDBPyConnection", query: str) -> None:
    """StoreError unless the query is one SELECT (or DESCRIBE, SHOW, SUMMARIZE).

    Raises DuckDB's own ParserException where the text is no SQL. What was found to read
    only is remembered: values are bound, so a program's queries are few.
    """
    with _remembering:
        if query in _accepted:
            return
    read_tree(*parse(connection, query))
    with _remembering:
        _accepted[query] = None
        while len(_accepted) > MOST_ACCEPTED:
            del _accepted[next(iter(_accepted))]


MOST_ACCEPTED = 256
_accepted: dict[str, None] = {}
_remembering = Lock()


def parse(connection: "duckdb.DuckDBPyConnection", query: str) -> tuple[int, str]:
    """The number of statements in a text, and them as JSON."""
    count = len(connection.extract_statements(query))
    # Fetched whole: a result that is left open would keep the connection busy.
    ((serialized,),) = connection.execute(
        "SELECT json_serialize_sql(?)", [query]
    ).fetchall()
    return count, serialized


def read_tree(count: int, serialized: str) -> Any:
    """What `parse` gave as a tree; StoreError unless it is one that only reads."""
    if count != 1:
        raise StoreError(f"give one SQL statement, not {count}")
    try:
        tree = json.loads(serialized)
    except RecursionError:
        raise StoreError("the query nests too deeply: make it simpler") from None
    if tree["error"]:
        raise StoreError(
            "a store is only read: give a SELECT statement (PIVOT needs its values: "
            "ON column IN (...))"
        )
    for part in _parts(tree["statements"]):
        _check_kind(part)
        name = _function(part)
        if name in RUNS_SQL:
            raise StoreError(f"{name}() runs SQL from a text: write the query itself")
    return tree


@dataclass(frozen=True)
class Named:
    """What a query names of a store."""

    names: frozenset[str]
    """Of tables and table functions, in lower case."""
    lists: bool
    """Whether it looks at what tables and functions there are."""


def check_confined(
    tree: Any, *, tables: Collection[str], functions: Collection[str]
) -> Named:
    """StoreError if a query looks at anything but these tables and table functions."""
    named = {
        entry["key"].lower()
        for part in _parts(tree)
        for entry in (part.get("cte_map") or {"map": []})["map"]
    }
    for name in named:
        if _LIKE_A_FILE.search(name):
            raise StoreError(f"WITH {name!r}: a name may not look like a file's here")
    names: set[str] = set()
    for part in _parts(tree):
        kind = part.get("type")
        if kind == "SHOW_REF" and part["table_name"] in _SHOWN:
            names.add(_SCHEMA)
        elif kind == "BASE_TABLE" or (kind == "SHOW_REF" and part["query"] is None):
            names.add(_table(part["qualified_name"]["path"], tables, named))
        elif kind == "TABLE_FUNCTION":
            names.add(_table_function(part, functions))
        elif "function_name" in part:
            _check_function(part["function_name"])
    return Named(
        names=frozenset(names & {*tables, *functions}),
        lists=not names.isdisjoint(_LISTING),
    )


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object in a tree; without recursion, for it may be deep."""
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _check_kind(part: dict[str, Any]) -> None:
    kind, expression = part.get("type"), part.get("class")
    known = not isinstance(kind, str) or kind in NODES
    if expression is not None:
        known = str(expression) in EXPRESSIONS
    if "info_type" in part or not known:
        raise StoreError("a store is only read: no part of the query may write")


def _function(part: dict[str, Any]) -> str | None:
    name = part.get("function_name")
    return name.lower() if isinstance(name, str) else None


def _table(path: list[str], tables: Collection[str], named: Collection[str]) -> str:
    """The table that a path means: of the store, of WITH, or the list of columns."""
    *owners, name = (step.lower() for step in path)
    if name in named and owners in ([], ["recurring"]):
        return name
    if name in tables and set(owners) <= {"memory", "main"}:
        return name
    if name in _SYSTEM and owners[-1:] == [_SCHEMA]:
        return _SCHEMA
    if _LIKE_A_FILE.search(name) or owners:
        raise StoreError(
            f"{'.'.join(path)!r} is no table of the store, and no file can be read: "
            f"SHOW TABLES lists the tables"
        )
    near = get_close_matches(name, sorted({*tables, *named}), n=3, cutoff=0.5)
    raise StoreError(
        f"no table {path[-1]!r}: "
        + (f"did you mean {' or '.join(near)}?" if near else "SHOW TABLES lists them")
    )


def _table_function(part: dict[str, Any], functions: Collection[str]) -> str:
    name = _function(part["function"]) or "?"
    if name not in TABLE_FUNCTIONS and name not in functions:
        if near := get_close_matches(name, functions, n=3, cutoff=0.7):
            raise StoreError(f"no {name}(...): did you mean {' or '.join(near)}?")
        known = ", ".join(sorted({*functions, *TABLE_FUNCTIONS}))
        raise StoreError(
            f"FROM {name}(...) is refused: besides tables a query may read {known}"
        )
    return name


def _check_function(name: str) -> None:
    known = name.isascii() and not name.lower().startswith("__internal")
    if not known or name.lower() in REFUSED:
        raise StoreError(
            f"{name}() is refused: it is not for reading the tables of a store"
        )
