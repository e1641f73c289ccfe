"""docs/sql.md: the parts of it that follow from schema, helpers and questions.

`make docs` writes them anew between the page's marks; a test holds that they are up to
date. All else on the page is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from flowglass.store.questions import questions
from flowglass.store.schema import RUNS, TABLES
from flowglass.store.sql_helpers import HELPERS
from flowglass.store.vocabulary import Source, vocabulary

PAGE = Path(__file__).parents[2] / "docs" / "sql.md"


def page(text: str) -> str:
    """The page with its made parts as they should be."""
    sources = {source.name: source for source in vocabulary()}
    made = {
        "questions": "".join(links()),
        "worked": "".join(worked()),
        "tables": "".join(tables(sources)),
        "helpers": "".join(helpers(sources)),
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


def links() -> Iterator[str]:
    """Links to the questions, a line each."""
    for question in questions():
        yield f"- [{question.text}](#{anchor(question.text)})\n"


def worked() -> Iterator[str]:
    """Every question with its query."""
    for question in questions():
        yield f"### {question.text}\n\n{question.doc}\n\n"
        yield f"```sql\n{question.sql}\n```\n\n"


def tables(sources: dict[str, Source]) -> Iterator[str]:
    """Every table with its columns, as the views show them."""
    yield "| table | what it holds |\n|---|---|\n"
    for name in (RUNS.name, *TABLES):
        yield f"| [`{name}`](#{name}) | {sources[name].doc} |\n"
    for name in (RUNS.name, *TABLES):
        yield f"\n### {name}\n\n{sources[name].doc}\n\n"
        yield from columns(sources[name])


def helpers(sources: dict[str, Source]) -> Iterator[str]:
    """Every helper with its columns."""
    for name in HELPERS:
        source = sources[name]
        yield f"### {name}\n\n`from {source.call}`\n\n{source.doc}\n\n"
        yield from columns(source)
        yield "\n"


def columns(source: Source) -> Iterator[str]:
    """A row for each column of a source: name, type in SQL, meaning."""
    yield "| column | type | meaning |\n|---|---|---|\n"
    for word in source.columns:
        said = word.doc.replace("|", r"\|")
        yield f"| `{word.name}` | {word.type} | {said} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
