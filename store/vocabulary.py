"""The words that a query of a store may use: its tables and helpers, their columns with
type and meaning. The same for every store, so none is needed to know them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .connect import open_database, show
from .schema import RUNS, TABLES, Table
from .snapshot import Snapshot
from .sql_helpers import HELPERS

OWNERS = {
    "run_id": "the run the row belongs to",
    "model_hash": "the model, as `runs` has it",
}
"""What leads a table's rows and stands in no schema."""


@dataclass(frozen=True)
class Word:
    """A column as the views show it."""

    name: str
    type: str
    """In SQL."""
    doc: str


@dataclass(frozen=True)
class Source:
    """What may stand behind FROM."""

    name: str
    call: str
    """The same with its parameters, if it has any."""
    doc: str
    columns: tuple[Word, ...]


def vocabulary() -> tuple[Source, ...]:
    """`runs`, every table and every helper; DuckDB names the columns."""
    with open_database() as database:
        show(database, ".", Snapshot())

        def source(
            name: str, call: str, doc: str, doc_of: Callable[[str], str]
        ) -> Source:
            some = re.sub(r"at_\w+", "0", call)  # a value where one must be given
            relation = database.sql(f"FROM {some}")  # which asks for no rows
            columns = zip(relation.columns, relation.types, strict=True)
            words = (Word(column, str(of), doc_of(column)) for column, of in columns)
            return Source(name, call, doc, tuple(words))

        tables = [
            source(table.name, table.name, table.doc, docs_of(table).__getitem__)
            for table in (RUNS, *TABLES.values())
        ]
        helpers = [
            source(helper.name, helper.call, helper.doc, helper.column_doc)
            for helper in HELPERS.values()
        ]
    return (*tables, *helpers)


def docs_of(table: Table) -> dict[str, str]:
    """What the columns of a table's view mean."""
    return OWNERS | {column.name: column.doc for column in table.columns}
