"""The volcano plot of a comparison: how large each difference is, and how sure."""

from collections.abc import Sequence
from math import log10
from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh  # registers what draws
from bokeh.models import HoverTool

from .compare_words import DIFFERENCE, MINUS, SURE, component, signed, small
from .kept_plot import Columns, KeptPlot, padded
from .prediction import Row
from .theme import Palette

SIZE = (430, 250)
ROOM = 0.1
"""Beside the points, of what they span."""
KINDS = {"more in A": "plus", "more in B": "minus", "not sure": "muted"}
"""What a point is, and its colour of the palette."""


class Volcano(KeptPlot):
    """Of components that have a point; its legend names those kinds that are there."""

    pointer = "snap_to_data"

    def element(self, rows: Sequence[Row], hover: HoverTool) -> Any:
        made = [
            hv.Scatter(of, "effect", ["sure", "name", "told"], label=kind).opts(
                alpha=0.45 if kind == "not sure" else 0.9,
                size=7,
                default_tools=[],
                tools=[hover],
            )
            for kind, of in zip(KINDS, self.columns(rows), strict=True)
        ]
        return hv.Overlay(made).opts(
            width=SIZE[0],
            height=SIZE[1],
            xlabel=f"effect: {DIFFERENCE}, in standard deviations between prompts",
            ylabel=f"{MINUS}log10 p",
            toolbar=None,
            default_tools=[],
            show_grid=True,
            legend_position="top",
            legend_cols=3,
        )

    def columns(self, rows: Sequence[Row]) -> list[Columns]:
        return [points(rows, kind) for kind in KINDS]

    def fit(self, figure: Any, rows: Sequence[Row]) -> None:
        widest = max(abs(row["effect"]) for row in rows) * (1 + ROOM) or 1.0
        figure.x_range.update(start=-widest, end=widest)
        sure = [-log10(row["p"]) for row in rows]
        figure.y_range.update(start=0, end=padded(min(sure), max(sure), ROOM)["end"])
        there = set(map(kind_of, rows))
        for item in figure.legend.items:
            item.visible = item.label.value in there

    def paint(self, figure: Any, palette: Palette) -> None:
        for layer in figure.renderers:
            ink = getattr(palette, KINDS[layer.name])
            layer.glyph.update(line_color=ink, fill_color=ink)

    def told(self, palette: Palette) -> str:
        ground, text = palette.raised, palette.text
        return f"""
        <div style="font: 13px/1.45 Roboto, system-ui, sans-serif; padding: 1px 3px;
            color: {text}; background: {ground}; box-shadow: 0 0 0 9px {ground}">
          <div>@name</div>
          <div style="font-variant-numeric: tabular-nums">@told</div>
        </div>"""

    def figure(self, rows: Sequence[Row]) -> Any:
        figure = super().figure(rows)
        (hover,) = figure.tools
        hover.renderers = figure.renderers  # HoloViews gives it those of the first kind
        for legend in figure.legend:
            legend.update(label_text_font_size="12px", padding=0, margin=4)
            figure.add_layout(legend, "above")  # not over points, as HoloViews would
        return figure


def points(rows: Sequence[Row], kind: str) -> Columns:
    """Effect, -log10 p, name and figures of each component of a kind.

    >>> row = {"layer": 0, "component": "ffn", "index": 0, "difference": 1.0}
    >>> points([row | {"effect": 0.5, "p": 0.01, "q": 0.02}], "more in A")
    {'effect': [0.5], 'sure': [2.0], 'name': ['Layer 0 · FFN'], \
'told': ['difference +1.00 · effect +0.500 · q 0.020']}
    """
    mine = [row for row in rows if kind_of(row) == kind]
    return {
        "effect": [row["effect"] for row in mine],
        "sure": [-log10(row["p"]) for row in mine],
        "name": [component(row) for row in mine],
        "told": [told(row) for row in mine],
    }


def is_drawn(row: Row) -> bool:
    """Whether a component has a point."""
    return row["effect"] is not None and row["p"] is not None


def kind_of(row: Row) -> str:
    """Whether a difference is sure, and which way it goes."""
    if row["q"] >= SURE:
        return "not sure"
    return "more in A" if row["difference"] >= 0 else "more in B"


def told(row: Row) -> str:
    """The figures of a component."""
    return (
        f"difference {signed(row['difference'])} · effect {signed(row['effect'])} · "
        f"q {small(row['q'])}"
    )
