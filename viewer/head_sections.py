"""What the head's page says, as sections; no widgets.

Rows are those of `store.roles`, `store.head_queries` and `store.write_queries`.
"""

import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import pyarrow as pa

from flowglass.store.part import n_prompts_of
from flowglass.store.store import Store

from .compare_words import MINUS, brief, signed
from .downloads import Extract
from .examples import example_of
from .prediction import Row
from .sections import Column, Examples, Table
from .theme import show_whitespace

ROLES = {
    "previous": "Previous token",
    "first": "First position (sink)",
    "self": "Itself",
    "duplicate": "Earlier same token",
    "induction": "Induction: behind an earlier same token",
    "subword": "Earlier piece of the same word",
    "delimiter": "Delimiter",
}
"""The roles of `store.roles`, for people."""

ROLE_HINTS = {
    "Score": "0: no more than chance; 1: all it brings comes from there",
    "Share": "Of what it brings to positions, the part from there",
    "Chance": "The part if it looked at all earlier positions alike",
}


def roles_table(rows: Sequence[Row], chosen: str, extract: Extract) -> Table:
    """How much the head plays each role; a click shows the evidence."""
    best = sorted(rows, key=lambda r: -(r["score"] if r["score"] is not None else -9))
    return Table(
        "Roles",
        [
            Column("Role", width="36%"),
            Column("Score", "bar", 2, width="24%", hint=ROLE_HINTS["Score"]),
            Column("95% interval", width="18%", hint="Over prompts"),
            Column("Share", "percent", hint=ROLE_HINTS["Share"]),
            Column("Chance", "percent", hint=ROLE_HINTS["Chance"]),
        ],
        [
            [
                ("▸ " if row["role"] == chosen else "") + ROLES[row["role"]],
                row["score"],
                ends(row),
                row["share"],
                row["chance"],
            ]
            for row in best
        ],
        extract,
        opens=[{"role": "" if r["role"] == chosen else r["role"]} for r in best],
        empty="No prompt of this run is stored yet.",
    )


LOOKS = (
    "Share of all that the head brings, by how far back its source is (in tokens), and "
    "by the kind of token there. `rest` lies below the run's cutoff: it is stored as a "
    "sum, not by source. Lines are 95% intervals over prompts."
)


def sampled(table: pa.Table, rows: Sequence[Row]) -> str:
    """Of how much the roles are, and what they mean."""
    said = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    n, of = int(said["sampled"]), int(said["prompts"])
    which = f"{n:,} prompts" if n == of else f"a random {n:,} of {of:,} prompts"
    return (
        f"Of {which}. A score is how far a head is from chance, 0, to bringing all "
        "from such sources, 1; a click on a role shows its evidence."
    )


def python(call: str, part_of: Row | None = None) -> str:
    """A call, where a query is copied: the answer takes more than one. Of a part of a
    run, if one is given."""
    some = f".sample({part_of['run_id']!r})" if part_of else ""
    return f"-- in Python, with store = open_store(...){some}:\n-- {call}"


def found_by(
    function: str,
    run: Row,
    table: pa.Table,
    *,
    of: str,
    part: str = "",
    **asked: Any,
) -> Extract:
    """Rows `of` something with the call that finds them: a function of store/, or of a
    Store if it is named `store.function`; `part` if it asks only a part of the run."""
    _, _, name = function.rpartition(".")
    of_store = [] if function.startswith("store.") else ["store"]
    named = [f"{k}={v!r}" for k, v in asked.items() if v is not None]
    call = f"{function}({', '.join([*of_store, repr(run['run_id']), *named])})"
    text = python(call, run if part else None)
    return Extract(f"{run['run_id']}-{of}-{name}", table, text)


def part_read(part: Store, whole: Store, run: Row) -> str:
    """How much of a run a page reads; empty if it is all."""
    n, of = (n_prompts_of(each.snapshot.runs[run["run_id"]]) for each in (part, whole))
    if n == of:
        return ""
    return (
        f"Read from {n:,} of {of:,} prompts, evenly over the run; the examples are of "
        "all."
    )


def ends(row: Row) -> str:
    """The interval of a score; empty if there is none.

    >>> ends({"low": 0.1234, "high": 0.5})
    '+0.12 to +0.50'
    """
    if row["low"] is None:
        return ""
    return f"{row['low']:+.2f} to {row['high']:+.2f}".replace("-", MINUS)


def interval(row: Row) -> str:
    """The interval of a row; empty if there is none.

    >>> interval({"low": 0.1234, "high": 0.5})
    '+0.123 to +0.500'
    """
    if row["low"] is None:
        return ""
    return f"{signed(row['low'])} to {signed(row['high'])}"


def between(row: Row) -> str:
    """The interval of what has no sign; empty if there is none.

    >>> between({"low": 0.1234, "high": 0.5})
    '0.123 to 0.500'
    """
    if row["low"] is None:
        return ""
    return f"{brief(row['low'])} to {brief(row['high'])}"


def categories_table(rows: Sequence[Row], extract: Extract, *, tau: float) -> Table:
    """A component's importance in each dataset and category."""
    return Table(
        "Importance by category",
        [
            Column("Dataset · category", width="40%"),
            Column("Mean", "number", width="12%", hint=MEAN),
            Column("95% interval", width="23%", hint="Over prompts"),
            Column("In route", "percent", hint=f"Share of targets, at tau {tau:g}"),
            Column("Targets", "number", 0),
        ],
        [
            [
                category_named(row),
                row["mean"],
                between(row),
                row["frequency"],
                row["n_targets"],
            ]
            for row in rows
        ],
        extract,
        empty="No prompt of this run has a target yet.",
        tallest=420,
    )


MEAN = "Over targets: the sum over its edges in the route, 0 where it has none"


def category_named(row: Row) -> str:
    """`ioi · ABB`, or the dataset alone.

    >>> category_named({"dataset": "ioi", "category": None})
    'ioi'
    """
    return " · ".join(str(row[k]) for k in ("dataset", "category") if row[k])


def head_examples(
    rows: Sequence[Row], *, layer: int, head: int, role: str, extract: Extract
) -> Examples:
    """Where the head brings most, or where it plays the role most."""
    caption = "Top examples"
    if role:
        caption += f" · {ROLES[role]}"
    return Examples(
        caption,
        [
            example_of(
                row,
                figure=f"contribution {brief(row['contribution'])}",
                marks={row["query"]: "to", row["key"]: "from"}
                if row["query"] != row["key"]
                else {row["query"]: "both"},
                opens={
                    "target": row["query"],
                    "selected": f"attn-{layer}-{row['query']}-{row['key']}",
                    "head": head,
                },
            )
            for row in rows
        ],
        note=MARKED if rows else "",
        extract=extract if rows else None,
        empty="No edge of this head of that kind reaches the run's cutoff.",
    )


MARKED = "Its strongest edge in each prompt: orange reads, green is what is read."


def meaning_table(
    table: pa.Table, caption: str, name: str, *, call: str, missing: str
) -> Table:
    """Tokens promoted and suppressed most often, of `write_queries.promoted`."""
    rows = table.to_pylist()
    sides = [
        [(show_whitespace(r["token"]), r["n_writes"]) for r in rows if r["sign"] == s]
        for s in (1, -1)
    ]
    n = rows[0]["n_stored"] if rows else 0
    return Table(
        f"{caption} · {n:,} writes read" if rows else caption,
        [
            Column("Promoted", "token"),
            Column("Writes", "number", 0, "70px", "among whose top tokens it is"),
            Column("Suppressed", "token"),
            Column("Writes", "number", 0, "70px", "among whose top tokens it is"),
        ],
        [[*up, *down] for up, down in zip_longest(*sides, fillvalue=(None, None))],
        Extract(name, table, call) if rows else None,
        empty=missing,
        sortable=False,
        tallest=420,
    )


def attribution_table(table: pa.Table, name: str, *, call: str, missing: str) -> Table:
    """What a component adds to logits on average, of `write_queries.attribution`."""
    rows = table.to_pylist()
    return Table(
        "Adds to logits",
        [
            Column("Of the", width="30%"),
            Column("Mean", "signed", width="17%", hint="Logits, over targets"),
            Column("95% interval", width="37%", hint="Over prompts"),
            Column("Targets", "number", 0),
        ],
        [
            [r["role"].replace("-", MINUS), r["mean"], interval(r), r["n_targets"]]
            for r in rows
        ],
        Extract(name, table, call) if rows else None,
        empty=missing,
        sortable=False,
    )


def not_written(run: Row) -> str:
    """Why a run has no writes of a component, or of a token."""
    if asked_for(run).get("project") == "none":
        return (
            "This run read no writes in tokens (`--project none`): sweep with "
            "`--project all` to see this."
        )
    return (
        "None of the writes that this run read in tokens: sweep with `--project all`, "
        "or with more targets, to read others."
    )


def asked_for(run: Row) -> Row:
    """The options of a run; empty where it does not say."""
    found: Row = json.loads(run["config"] or "{}")
    return found
