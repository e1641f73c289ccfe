"""Plots of one component: shares of its sources, a histogram, spreads by category."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh  # registers what draws
from bokeh.models import HoverTool, NumeralTickFormatter
from bokeh.models.annotations import Whisker

from .compare_words import brief
from .kept_plot import Columns, KeptPlot, padded
from .plot_elements import dress, rendered, standing
from .prediction import Row
from .theme import Palette

HEIGHT = 170
SHORT = {"farther": "…", "below cutoff": "rest"}
"""Names of sources, that they fit below bars."""
SPREAD_LINE = 22
"""Pixels of height for each category of a spread."""
ROOM = 0.1
"""Beside the values, of the shorter side of a plot."""


class ShareBars(KeptPlot):
    """Bars of `share` by `source` in the order of the rows, with their intervals."""

    def __init__(self, name: str, *, colour: str, width: int) -> None:
        super().__init__(name)
        self._colour = colour
        self._width = width

    def shape(self, rows: Sequence[Row]) -> Hashable:
        return any(map(is_known, rows))

    def element(self, rows: Sequence[Row], hover: HoverTool) -> Any:
        bars, *intervals = self.columns(rows)
        made = [
            hv.Bars(bars, "source", ["share", "told"]).opts(
                line_color=None, bar_width=0.78, default_tools=[], tools=[hover]
            )
        ]
        for ends in intervals:
            known = [row for row in rows if is_known(row)]
            below = [row["share"] - row["low"] for row in known]
            above = [row["high"] - row["share"] for row in known]
            shares = [row["share"] for row in known]
            errors = hv.ErrorBars(
                (ends["base"], shares, below, above),
                "source",
                ["share", "below", "above"],
            )
            made.append(errors.opts(line_width=1, default_tools=[]))
        return hv.Overlay(made).opts(
            width=self._width,
            height=HEIGHT,
            xlabel="",
            ylabel="",
            toolbar=None,
            default_tools=[],
            show_legend=False,
        )

    def columns(self, rows: Sequence[Row]) -> list[Columns]:
        bars: Columns = {
            "source": [source_named(row) for row in rows],
            "share": [row["share"] or 0.0 for row in rows],
            "told": [share_told(row) for row in rows],
        }
        known = [row for row in rows if is_known(row)]
        ends: Columns = {
            "base": [source_named(row) for row in known],
            "lower": [row["low"] for row in known],
            "upper": [row["high"] for row in known],
        }
        return [bars, ends] if known else [bars]

    def fit(self, figure: Any, rows: Sequence[Row]) -> None:
        figure.x_range.factors = [source_named(row) for row in rows]
        ends = [row[end] or 0.0 for row in rows for end in ("share", "high")]
        top = max(ends, default=0.0) or 1.0
        figure.y_range.update(start=0, end=min(1.0, top) * 1.08)

    def paint(self, figure: Any, palette: Palette) -> None:
        (bars,) = figure.renderers
        bars.glyph.fill_color = getattr(palette, self._colour)
        for whisker in standing(figure, Whisker):
            # The line last: only then BokehJS looks at its ends.
            for part in (whisker.lower_head, whisker.upper_head, whisker):
                part.line_color = palette.text

    def told(self, palette: Palette) -> str:
        return tooltip("<div>@source</div><div><b>@told</b></div>", palette)

    def figure(self, rows: Sequence[Row]) -> Any:
        figure = super().figure(rows)
        figure.width = self._width  # bars keep a width of their own
        figure.yaxis.formatter = NumeralTickFormatter(format="0 %")
        figure.xgrid.visible = False
        return figure


def source_named(row: Row) -> str:
    """A source as it is named below its bar."""
    source: str = row["source"]
    return SHORT.get(source, source)


def is_known(row: Row) -> bool:
    """Whether a share has an interval."""
    return row["low"] is not None and row["share"] is not None


def share_told(row: Row) -> str:
    """A share with its interval.

    >>> share_told({"share": 0.5, "low": None, "high": None})
    '50.0 %'
    """
    value = f"{100 * (row['share'] or 0.0):.1f} %"
    if row["low"] is not None:
        value += f" ({100 * row['low']:.1f} to {100 * row['high']:.1f} %)"
    return value


class Histogram(KeptPlot):
    """Bins of `low`, `high` and `n_positions`."""

    def __init__(self, name: str, *, width: int) -> None:
        super().__init__(name)
        self._width = width

    def element(self, rows: Sequence[Row], hover: HoverTool) -> Any:
        edges = [row["low"] for row in rows] + [rows[-1]["high"]]
        counts = [row["n_positions"] for row in rows]
        bins = hv.Histogram((edges, counts), kdims="activation", vdims="positions")
        return bins.opts(
            width=self._width,
            height=HEIGHT,
            xlabel="activation",
            ylabel="positions",
            toolbar=None,
            default_tools=[],
            tools=[hover],
        )

    def columns(self, rows: Sequence[Row]) -> list[Columns]:
        counts = [row["n_positions"] for row in rows]
        return [
            {
                "left": [row["low"] for row in rows],
                "right": [row["high"] for row in rows],
                "top": counts,
                "activation": [(row["low"] + row["high"]) / 2 for row in rows],
                "positions": counts,
            }
        ]

    def fit(self, figure: Any, rows: Sequence[Row]) -> None:
        room = ROOM * HEIGHT / self._width
        figure.x_range.update(**padded(rows[0]["low"], rows[-1]["high"], room))
        counts = [row["n_positions"] for row in rows]
        top = padded(min(counts), max(counts), ROOM)["end"]
        figure.y_range.update(start=0, end=top)

    def paint(self, figure: Any, palette: Palette) -> None:
        (bins,) = figure.renderers
        bins.glyph.update(fill_color=palette.ffn, line_color=palette.surface)

    def told(self, palette: Palette) -> str:
        inside = "<div><b>@positions</b> positions at @activation</div>"
        return tooltip(inside, palette)


class Spreads(KeptPlot):
    """A line from p05 to p95, a box from p25 to p75, a point at the mean: for each row
    one below the other."""

    def __init__(
        self, name: str, *, named: Callable[[Row], str], colour: str, width: int
    ) -> None:
        super().__init__(name)
        self._named = named
        self._colour = colour
        self._width = width

    def shape(self, rows: Sequence[Row]) -> Hashable:
        return tuple(map(self._named, rows))

    def element(self, rows: Sequence[Row], hover: HoverTool) -> Any:
        lines, boxes, points = self.columns(rows)
        return hv.Overlay(
            [
                hv.Segments(lines, list(lines)).opts(line_width=1, default_tools=[]),
                hv.Rectangles(boxes, list(boxes)).opts(
                    alpha=0.45, line_color=None, default_tools=[]
                ),
                hv.Scatter(points, "mean", ["place", "name", "told"]).opts(
                    size=6, default_tools=[], tools=[hover]
                ),
            ]
        ).opts(
            width=self._width,
            height=height_of(rows),
            xlabel="contribution to a target's route",
            ylabel="",
            yticks=list(zip(points["place"], points["name"], strict=True)),
            toolbar=None,
            default_tools=[],
            show_legend=False,
        )

    def columns(self, rows: Sequence[Row]) -> list[Columns]:
        places = list(range(len(rows)))[::-1]

        def of(key: str) -> list[Any]:
            return [row[key] for row in rows]

        return [
            {"x0": of("p05"), "y0": places, "x1": of("p95"), "y1": places},
            {
                "left": of("p25"),
                "bottom": [place - 0.28 for place in places],
                "right": of("p75"),
                "top": [place + 0.28 for place in places],
            },
            {
                "mean": of("mean"),
                "place": places,
                "name": [self._named(row) for row in rows],
                "told": [spread_told(row) for row in rows],
            },
        ]

    def fit(self, figure: Any, rows: Sequence[Row]) -> None:
        low = min(min(row["p05"], row["mean"]) for row in rows)
        high = max(max(row["p95"], row["mean"]) for row in rows)
        room = ROOM * min(1.0, height_of(rows) / self._width)
        figure.x_range.update(**padded(low, high, room))
        figure.y_range.update(start=-0.6, end=len(rows) - 0.4)

    def paint(self, figure: Any, palette: Palette) -> None:
        lines, boxes, points = figure.renderers
        ink = getattr(palette, self._colour)
        lines.glyph.line_color = ink
        boxes.glyph.fill_color = ink
        points.glyph.update(line_color=palette.text, fill_color=palette.text)

    def told(self, palette: Palette) -> str:
        return tooltip("<div>@name</div><div><b>@told</b></div>", palette)


def height_of(rows: Sequence[Row]) -> int:
    """Pixels of a plot of spreads."""
    return SPREAD_LINE * len(rows) + 44


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
    """What the pointer tells."""
    return HoverTool(
        tooltips=tooltip(inside, palette),
        show_arrow=False,
        point_policy="follow_mouse",
    )


def tooltip(inside: str, palette: Palette) -> str:
    """What the pointer tells; it hangs outside the page's root, as all tooltips do."""
    ground, text = palette.raised, palette.text
    return f"""<div style="font: 13px/1.45 Roboto, system-ui, sans-serif;
        padding: 1px 3px; color: {text}; background: {ground};
        box-shadow: 0 0 0 9px {ground};
        font-variant-numeric: tabular-nums">{inside}</div>"""
