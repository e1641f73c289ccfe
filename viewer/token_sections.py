"""What the token's page says, as sections; no widgets.

Rows are those of `store.token_queries`.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from .downloads import Extract
from .examples import example_of
from .head_sections import not_written
from .prediction import Row
from .sections import Column, Examples, Section, Table
from .theme import show_whitespace

ID = "#"
"""Before a number that is a token's id, and not its text."""


def id_of(wanted: str) -> int | None:
    """The id that `token` of the Selection names; None if it is a text.

    >>> id_of("#17"), id_of("17"), id_of("the")
    (17, None, None)
    """
    number = wanted.removeprefix(ID)
    return int(number) if wanted != number and number.isdecimal() else None


def shown(text: str | None) -> str:
    """A token's text with its white space visible."""
    return "unknown" if text is None else show_whitespace(text)


def nothing_like(text: str) -> str:
    """What to say where no token fits."""
    return (
        f"No token of this run's prompts or predictions holds “{text}”. A word may be "
        "several tokens: try its beginning."
    )


def unknown(token_id: int) -> str:
    """What to say of an id that this run knows nothing of."""
    return (
        f"No token with the id {token_id} stands in this run's prompts, or is "
        "predicted or promoted there."
    )


def found_table(rows: Sequence[Row], text: str, extract: Extract) -> Table:
    """Tokens that fit what was typed."""
    return Table(
        f"Tokens like “{text}”",
        [
            Column("Token", "token", width="50%"),
            Column("Id", "text", width="25%"),
            Column("Positions", "number", 0, hint="Where it stands"),
        ],
        [
            [show_whitespace(r["token"]), str(r["token_id"]), r["n_positions"]]
            for r in rows
        ],
        extract if rows else None,
        opens=[{"token": f"{ID}{r['token_id']}", "view": "token"} for r in rows],
        empty=nothing_like(text),
    )


def summed_up(row: Row) -> str:
    """How often it stands there, and is predicted."""
    said = (
        f"It stands at {row['n_positions']:,} of {row['n_tokens']:,} positions, in "
        f"{row['n_prompts']:,} prompts"
    )
    if row["mean_logprob"] is not None:
        said += f", with a surprisal of {-row['mean_logprob']:.2f} nats on average"
    return (
        f"{said}. It is the likeliest next token at {row['n_top']:,} positions, at "
        f"{row['n_targets_top']:,} of {row['n_targets']:,} targets, and the due answer "
        f"at {row['n_answers']:,}."
    )


def readers_table(table: pa.Table, extract: Extract, tau: float) -> Table:
    """Heads that read most from it in routes."""
    rows = table.to_pylist()
    about = {k.decode(): int(v) for k, v in (table.schema.metadata or {}).items()}
    caption = "Heads that read from it"
    if about and about["sampled"] < about["prompts"]:
        caption += f" · a random {about['sampled']:,} of {about['prompts']:,} prompts"
    return Table(
        caption,
        [
            Column("Head", width="36%"),
            Column("Contribution", "number", 4, hint="Mean over targets, 0 where none"),
            Column("Targets", "text", hint=f"With such an edge in routes at {tau:g}"),
        ],
        [
            [
                f"Layer {r['layer']} · head {r['head']}",
                r["contribution"],
                f"{r['n_reading']:,} of {r['n_targets']:,}",
            ]
            for r in rows
        ],
        extract if rows else None,
        opens=[{"view": "head", "layer": r["layer"], "head": r["head"]} for r in rows],
        empty="No route of a target passes through this token by attention.",
    )


def promoters_tables(table: pa.Table, run: Row, extract: Extract) -> list[Section]:
    """Components that promote it most often, and those that suppress it."""
    rows = table.to_pylist()
    found: list[Section] = []
    for sign, caption in ((1, "Promoted by"), (-1, "Suppressed by")):
        mine = [row for row in rows if row["sign"] == sign]
        found.append(
            Table(
                caption,
                [
                    Column("Component", width="40%"),
                    Column("Writes", "number", 0, hint="Among whose top tokens it is"),
                    Column("Prompts", "number", 0),
                    Column("Mean score", "signed", 2, hint="Logits"),
                ],
                [
                    [component(r), r["n_writes"], r["n_prompts"], r["mean_score"]]
                    for r in mine
                ],
                extract if mine else None,
                opens=[page_of(r) for r in mine],
                empty=not_written(run),
                tallest=300,
            )
        )
    return found


def component(row: Row) -> str:
    """A component in words.

    >>> component({"layer": 1, "component": "attn", "index": 0, "expert": None})
    'Layer 1 · attention'
    """
    kind = row["component"]
    if kind in ("head", "neuron"):
        expert = "" if row["expert"] is None else f"expert {row['expert']} · "
        return f"Layer {row['layer']} · {expert}{kind} {row['index']}"
    return f"Layer {row['layer']} · {'attention' if kind == 'attn' else 'FFN'}"


def page_of(row: Row) -> dict[str, Any]:
    """The page of a head, an FFN or a neuron; nothing for attention as a whole."""
    kind = row["component"]
    if kind == "attn":
        return {}
    of = {"view": kind, "layer": row["layer"]}
    if kind != "ffn":
        of[kind] = row["index"]
    return of | ({} if row["expert"] is None else {"expert": row["expert"]})


def occurrences(table: pa.Table, extract: Extract) -> Examples:
    """Where it stands, first where it was least expected."""
    rows = table.to_pylist()
    return Examples(
        "Where it stands",
        [
            example_of(
                row,
                figure="first position"
                if row["logprob"] is None
                else f"surprisal {-row['logprob']:.2f} nats",
                marks={row["position"]: "to"},
                opens={"target": row["position"]},
            )
            for row in rows
        ],
        note="Once in each prompt, first where it was least expected." if rows else "",
        extract=extract if rows else None,
        empty="In no prompt of this run.",
    )


def predictions(table: pa.Table, extract: Extract) -> Examples:
    """Targets where it is predicted."""
    rows = table.to_pylist()
    return Examples(
        "Where it is predicted",
        [
            example_of(
                row,
                figure=f"probability {100 * row['prob']:.1f} %",
                marks={row["target"]: "to"},
                opens={"target": row["target"]},
            )
            for row in rows
        ],
        note="Targets behind whose marked position it is the likeliest next token."
        if rows
        else "",
        extract=extract if rows else None,
        empty="At no target of this run.",
    )
