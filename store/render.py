"""The rows of a query as text or a file: a table to look at, CSV, JSON, Parquet.

Rows are taken as they come, so a result may be larger than memory.
"""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import duckdb

BATCH = 10_000
SHOWN_ROWS = 40


def write_table(rows: "duckdb.DuckDBPyConnection", out: TextIO) -> None:
    """The first rows as a table for people, and how many more there are."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name, type_, *_ in rows.description or []:
        right = str(type_) in _NUMBERS or str(type_).startswith("DECIMAL")
        table.add_column(
            Text(name), justify="right" if right else "left", overflow="fold"
        )
    shown = rows.fetchmany(SHOWN_ROWS)
    for row in shown:
        table.add_row(*(Text(*_cell(value)) for value in row))
    more = sum(len(batch) for batch in _batches(rows))
    # Where there is no terminal to fit, nothing is folded.
    console = Console(file=out, width=None if out.isatty() else 10_000)
    console.print(table)
    said = f"{len(shown)} row{'s' if len(shown) != 1 else ''}"
    if more:
        said += f" and {more:,} more, which --format csv would write"
    console.print(said, style="dim", highlight=False)


def write_csv(rows: "duckdb.DuckDBPyConnection", out: TextIO) -> None:
    """A header and every row; null is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_names(rows))
    for batch in _batches(rows):
        writer.writerows([_plain_text(value) for value in row] for row in batch)


def write_json(rows: "duckdb.DuckDBPyConnection", out: TextIO) -> None:
    """An array of objects, one a line; numbers that JSON lacks become null."""
    names = _names(rows)
    between = "[\n"
    for batch in _batches(rows):
        for row in batch:
            said = dict(zip(names, map(_jsonable, row), strict=True))
            out.write(between + json.dumps(said, ensure_ascii=False))
            between = ",\n"
    out.write("[]\n" if between == "[\n" else "\n]\n")


def write_parquet(relation: "duckdb.DuckDBPyRelation", path: str) -> None:
    """Every row as a Parquet file."""
    import pyarrow.parquet as pq

    with relation.to_arrow_reader(BATCH) as reader:
        names = _distinct(reader.schema.names)
        schema = reader.schema
        for place, name in enumerate(names):
            schema = schema.set(place, schema.field(place).with_name(name))
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch.rename_columns(names))


_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE"}


def _names(rows: "duckdb.DuckDBPyConnection") -> list[str]:
    return _distinct([name for name, *_ in rows.description or []])


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, a repeated one numbered."""
    seen: dict[str, int] = {}
    distinct = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        distinct.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return distinct


def _batches(rows: "duckdb.DuckDBPyConnection") -> Iterator[list[Any]]:
    while batch := rows.fetchmany(BATCH):
        yield batch


def _cell(value: object) -> tuple[str, str]:
    """A value as people read it, and its style."""
    if value is None:
        return "null", "dim"
    if isinstance(value, float):
        return f"{value:.6g}", ""
    text = _plain_text(value)
    # A line break in a token would break the table.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text), ""


def _plain_text(value: object) -> str:
    if value is None:
        return ""
    said = _jsonable(value)
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def _jsonable(value: object) -> object:
    """A value of DuckDB's as JSON knows it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _jsonable(inner) for key, inner in value.items()}
    if isinstance(value, Iterable):
        return [_jsonable(inner) for inner in value]
    return float(value) if isinstance(value, Decimal) else str(value)
