"""docs/sql.md says what is so: its tables and helpers, and what one types runs."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowglass.store import Store, open_store

from . import sql_page

TEXT = sql_page.PAGE.read_text()
ASKED = sql_page.asked(TEXT)
MAY_BE_EMPTY = {
    "What could not be processed, and why?": "nothing is in quarantine there",
}


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    with open_store(real_store) as opened:
        yield opened


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_page_is_up_to_date() -> None:
    """Tables, helpers and the list of questions follow from the code."""
    assert sql_page.page(TEXT) == TEXT, "docs/sql.md is out of date: run `make docs`"


def test_a_stale_page_is_seen() -> None:
    """A changed type, doc or heading is put right."""
    for old, new in (
        ("| `key` | INTEGER |", "| `key` | UINTEGER |"),
        ("position read from; = query unless attn", "position read from"),
        ("- [How far back does a head read?]", "- [How far does a head read?]"),
    ):
        assert old in TEXT
        assert sql_page.page(TEXT.replace(old, new)) == TEXT


def test_every_query_answers_a_question() -> None:
    """At least twenty, and none that stands under no question."""
    assert len(ASKED) >= 20
    assert sorted(ASKED.values()) == sorted(examples("sql"))
    assert set(MAY_BE_EMPTY) <= set(ASKED)


@pytest.mark.parametrize("question", ASKED)
def test_a_query_runs(store: Store, question: str) -> None:
    """It gives rows, with columns that have names of their own."""
    answer = store.table(ASKED[question])
    assert answer.num_rows > 0 or question in MAY_BE_EMPTY
    assert not [name for name in answer.column_names if "(" in name]


def test_links_within_the_page_lead_somewhere() -> None:
    """Every `#name` is a heading."""
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {sql_page.anchor(heading) for heading in headings}
    assert set(re.findall(r"\]\(#(.*?)\)", TEXT)) <= anchors


def test_commands_on_the_page_run(real_store: Path) -> None:
    """As they stand, in the folder above the store."""
    program = Path(sys.executable).parent / "flowglass"
    (block,) = [block for block in examples("bash") if "flowglass sql" in block]
    for line in block.splitlines():
        _, *arguments = shlex.split(line)
        done = subprocess.run(
            [program, *arguments], cwd=real_store.parent, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_python_on_the_page_runs(
    real_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the example for Ibis, which is no dependency."""
    monkeypatch.chdir(real_store.parent)
    blocks = [block for block in examples("python") if "import ibis" not in block]
    assert blocks
    exec(compile("\n".join(blocks), "docs/sql.md", "exec"), {})
