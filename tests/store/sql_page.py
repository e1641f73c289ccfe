"""docs/sql.md: the parts of it that follow from the schema, the helpers and itself.

`make docs` writes them anew between the page's marks; a test holds that they are up to
date. All else on the page is written by hand.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from flowglass.store import Store, open_store
from flowglass.store.run import RunWriter
from flowglass.store.schema import RUNS, TABLES, Table
from flowglass.store.sql_helpers import HELPERS

from .builders import make_plan

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"

OWNERS = {
    "run_id": "the run the row belongs to",
    "model_hash": "the model, as `runs` has it",
}
"""What leads a table's rows and stands in no schema."""


def page(text: str) -> str:
    """The page with its made parts as they should be."""
    with tempfile.TemporaryDirectory() as folder:
        RunWriter(folder, make_plan())
        with open_store(folder) as store:
            made = {
                "questions": "".join(questions(text)),
                "tables": "".join(tables(store)),
                "helpers": "".join(helpers(store)),
            }
    for name, content in made.items():
        mark, end = f"<!-- {name}: made by `make docs` -->\n", "<!-- end -->\n"
        before, _, rest = text.partition(mark)
        _, found, after = rest.partition(end)
        assert found, f"docs/sql.md has no marks for its {name}"
        text = f"{before}{mark}\n{content}\n{end}{after}"
    return text


def asked(text: str) -> dict[str, str]:
    """Every question of the page with the query that answers it."""
    return dict(re.findall(r"^### ([^\n]*\?)\n.*?```sql\n(.*?)```", text, re.M | re.S))


def anchor(heading: str) -> str:
    """The name under which GitHub links to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def questions(text: str) -> Iterator[str]:
    """Links to the questions, a line each."""
    for question in asked(text):
        yield f"- [{question}](#{anchor(question)})\n"


def tables(store: Store) -> Iterator[str]:
    """Every table with its columns, as the views show them."""
    yield "| table | what it holds |\n|---|---|\n"
    for table in (RUNS, *TABLES.values()):
        yield f"| [`{table.name}`](#{table.name}) | {table.doc} |\n"
    for table in (RUNS, *TABLES.values()):
        yield f"\n### {table.name}\n\n{table.doc}\n\n"
        yield from columns(store, table.name, OWNERS | docs_of(table))


def docs_of(table: Table) -> dict[str, str]:
    return {column.name: column.doc for column in table.columns}


def helpers(store: Store) -> Iterator[str]:
    """Every helper with its columns."""
    for helper in HELPERS.values():
        yield f"### {helper.name}\n\n`from {helper.call}`\n\n{helper.doc}\n\n"
        arguments = re.sub(r"at_\w+", "0", helper.parameters)
        call = f"{helper.name}({arguments})" if helper.parameters else helper.name
        names = store.sql(f"from {call}").columns
        docs = {name: helper.column_doc(name) for name in names}
        yield from columns(store, call, docs)
        yield "\n"


def columns(store: Store, source: str, docs: Mapping[str, str]) -> Iterator[str]:
    """A row for each column of a source: name, type in SQL, meaning."""
    relation = store.sql(f"from {source}")
    yield "| column | type | meaning |\n|---|---|---|\n"
    for name, type in zip(relation.columns, relation.types, strict=True):
        said = docs[name].replace("|", r"\|")
        yield f"| `{name}` | {type} | {said} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
