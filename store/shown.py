"""Rows in types that every reader of them knows.

DuckDB has types that Arrow, Parquet or JSON lack, such as INTERVAL, UNION and BIT, or
that come out wrong, such as UHUGEINT. Those become text as DuckDB writes it, inside
lists and structs too.
"""

from collections.abc import Collection, Sequence
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

PLAIN = frozenset(
    [
        "boolean",
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "hugeint",
        "utinyint",
        "usmallint",
        "uinteger",
        "ubigint",
        "float",
        "double",
        "decimal",
        "varchar",
        "blob",
        "null",
    ]
)
"""Types that JSON and CSV have words for, besides nested ones."""

ARROW = PLAIN | {
    "date",
    "time",
    "timestamp",
    "timestamp_s",
    "timestamp_ms",
    "timestamp_ns",
    "timestamp with time zone",
}
"""Types that Arrow and Parquet have as well."""


def shown(relation: "DuckDBPyRelation", kept: Collection[str]) -> "DuckDBPyRelation":
    """The relation with types that are not kept as text, and no name given twice."""
    names = distinct(relation.columns)
    casts = [
        "" if _is_kept(type_, kept) else f"::{_as_text(type_, kept)}"
        for type_ in relation.types
    ]
    if not any(casts) and names == relation.columns:
        return relation
    return relation.project(
        ", ".join(
            f"#{place}{cast} AS {_quoted(name)}"
            for place, (name, cast) in enumerate(zip(names, casts, strict=True), 1)
        )
    )


def distinct(names: Sequence[str]) -> list[str]:
    """The names, a repeated one numbered.

    >>> distinct(["a", "b", "a"])
    ['a', 'b', 'a_2']
    """
    taken = set(names)
    given: dict[str, None] = {}
    for name in names:
        if name in given:
            numbered = (f"{name}_{n}" for n in count(2))
            name = next(n for n in numbered if n not in taken and n not in given)
        given[name] = None
    return list(given)


def _inner(type_: "DuckDBPyType") -> list[tuple[str, "DuckDBPyType"]] | None:
    """The types inside a list, array, map or struct."""
    if type_.id not in ("list", "array", "map", "struct"):
        return None
    # An array's size is a number among them.
    return [(name, of) for name, of in type_.children if not isinstance(of, int | list)]


def _is_kept(type_: "DuckDBPyType", kept: Collection[str]) -> bool:
    inner = _inner(type_)
    if inner is None:
        return type_.id in kept
    return bool(inner) and all(_is_kept(of, kept) for _, of in inner)


def _as_text(type_: "DuckDBPyType", kept: Collection[str]) -> str:
    """The type to cast to, in SQL."""
    if _is_kept(type_, kept):
        return str(type_)
    inner = _inner(type_)
    if not inner:
        return "VARCHAR"
    inside = [_as_text(of, kept) for _, of in inner]
    if type_.id == "struct":
        named = zip((name for name, _ in inner), inside, strict=True)
        return f"STRUCT({', '.join(f'{_quoted(name)} {of}' for name, of in named)})"
    if type_.id == "map":
        return f"MAP({', '.join(inside)})"
    if type_.id == "array":
        return f"{inside[0]}[{dict(type_.children)['size']}]"
    return f"{inside[0]}[]"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
