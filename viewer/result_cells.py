"""The values of a result as people read them, and how wide their columns are."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from .data_table import Column
from .theme import VISIBLE, show_whitespace

NULL = "null"
LONGEST = 300
"""Characters of a cell."""

NARROWEST, WIDEST = 7, 44
"""Characters of a column."""

CHARACTER = 7.6
"""Pixels, about."""

Say = Callable[[Any], str]


def is_number(type_: pa.DataType) -> bool:
    """Whether a column can be measured: no truth values."""
    return bool(
        pa.types.is_integer(type_)
        or pa.types.is_floating(type_)
        or pa.types.is_decimal(type_)
    )


def is_plain(type_: pa.DataType) -> bool:
    """Whether a column's values have an order and one line of text."""
    return not (
        pa.types.is_nested(type_)
        or pa.types.is_null(type_)
        or pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
    )


def columns_of(table: pa.Table, rows: Sequence[list[str]]) -> tuple[Column, ...]:
    """How the table's columns are shown: wide enough for these rows."""
    return tuple(
        Column(
            field.name,
            field.name,
            width=f"{_pixels(field.name, [row[place] for row in rows])}px",
            align="right" if is_number(field.type) else "",
            kind="token" if _is_token(field) else "",
            sortable=is_plain(field.type),
            hint=str(field.type),
        )
        for place, field in enumerate(table.schema)
    )


def cells_of(part: pa.Table, whole: pa.Table) -> list[list[str]]:
    """The rows of a part as text; how a number is shown goes by the whole column."""
    columns = [
        [NULL if value is None else say(value) for value in column.to_pylist()]
        for column, say in zip(part.columns, says_of(whole), strict=True)
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def says_of(table: pa.Table) -> list[Say]:
    """What turns the values of each column into text."""
    return [
        _say(field, column)
        for field, column in zip(table.schema, table.columns, strict=True)
    ]


def flat(table: pa.Table) -> pa.Table:
    """The table with lists, structs and bytes as text, for CSV has no other word.

    >>> flat(pa.table({"a": [["x", "y"]]}))["a"].to_pylist()
    ['["x", "y"]']
    """
    for place, field in enumerate(table.schema):
        if not is_plain(field.type):
            values = table.column(place).to_pylist()
            texts = [None if value is None else _text(value) for value in values]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table


def _say(field: pa.Field, column: pa.ChunkedArray) -> Say:
    if pa.types.is_floating(field.type):
        return _figures(column)
    if pa.types.is_boolean(field.type):
        return lambda value: "true" if value else "false"
    if _is_token(field):
        return lambda value: show_whitespace(_cut(value))
    return lambda value: "".join(
        c if c == " " else VISIBLE.get(c, c) for c in _cut(_text(value))
    )


def _figures(column: pa.ChunkedArray) -> Say:
    """Four decimals, so that they align, where that tells the values apart."""
    sizes = [abs(v) for v in column.to_pylist() if v is not None and v == v]
    largest = max((v for v in sizes if v != float("inf")), default=0.0)
    if 0.01 <= largest < 100_000 or not largest:
        return lambda value: f"{value:.4f}"
    return lambda value: f"{value:.4g}"


def _text(value: object) -> str:
    """A value as text; what is inside of it as JSON.

    >>> _text([1, "a"]), _text(b"a"), _text(7)
    ('[1, "a"]', '61', '7')
    """
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | dict | tuple):
        return json.dumps(value, ensure_ascii=False, default=_text)
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _is_token(field: pa.Field) -> bool:
    """Whether white space counts: columns of tokens, by name.

    >>> _is_token(pa.field("key_token", pa.string()))
    True
    """
    of_text = pa.types.is_string(field.type)
    return bool(of_text and (field.name == "token" or field.name.endswith("_token")))


def _pixels(title: str, texts: Sequence[str]) -> int:
    longest = max([len(title) + 2, *map(len, texts)])
    return round(16 + CHARACTER * min(max(longest, NARROWEST), WIDEST))
