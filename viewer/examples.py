"""Places of prompts as examples to look at: tokens around, marks, where they lead."""

from collections.abc import Mapping, Sequence
from typing import Any

from .prediction import Row
from .sections import Example, Piece
from .selection import OF_A_PROMPT, OF_A_VIEW
from .theme import show_whitespace

Marks = Mapping[int, str]


def example_of(
    row: Row,
    *,
    figure: str,
    marks: Marks,
    shades: Mapping[int, float] | None = None,
    hints: Mapping[int, str] | None = None,
    opens: Mapping[str, Any],
) -> Example:
    """A row with `prompt_id`, `dataset`, `category`, `positions` and `tokens`.

    Marks, shades and hints are by position; `opens` is what the prediction shows of it.
    """
    groups = " · ".join(str(row[k]) for k in ("dataset", "category") if row[k])
    return Example(
        f"prompt {row['prompt_id']} · {groups}",
        figure,
        pieces(row["positions"], row["tokens"], marks, shades or {}, hints or {}),
        leading_to(row["prompt_id"], **opens),
    )


def pieces(
    positions: Sequence[int],
    tokens: Sequence[str],
    marks: Marks,
    shades: Mapping[int, float],
    hints: Mapping[int, str],
) -> list[Piece]:
    """Tokens with what is known of them; a gap where some are left out.

    >>> [p.gap for p in pieces([0, 1, 5], ["a", "b", "c"], {5: "to"}, {}, {})]
    [False, False, True]
    """
    before = [positions[0] - 1, *positions[:-1]] if positions else []
    return [
        Piece(
            show_whitespace(token),
            marks.get(position, ""),  # type: ignore[arg-type]
            shades.get(position, 0.0),
            gap=position != last + 1,
            hint=hints.get(position, ""),
        )
        for position, last, token in zip(positions, before, tokens, strict=True)
    ]


def leading_to(prompt_id: int, **wanted: Any) -> dict[str, Any]:
    """What a click changes: a prompt, and all that was of a page no more."""
    return {**OF_A_PROMPT, **OF_A_VIEW, "prompt": prompt_id, **wanted}


def leading_to_page(view: str, **wanted: Any) -> dict[str, Any]:
    """What a click changes: a page about the run, and nothing more of a prompt."""
    return {**OF_A_PROMPT, **OF_A_VIEW, "prompt": None, "view": view, **wanted}


def given(changes: Mapping[str, Any]) -> dict[str, Any]:
    """What of a click's changes names a place: the rest is at its default there."""
    return {key: value for key, value in changes.items() if value not in (None, "")}
