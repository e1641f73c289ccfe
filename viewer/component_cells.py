"""What the maps of components say: figures in words, cells and a table; no widgets.

Rows are those of `store.component_queries.component_map`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .component_map import Cell, Key, scale, scale_both_ways
from .prediction import Row
from .sections import Column, Table

MINUS = "\u2212"
MOST_HEADS = 12
"""Rows of the table of the strongest."""
FIRST_PROMPTS = "too few prompts for an interval"


@dataclass(frozen=True)
class Measure:
    """A figure of components, as a reader knows it."""

    title: str
    told: str
    """What the figure is, `{tau}` and `{cutoff}` to be filled in."""
    shows: Literal["percent", "number", "signed"]

    def said(self, value: float) -> str:
        """A value.

        >>> MEASURES["frequency"].said(0.123), MEASURES["logit"].said(0.5)
        ('12.3 %', '+0.500')
        """
        if self.shows == "percent":
            return f"{100 * value:.1f} %"
        sign = "+" if self.shows == "signed" else ""
        return f"{value:{sign}.3f}".replace("-", MINUS)

    def interval_said(self, row: Row) -> str:
        """The interval of a row."""
        if row["low"] is None:
            return FIRST_PROMPTS
        return f"{self.said(row['low'])} to {self.said(row['high'])}"


MEASURES = {
    "frequency": Measure(
        "Activation frequency",
        "share of targets whose route at threshold {tau} holds the component",
        "percent",
    ),
    "contribution": Measure(
        "Mean contribution",
        "mean over targets of its contributions, summed over its edges in the route "
        "at the cutoff, {cutoff}; 0 where it is in none",
        "number",
    ),
    "logit": Measure(
        "Logit of the predicted token",
        "mean over targets of what it adds to the predicted token's logit",
        "signed",
    ),
    "difference": Measure(
        f"Answer {MINUS} distractor",
        "mean of what it adds to the answer's logit, less what it adds to the "
        "distractor's, over targets that have both",
        "signed",
    ),
}
"""By the names that the store has for them; the first is shown first."""

Tops = dict[str, float]
"""Where the colours end, by component; a map's own, or that of several."""


def tops_of(rows: Iterable[Row], measure: Measure) -> Tops:
    """The largest value of heads and of FFNs; all of it, where that is known."""
    if measure.shows == "percent":
        return {"head": 1.0, "ffn": 1.0}
    tops = {"head": 0.0, "ffn": 0.0}
    for row in rows:
        tops[row["component"]] = max(tops[row["component"]], abs(row["value"]))
    return tops


def cells_of(rows: Iterable[Row], measure: Measure, tops: Tops) -> dict[Key, Cell]:
    """Rows as cells, by component."""
    return {
        (row["layer"], row["component"], row["index"]): _cell(row, measure, tops)
        for row in rows
    }


def _cell(row: Row, measure: Measure, tops: Tops) -> Cell:
    value = row["value"]
    if measure.shows == "signed":
        ink = "minus" if value < 0 else "plus"
    else:
        ink = "attn" if row["component"] == "head" else "ffn"
    top = tops[row["component"]]
    return Cell(
        ink,
        abs(value) / top if top else 0.0,
        measure.said(value),
        f"({measure.interval_said(row)}) {size_said(row)}",
    )


def legend_of(measure: Measure, tops: Tops) -> str:
    """The scales of the colours, as HTML."""
    found = []
    for component, name, ink in (("head", "heads", "attn"), ("ffn", "FFN", "ffn")):
        top = tops[component]
        if measure.shows == "signed":
            found.append(scale_both_ways(name, f"{MINUS}{top:.2g}", f"+{top:.2g}"))
        else:
            full = "100 %" if measure.shows == "percent" else f"{top:.2g}"
            found.append(scale(ink, name, "0", full))
    return "".join(found)


def size_said(row: Row) -> str:
    """How much a figure is of: `313 targets of 160 prompts`."""
    n_targets, n_prompts = row["n_targets"], row["n_prompts"]
    return f"{counted(n_targets, 'target')} of {counted(n_prompts, 'prompt')}"


def counted(n: int, what: str) -> str:
    """So many of something.

    >>> counted(1, "prompt"), counted(1234, "prompt")
    ('1 prompt', '1,234 prompts')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def group_said(facet: str, group: str) -> str:
    """The name of a group; of prompts that the facet says nothing of, too."""
    return group or f"no {facet}"


def strongest(rows: Sequence[Row], measure: Measure) -> Table:
    """The heads with the largest values of either sign, each a link to its page."""
    heads = [row for row in rows if row["component"] == "head"]
    heads.sort(key=lambda row: -abs(row["value"]))
    shown = heads[:MOST_HEADS]
    return Table(
        f"Strongest heads, {len(shown)} of {len(heads)}",
        [
            Column("Head", width="34%"),
            Column(
                {"percent": "Share", "number": "Mean", "signed": "Mean"}[measure.shows],
                measure.shows,
                width="24%",
            ),
            Column("95% interval", hint="Over prompts"),
        ],
        [_line(row, measure) for row in shown],
        opens=[
            {"view": "head", "layer": row["layer"], "head": row["index"]}
            for row in shown
        ],
    )


def _line(row: Row, measure: Measure) -> list[Any]:
    return [
        f"Layer {row['layer']} · head {row['index']}",
        row["value"],
        measure.interval_said(row),
    ]
