"""The questions of questions.sql: what they ask, why, and the query that answers.

They ask a store of the runs `gpt2` and `llama`; `about` has one ask other runs.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from .views import quote

FILE = Path(__file__).parent / "questions.sql"

_QUESTION = re.compile(r"^-- # (.*)\n((?:-- .*\n)+)([^;]*);$", re.MULTILINE)
_FIRST, _SECOND = "'gpt2'", "'llama'"


@dataclass(frozen=True)
class Question:
    """A question with a query to start from."""

    text: str
    doc: str
    """What the answer means, in Markdown; its lines are broken."""
    sql: str


def questions() -> tuple[Question, ...]:
    """All questions, in the order in which one learns them."""
    return tuple(
        Question(text, doc.replace("-- ", "").rstrip("\n"), sql)
        for text, doc, sql in _QUESTION.findall(FILE.read_text("utf-8"))
    )


def about(question: Question, *, run: str, other: str) -> str:
    """The query, asked of these runs; few compare two.

    >>> about(Question("?", "", "from runs where run_id = 'gpt2'"), run="a", other="b")
    "from runs where run_id = 'a'"
    """
    named = {_FIRST: quote(run), _SECOND: quote(other)}
    pattern = "|".join(map(re.escape, named))
    return re.sub(pattern, lambda found: named[found[0]], question.sql)
