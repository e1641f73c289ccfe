"""What the editor knows of SQL: what may be typed next, and what is of which colour."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from flowglass.store.vocabulary import vocabulary
from flowglass.viewer import sql_editor

WORDS = (Path(sql_editor.__file__).parent / "sql_words.js").read_text()
COMPLETE = """([sql, sources, asked]) => {
    WORDS
    const caret = sql.indexOf("|")
    const text = sql.replace("|", "")
    return completionsAt(text, caret, { sources, run: "it's", asked }).items
}""".replace("WORDS", WORDS)
COLOURS = """([sql, sources]) => {
    WORDS
    const pieces = piecesOf(sql)
    const names = new Set(sources.map((source) => source.name))
    return [pieces.map((piece) => piece.text).join(""),
            pieces.map((piece) => [colourOf(piece, names), piece.text])]
}""".replace("WORDS", WORDS)

SOURCES = [
    {
        "name": source.name,
        "call": source.call,
        "doc": source.doc,
        "columns": [vars(column) for column in source.columns],
    }
    for source in vocabulary()
]


@pytest.fixture(scope="module")
def page(browser: BrowserContext) -> Iterator[Page]:
    """An empty page to run the script in."""
    tab = browser.new_page()
    yield tab
    tab.close()


def completed(page: Page, sql: str, *, asked: bool = False) -> list[str]:
    """What may stand at the | of a query."""
    found: list[dict[str, Any]] = page.evaluate(COMPLETE, [sql, SOURCES, asked])
    return [item["text"] for item in found]


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        ("from ed|", ["edges", "edge_tokens"]),
        ("from targets join pro|", ["prompts", "head_prompts"]),
        ("with mine as (from runs) from mi|", ["mine"]),
        ("from edges e select e.con|", ["contribution"]),
        (
            "select t.pred| from edges e join targets as t using (run_id)",
            ["predicted_token_id", "predicted_token", "predicted_prob"],
        ),
        ("from edges select contr|", ["contribution"]),
        ("from edges where run|", ["run_id", "run_id = 'it''s'"]),
        ("from activation_frequency(0.04) select freq|", ["frequency"]),
        ("sel|", ["select"]),
        ("from edges select cou|", ["count"]),
    ],
)
def test_completion_knows_tables_and_their_columns(
    page: Page, sql: str, first: list[str]
) -> None:
    """Behind FROM tables; behind an alias its columns; else the query's own first."""
    assert completed(page, sql)[: len(first)] == first


@pytest.mark.parametrize(
    "sql",
    [
        "from edges e|",  # an alias
        "select 'from ed|'",
        "select 1 -- from ed|",
        'select "con|"',
        "select 12|",
        "from edges order by contribution desc|",  # whole: Enter ends the line
        "from edges select max(contribution) as con|",
        "from nothing n select n.con|",
        "from steps select contrib|",  # steps has none
    ],
)
def test_completion_keeps_quiet(page: Page, sql: str) -> None:
    """Where nothing of the store can stand, and where a word is whole."""
    assert completed(page, sql) == []


def test_completion_can_be_asked_for(page: Page) -> None:
    """Everything, the columns of the query first."""
    found = completed(page, "from edges where |", asked=True)
    assert found[:3] == ["run_id", "prompt_id", "layer"]
    assert len(found) > 20


def test_colours_lose_no_character(page: Page) -> None:
    """Strings, comments, numbers, keywords and sources; the text stays as it is."""
    sql = "select 'it''s', \"from\", 1.5e-3 -- from 'x'\nFROM edges /* a\nb */ x'"
    text, pieces = page.evaluate(COLOURS, [sql, SOURCES])
    assert text == sql
    assert [piece for piece in pieces if piece[0]] == [
        ["keyword", "select"],
        ["text", "'it''s'"],
        ["number", "1.5e-3"],
        ["comment", "-- from 'x'"],
        ["keyword", "FROM"],
        ["source", "edges"],
        ["comment", "/* a\nb */"],
        ["text", "'"],
    ]
