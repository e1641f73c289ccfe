"""An answer that says how it was found: rows, and the query that gives them again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from .schema import PER_MODEL, SHOWN_AS_DOUBLE, TABLES
from .store import Store
from .views import quote

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Answer:
    """Rows, and the query over the store's views that gives the same."""

    table: "pa.Table"
    sql: str


def answer(store: Store, query: str, values: Mapping[str, Any]) -> Answer:
    """The rows of a query over the views, which names those values it needs `$name`."""
    return Answer(store.table(query, named_in(query, values)), written(query, values))


def named_in(query: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that a query names."""
    return {name: values[name] for name in _NAMED.findall(query)}


def written(query: str, values: Mapping[str, Any]) -> str:
    """The query with its values written in."""
    text = _NAMED.sub(lambda found: _literal(values[found[1]]), query)
    return dedent(text).strip()


def rows_of_prompt(
    store: Store,
    run_id: str,
    prompt_id: int,
    table: str,
    *,
    columns: str,
    order: str,
    where: Mapping[str, Any] | None = None,
) -> Answer:
    """The rows of one prompt in a table where columns have some values (None: null).

    Read from the one file that holds them; none where the run stored none.
    """
    found = {"prompt_id": prompt_id, **(where or {})}
    return Answer(
        _rows(
            store, store.files(run_id, table, prompt_id), table, columns, order, found
        ),
        _query(table, columns, order, {"run_id": run_id, **found}),
    )


def rows_of_model(
    store: Store,
    model_hash: str,
    table: str,
    *,
    columns: str,
    order: str,
    where: Mapping[str, Any],
) -> Answer:
    """The same of a table that belongs to a model's weights."""
    assert table in PER_MODEL
    query = _query(table, columns, order, {"model_hash": model_hash, **where})
    return Answer(store.table(query), query)


def _rows(
    store: Store,
    files: list[str],
    table: str,
    columns: str,
    order: str,
    where: Mapping[str, Any],
) -> "pa.Table":
    if not files:
        return store.table(f"SELECT {columns} FROM {table} LIMIT 0")
    conditions = " AND ".join(f'"{c}" IS NOT DISTINCT FROM ${c}' for c in where)
    query = f"""
        SELECT {_shown(table, columns)} FROM read_parquet($files)
        WHERE {conditions} ORDER BY {order}
    """
    return store.table(query, {"files": files, **where})


def _shown(table: str, columns: str) -> str:
    """Columns of a file with the types they have in the view."""
    types = {c.name: c.sql_type for c in TABLES[table].columns}
    return ", ".join(
        f'"{name}"::DOUBLE AS "{name}"'
        if name in SHOWN_AS_DOUBLE and types[name] == "FLOAT"
        else f'"{name}"'
        for name in columns.split(", ")
    )


def _query(table: str, columns: str, order: str, where: Mapping[str, Any]) -> str:
    conditions = "\n  AND ".join(
        f"{name} IS NULL" if value is None else f"{name} = {_literal(value)}"
        for name, value in where.items()
    )
    return f"SELECT {columns}\nFROM {table}\nWHERE {conditions}\nORDER BY {order}"


def _literal(value: str | float | None) -> str:
    if value is None:
        return "NULL"
    return quote(value) if isinstance(value, str) else str(value)


_NAMED = re.compile(r"\$(\w+)")
