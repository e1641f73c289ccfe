"""Rows of a table as the bytes of a Parquet file, and back."""

import zlib

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .errors import StoreError
from .files import Broken, Files
from .record import DataFile
from .schema import ROWS_VERSION, Table

ROW_GROUP = 131_072
SAMPLE = 4096
"""Rows by which it is judged whether the values of a column repeat."""

VERSION_KEY = "flowglass.schema_version"


def to_parquet(table: Table, rows: pa.Table) -> bytes:
    """`rows` in the table's schema and order; an assertion if they do not fit it."""
    rows = _sorted(table, conform(table, rows))
    rows = rows.replace_schema_metadata({VERSION_KEY: str(ROWS_VERSION)})
    order = [
        pq.SortingColumn(rows.schema.get_field_index(name), nulls_first=False)
        for name in table.sort
    ]
    split = _all_different(rows)
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows,
        sink,
        use_dictionary=[name for name in rows.column_names if name not in split],
        use_byte_stream_split=split,
        compression="zstd",
        compression_level=3,
        row_group_size=ROW_GROUP,
        sorting_columns=order,
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


class DamagedFile(StoreError):
    """A data file is not what its record says; the message says how to mend it."""


def read_rows(files: Files, folder: str, file: DataFile) -> pa.Table:
    """A data file's rows; DamagedFile if it is not what was committed.

    Where it cannot be asked for, another StoreError: it may be whole.
    """
    path = f"{folder}/{file.path}"
    try:
        data = files.read(path)
    except FileNotFoundError:
        raise _damaged(files.where(path), "is missing") from None
    except Broken as error:
        raise _damaged(files.where(path), "cannot be read: the disk fails") from error
    if len(data) != file.bytes or zlib.crc32(data) != file.crc32:
        raise _damaged(files.where(path), "is not what was committed (checksum)")
    try:
        rows = pq.ParquetFile(pa.BufferReader(data)).read()
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(files.where(path), f"is no Parquet file: {error}") from error
    if rows.num_rows != file.rows:
        raise _damaged(files.where(path), f"has {rows.num_rows} rows, not {file.rows}")
    return rows


def _damaged(path: str, what: str) -> DamagedFile:
    return DamagedFile(
        f"the store's file {path} {what}: restore it from a copy, or let `flowglass "
        f"verify STORE --repair` drop its shards and run the same sweep again"
    )


def _all_different(rows: pa.Table) -> list[str]:
    """The FLOAT columns whose values hardly repeat: a dictionary of them would take
    more than they do. What is rounded for the store repeats."""
    some = rows.slice(0, SAMPLE)
    return [
        field.name
        for field in rows.schema
        if field.type == pa.float32()
        and pc.count_distinct(some[field.name]).as_py() * 2 > len(some)
    ]


def conform(table: Table, rows: pa.Table) -> pa.Table:
    """`rows` in the table's schema, columns in its order; they must have its types."""
    schema = table.schema
    names = set(rows.column_names)
    assert names == set(schema.names), (
        f"{table.name}: {sorted(names ^ set(schema.names))} missing or unknown"
    )
    columns = []
    for field in schema:
        values = rows[field.name]
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        assert values.type == field.type, (
            f"{table.name}.{field.name} is {values.type}, not {field.type}"
        )
        assert field.nullable or not values.null_count, (
            f"{table.name}.{field.name} has nulls"
        )
        columns.append(values)
    return pa.table(columns, schema=schema)


def _sorted(table: Table, rows: pa.Table) -> pa.Table:
    keys = [(name, "ascending") for name in table.sort]
    return rows.take(pc.sort_indices(rows, sort_keys=keys))
