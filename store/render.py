"""The rows of a query as text or a file: a table to look at, CSV, JSON, Parquet.

Rows are taken as they come, so a result may be larger than memory. They have plain
types (`shown.PLAIN`): what JSON has no word for is text already.
"""

import csv
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .sandbox import Rows

if TYPE_CHECKING:
    import pyarrow as pa


def write_table(rows: Rows, out: TextIO) -> None:
    """The rows as a table for people, and how many more there are."""
    table = Table(box=box.SIMPLE_HEAD)
    for field in rows.table.schema:
        right = _is_number(field.type)
        table.add_column(
            Text(_visible(field.name)),
            justify="right" if right else "left",
            overflow="fold",
        )
    for batch in rows.table.to_batches():
        for row in _rows(batch):
            table.add_row(*(Text(*_cell(value)) for value in row))
    # Where there is no terminal to fit, nothing is folded.
    console = Console(file=out, width=None if out.isatty() else 10_000)
    console.print(table)
    console.print(_counted(rows), style="dim", highlight=False)


def write_csv(rows: "pa.RecordBatchReader", out: TextIO) -> None:
    """A header and every row; null is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows.schema.names)
    for batch in rows:
        writer.writerows([_plain_text(value) for value in row] for row in _rows(batch))


def write_json(rows: "pa.RecordBatchReader", out: TextIO) -> None:
    """An array of objects, one a line; numbers that JSON lacks become null."""
    between = "[\n"
    for batch in rows:
        for row in _rows(batch):
            said = dict(zip(rows.schema.names, map(_jsonable, row), strict=True))
            out.write(between + json.dumps(said, ensure_ascii=False))
            between = ",\n"
    out.write("[]\n" if between == "[\n" else "\n]\n")


def write_parquet(rows: "pa.RecordBatchReader", path: str) -> None:
    """Every row as a Parquet file."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, rows.schema, compression="zstd") as writer:
        for batch in rows:
            writer.write_batch(batch)


def _counted(rows: Rows) -> str:
    shown = rows.table.num_rows
    said = f"{shown:,} row{'s' if shown != 1 else ''}"
    if rows.more or not rows.exact:
        than = "" if rows.exact else "more than "
        said += f" and {than}{rows.more:,} more, which --format csv would write"
    return said


def _is_number(type_: "pa.DataType") -> bool:
    from pyarrow import types

    return bool(
        types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_)
    )


def _rows(batch: "pa.RecordBatch") -> Iterator[tuple[Any, ...]]:
    """The rows of a batch as Python values; a map is a dict with text for keys."""
    return zip(*map(_values, batch.columns), strict=True)


def _values(column: "pa.Array") -> list[Any]:
    convert = _conversion(column.type)
    values = column.to_pylist()
    return values if convert is None else [convert(value) for value in values]


def _conversion(type_: "pa.DataType") -> Callable[[Any], Any] | None:
    """What makes dicts of the maps in a value, which come as lists of pairs."""
    from pyarrow import types

    if types.is_map(type_):
        item = _conversion(type_.item_type) or (lambda value: value)
        return lambda pairs: pairs and {_plain_text(k): item(v) for k, v in pairs}
    if types.is_struct(type_):
        fields = {f.name: _conversion(f.type) for f in type_}
        if any(fields.values()):
            return lambda value: (
                value
                and {
                    name: of(value[name]) if of else value[name]
                    for name, of in fields.items()
                }
            )
    elif types.is_list(type_) or types.is_fixed_size_list(type_):
        element = _conversion(type_.value_type)
        if element is not None:
            return lambda values: values and [element(value) for value in values]
    return None


def _cell(value: object) -> tuple[str, str]:
    """A value as people read it, and its style."""
    if value is None:
        return "null", "dim"
    return f"{value:.6g}" if isinstance(value, float) else _visible(
        _plain_text(value)
    ), ""


def _visible(text: str) -> str:
    # A line break in a token would break the table.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _plain_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return format(value, "f")  # all its digits
    if isinstance(value, float):
        return repr(value)  # nan and inf too
    said = _jsonable(value)
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def _jsonable(value: object) -> object:
    """A value of a plain type as JSON knows it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, Decimal):
        whole = value.as_tuple().exponent == 0
        return int(value) if whole else float(value)
    return value
