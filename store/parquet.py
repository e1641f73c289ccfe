"""Rows of a table as the bytes of a Parquet file."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .schema import SCHEMA_VERSION, Table

ROW_GROUP = 131_072
VERSION_KEY = "flowglass.schema_version"


def to_parquet(table: Table, rows: pa.Table) -> bytes:
    """`rows` in the table's schema and order; an assertion if they do not fit it."""
    rows = _sorted(table, conform(table, rows))
    rows = rows.replace_schema_metadata({VERSION_KEY: str(SCHEMA_VERSION)})
    order = [
        pq.SortingColumn(rows.schema.get_field_index(name), nulls_first=False)
        for name in table.sort
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        compression_level=3,
        row_group_size=ROW_GROUP,
        sorting_columns=order,
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


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
