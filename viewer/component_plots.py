"""Plots of one component: shares of its sources, a histogram, spreads by category."""

from collections.abc import Sequence
from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh  # registers what draws
from bokeh.models import HoverTool, NumeralTickFormatter

from .compare_words import brief
from .plot_elements import dress, rendered
from .prediction import Row
from .theme import Palette

HEIGHT = 170
SHORT = {"farther": "…", "below cutoff": "rest"}
"""Names of sources, that they fit below bars."""
SPREAD_LINE = 22
"""Pixels of height for each category of a spread."""


def share_bars(
    rows: Sequence[Row], *, colour: str, name: str, width: int, palette: Palette
) -> Any:
    """Bars of `share` by `source` in the order of the rows, with their intervals, as a
    Bokeh figure."""
    names = [SHORT.get(row["source"], row["source"]) for row in rows]
    shares = [row["share"] or 0.0 for row in rows]
    told = [share_told(row) for row in rows]
    bars = hv.Bars((names, shares, told), "source", ["share", "told"]).opts(
        color=getattr(palette, colour),
        line_color=None,
        bar_width=0.78,
        default_tools=[],
        tools=[hover("<div>@source</div><div><b>@told</b></div>", palette)],
    )
    known = [
        (name, row["share"], row["share"] - row["low"], row["high"] - row["share"])
        for name, row in zip(names, rows, strict=True)
        if row["low"] is not None and row["share"] is not None
    ]
    made = [bars]
    if known:
        errors = hv.ErrorBars(known, "source", ["share", "below", "above"])
        made.append(errors.opts(line_color=palette.text, line_width=1))
    top = max([*shares, *(row["high"] or 0.0 for row in rows)], default=0.0) or 1.0
    element = hv.Overlay(made).opts(
        width=width,
        height=HEIGHT,
        ylim=(0, min(1.0, top) * 1.08),
        xlabel="",
        ylabel="",
        toolbar=None,
        show_legend=False,
    )
    figure = finished(element, name, palette)
    figure.width = width  # bars keep a width of their own
    figure.yaxis.formatter = NumeralTickFormatter(format="0 %")
    figure.xgrid.grid_line_color = None
    return figure


def share_told(row: Row) -> str:
    """A share with its interval.

    >>> share_told({"share": 0.5, "low": None, "high": None})
    '50.0 %'
    """
    value = f"{100 * (row['share'] or 0.0):.1f} %"
    if row["low"] is not None:
        value += f" ({100 * row['low']:.1f} to {100 * row['high']:.1f} %)"
    return value


def histogram(rows: Sequence[Row], *, name: str, width: int, palette: Palette) -> Any:
    """Bins of `low`, `high` and `n_positions`, as a Bokeh figure."""
    edges = [row["low"] for row in rows] + [rows[-1]["high"]]
    counts = [row["n_positions"] for row in rows]
    element = hv.Histogram((edges, counts), kdims="activation", vdims="positions").opts(
        color=palette.ffn,
        line_color=palette.surface,
        width=width,
        height=HEIGHT,
        xlabel="activation",
        ylabel="positions",
        toolbar=None,
        default_tools=[],
        tools=[hover("<div><b>@positions</b> positions at @activation</div>", palette)],
    )
    return finished(element, name, palette)


def spreads(
    rows: Sequence[Row],
    names: Sequence[str],
    *,
    colour: str,
    name: str,
    width: int,
    palette: Palette,
) -> Any:
    """A line from p05 to p95, a box from p25 to p75, a point at the mean: for each row
    one below the other, as a Bokeh figure."""
    ink = getattr(palette, colour)
    places = list(range(len(rows)))[::-1]
    lines = [(r["p05"], y, r["p95"], y) for r, y in zip(rows, places, strict=True)]
    boxes = [
        (r["p25"], y - 0.28, r["p75"], y + 0.28)
        for r, y in zip(rows, places, strict=True)
    ]
    points = [
        (r["mean"], y, n, spread_told(r))
        for r, y, n in zip(rows, places, names, strict=True)
    ]
    element = hv.Overlay(
        [
            hv.Segments(lines).opts(color=ink, line_width=1),
            hv.Rectangles(boxes).opts(color=ink, alpha=0.45, line_color=None),
            hv.Scatter(points, "mean", ["place", "name", "told"]).opts(
                color=palette.text,
                size=6,
                default_tools=[],
                tools=[hover("<div>@name</div><div><b>@told</b></div>", palette)],
            ),
        ]
    ).opts(
        width=width,
        height=SPREAD_LINE * len(rows) + 44,
        ylim=(-0.6, len(rows) - 0.4),
        xlabel="contribution to a target's route",
        ylabel="",
        yticks=list(zip(places, names, strict=True)),
        toolbar=None,
        show_legend=False,
    )
    return finished(element, name, palette)


def spread_told(row: Row) -> str:
    """The mean of a row with its interval, and the quantiles."""
    mean = f"mean {brief(row['mean'])}"
    if row["low"] is not None:
        mean += f" ({brief(row['low'])} to {brief(row['high'])})"
    ends = f"90% from {brief(row['p05'])} to {brief(row['p95'])}"
    return f"{mean} · median {brief(row['p50'])} · {ends}"


def finished(element: Any, name: str, palette: Palette) -> Any:
    """The element as a Bokeh figure in the theme's colours."""
    figure = rendered(element)
    dress(figure, palette)
    figure.name = name
    return figure


def hover(inside: str, palette: Palette) -> HoverTool:
    """What the pointer tells; it hangs outside the page's root, as all tooltips do."""
    ground, text = palette.raised, palette.text
    return HoverTool(
        tooltips=f"""<div style="font: 13px/1.45 Roboto, system-ui, sans-serif;
            padding: 1px 3px; color: {text}; background: {ground};
            box-shadow: 0 0 0 9px {ground};
            font-variant-numeric: tabular-nums">{inside}</div>""",
        show_arrow=False,
        point_policy="follow_mouse",
    )
