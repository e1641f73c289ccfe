"""What a table is: named, typed, documented columns and the order of its rows.

Types are names here, so that reading SQL needs no pyarrow; `Table.schema` is the Arrow
schema, made when first asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

TINY, SMALL, INT, BIG = "int8", "int16", "int32", "int64"
FLOAT, DOUBLE, BOOL = "float32", "float64", "bool"
TEXT, TEXTS, BLOB, TIME = "string", "list<string>", "binary", "timestamp"

_SQL = {
    TINY: "TINYINT",
    SMALL: "SMALLINT",
    INT: "INTEGER",
    BIG: "BIGINT",
    FLOAT: "FLOAT",
    DOUBLE: "DOUBLE",
    BOOL: "BOOLEAN",
    TEXT: "VARCHAR",
    TEXTS: "VARCHAR[]",
    BLOB: "BLOB",
    TIME: "TIMESTAMP",
}


@dataclass(frozen=True)
class Column:
    """One column; `type` is the name of its Arrow type."""

    name: str
    type: str
    doc: str
    nullable: bool = False
    since: int = 1
    """The ROWS_VERSION that brought it; in rows of an older one it is null."""

    @property
    def sql_type(self) -> str:
        """The column's type in DuckDB, as stored."""
        return _SQL[self.type]


def column(name: str, type: str, doc: str) -> Column:
    """A column that always has a value."""
    return Column(name, type, doc)


def optional(name: str, type: str, doc: str) -> Column:
    """A column that may be null; its doc says when."""
    return Column(name, type, doc, nullable=True)


@dataclass(frozen=True)
class Table:
    """A table of a store; `sort` is the order of the rows inside one shard, `key` what
    no two rows of a run share."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    sort: tuple[str, ...]
    key: tuple[str, ...]

    @cached_property
    def schema(self) -> "pa.Schema":
        """The Arrow schema on disk, without `run_id`; docs in the field metadata."""
        import pyarrow as pa

        types = {
            BOOL: pa.bool_(),
            TEXTS: pa.list_(pa.string()),
            TIME: pa.timestamp("us"),
        }
        return pa.schema(
            pa.field(
                c.name,
                types.get(c.type) or pa.type_for_alias(c.type),
                nullable=c.nullable,
                metadata={"doc": c.doc},
            )
            for c in self.columns
        )


def table(
    name: str, doc: str, columns: Sequence[Column], *, sort: str, key: str = ""
) -> Table:
    """A table; `sort` and `key` list columns with space between, and the key is what it
    is sorted by if nothing is said."""
    by, unique = tuple(sort.split()), tuple((key or sort).split())
    assert {*by, *unique} <= {c.name for c in columns}, f"{name} has no {by}, {unique}"
    return Table(name, doc, tuple(columns), by, unique)
