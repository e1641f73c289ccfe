"""What a helper is: a named view or table macro that saves people writing a query.

Its columns are documented where they are new; a column of a table keeps that table's
doc.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .schema import RUNS, TABLES


@dataclass(frozen=True)
class Helper:
    """One helper; with `parameters` it is a table macro, else a view."""

    name: str
    parameters: str
    doc: str
    reads: tuple[str, ...]
    """The tables it reads, those first whose docs its columns keep."""
    columns: Mapping[str, str]
    """Docs of the columns that no table in `reads` has."""
    query: str

    @property
    def call(self) -> str:
        """What stands behind FROM."""
        return f"{self.name}({self.parameters})" if self.parameters else self.name

    @property
    def create_sql(self) -> str:
        """The statement that makes it, or makes it anew."""
        if self.parameters:
            return f"CREATE OR REPLACE MACRO {self.call} AS TABLE {self.query}"
        return f"CREATE OR REPLACE VIEW {self.name} AS {self.query}"

    def column_doc(self, name: str) -> str:
        """What a column of the helper means."""
        if name in self.columns:
            return self.columns[name]
        if name == "run_id":
            return "the run"
        tables = [RUNS if table == RUNS.name else TABLES[table] for table in self.reads]
        return next(c.doc for t in tables for c in t.columns if c.name == name)
