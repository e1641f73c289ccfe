"""Accept exactly one statement that only reads.

DuckDB's own statement type is not enough: `WITH x AS (COPY ... TO 'file') SELECT 1` has
type SELECT and writes. So the parsed tree is walked, and what is not known to read is
refused.
"""

import json
from typing import TYPE_CHECKING, Any

from .errors import StoreError

if TYPE_CHECKING:
    import duckdb

_NODES = {
    "SELECT_NODE",
    "SET_OPERATION_NODE",
    "RECURSIVE_CTE_NODE",
    "CTE_NODE",
    "STATEMENT_NODE",
}
_RUNS_SQL = {"json_execute_serialized_sql", "query", "query_table"}
"""Functions that run SQL from a text, which the walk does not see."""


def check_reads_only(connection: "duckdb.DuckDBPyConnection", query: str) -> None:
    """StoreError unless the query is one SELECT (or DESCRIBE, SHOW, SUMMARIZE).

    Raises DuckDB's own ParserException where the text is no SQL.
    """
    found = len(connection.extract_statements(query))
    if found != 1:
        raise StoreError(f"give one SQL statement, not {found}")
    # Fetched whole: a result that is left open would keep the connection busy.
    ((serialized,),) = connection.execute(
        "SELECT json_serialize_sql(?)", [query]
    ).fetchall()
    tree = json.loads(serialized)
    if tree["error"]:
        raise StoreError("a store is only read: give a SELECT statement")
    _walk(tree["statements"])


def _walk(part: Any) -> None:
    if isinstance(part, dict):
        kind = part.get("type")
        is_node = isinstance(kind, str) and kind.endswith("_NODE")
        if "info_type" in part or (is_node and kind not in _NODES):
            raise StoreError("a store is only read: no part of the query may write")
        name = part.get("function_name")
        if isinstance(name, str) and name.lower() in _RUNS_SQL:
            raise StoreError(f"{name}() runs SQL from a text: write the query itself")
        for inner in part.values():
            _walk(inner)
    elif isinstance(part, list):
        for inner in part:
            _walk(inner)
