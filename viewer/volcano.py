"""The volcano plot of a comparison: how large each difference is, and how sure."""

from collections.abc import Sequence
from math import log10
from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh  # registers what draws
from bokeh.models import HoverTool

from .compare_words import DIFFERENCE, MINUS, SURE, component, signed, small
from .plot_elements import dress, rendered
from .prediction import Row
from .theme import Palette

SIZE = (430, 250)
KINDS = (
    ("plus", "more in A"),
    ("minus", "more in B"),
    ("muted", "not sure"),
)
"""Colours of the palette, and what a point of that colour is."""


def points(rows: Sequence[Row], ink: str) -> list[tuple[float, float, str, str]]:
    """Effect, -log10 p, name and figures of each component of a colour.

    >>> row = {"layer": 0, "component": "ffn", "index": 0, "difference": 1.0}
    >>> points([row | {"effect": 0.5, "p": 0.01, "q": 0.02}], "plus")
    [(0.5, 2.0, 'Layer 0 · FFN', 'difference +1.00 · effect +0.500 · q 0.020')]
    """
    return [
        (
            row["effect"],
            -log10(row["p"]),
            component(row),
            f"difference {signed(row['difference'])} · "
            f"effect {signed(row['effect'])} · q {small(row['q'])}",
        )
        for row in rows
        if row["effect"] is not None and row["p"] is not None and ink_of(row) == ink
    ]


def ink_of(row: Row) -> str:
    """Whether a difference is sure, and which way it goes."""
    if row["q"] >= SURE:
        return "muted"
    return "plus" if row["difference"] >= 0 else "minus"


def volcano(rows: Sequence[Row], palette: Palette) -> Any:
    """The plot as a Bokeh figure."""
    made = [
        hv.Scatter(of, "effect", ["sure", "name", "told"], label=label).opts(
            color=getattr(palette, ink),
            alpha=0.45 if ink == "muted" else 0.9,
            size=7,
            default_tools=[],
            tools=[_hover(palette)],
        )
        for ink, label in KINDS
        if (of := points(rows, ink))
    ]
    widest = max((abs(row["effect"] or 0.0) for row in rows), default=0.0) * 1.1 or 1.0
    element = hv.Overlay(made).opts(
        width=SIZE[0],
        height=SIZE[1],
        xlim=(-widest, widest),
        xlabel=f"effect: {DIFFERENCE}, in standard deviations between prompts",
        ylabel=f"{MINUS}log10 p",
        toolbar=None,
        show_grid=True,
        legend_position="top",
        legend_cols=3,
    )
    figure = rendered(element)
    dress(figure, palette)
    figure.name = "volcano"
    figure.y_range.start = 0
    for legend in figure.legend:
        legend.update(label_text_font_size="12px", padding=0, margin=4)
        figure.add_layout(legend, "above")  # not over points, as HoloViews would
    return figure


def _hover(palette: Palette) -> HoverTool:
    """What the pointer tells; it hangs outside the page's root, as all tooltips do."""
    ground, text = palette.raised, palette.text
    return HoverTool(
        tooltips=f"""
        <div style="font: 13px/1.45 Roboto, system-ui, sans-serif; padding: 1px 3px;
            color: {text}; background: {ground}; box-shadow: 0 0 0 9px {ground}">
          <div>@name</div>
          <div style="font-variant-numeric: tabular-nums">@told</div>
        </div>""",
        show_arrow=False,
        point_policy="snap_to_data",
    )
