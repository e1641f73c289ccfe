"""Rows of a real sweep as Python dicts, to count answers from once more."""

from collections import defaultdict
from typing import Any

from flowglass.store import Store

Row = dict[str, Any]


def rows(store: Store, run_id: str, table: str, **where: object) -> list[Row]:
    """A run's rows of a table in which columns have these values."""
    found = store.table(f"FROM {table} WHERE run_id = $run", {"run": run_id})
    return [
        row
        for row in found.to_pylist()
        if all(row[name] == value for name, value in where.items())
    ]


def tokens_by_prompt(store: Store, run_id: str) -> dict[int, list[Row]]:
    """Every prompt's tokens in order."""
    tokens = defaultdict(list)
    for row in sorted(rows(store, run_id, "tokens"), key=lambda row: row["position"]):
        tokens[row["prompt_id"]].append(row)
    return dict(tokens)


def around(tokens: list[Row], places: list[int], distance: int) -> list[Row]:
    """The tokens at most so far from one of some places."""
    return [
        row
        for row in tokens
        if min(abs(row["position"] - place) for place in places) <= distance
    ]
