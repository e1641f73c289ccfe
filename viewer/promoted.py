"""Promoted and suppressed tokens, side by side."""

from itertools import zip_longest

from flowglass.store.answer import Answer

from .downloads import Extract
from .sections import Column, Table
from .theme import show_whitespace

COLUMNS = (
    Column("Promoted", "token"),
    Column("Logit", "signed", digits=2, width="64px", hint="what it adds to the logit"),
    Column("Suppressed", "token"),
    Column("Logit", "signed", digits=2, width="64px", hint="what it adds to the logit"),
)


def promoted_table(caption: str, answer: Answer, *, name: str, missing: str) -> Table:
    """A table of a write's tokens; `missing` says why there are none."""
    rows = answer.table.to_pylist()
    sides = [
        [(show_whitespace(r["token"]), r["score"]) for r in rows if r["sign"] == sign]
        for sign in (1, -1)
    ]
    return Table(
        caption,
        COLUMNS,
        [[*up, *down] for up, down in zip_longest(*sides, fillvalue=(None, None))],
        Extract(name, answer.table, answer.sql) if rows else None,
        empty=missing,
        sortable=False,
    )
