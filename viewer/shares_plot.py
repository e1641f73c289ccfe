"""What the layers bring, drawn: a curve and its band for each part of their steps.

Rows are those of `store.shares.layer_shares` of one group. The figure is Bokeh's own: a
HoloViews overlay of a dozen groups took seconds to make, and again for another theme.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from .component_map import every, name_ticks
from .prediction import Row
from .theme import LIGHT, Palette

LEFT, BELOW, OVER, RIGHT = 46, 26, 6, 10
"""Room for the names of shares and layers, in pixels."""

COLOUR: Any = {"field": "colour"}
"""A column; with its checks off Bokeh might take a bare name for a colour."""


@dataclass(frozen=True)
class Part:
    """One of the curves."""

    step: str
    part: str
    """Names its colour, too."""
    name: str
    dash: str = "solid"


SEQUENTIAL = (
    Part("attn", "attn", "attention"),
    Part("ffn", "ffn", "FFN"),
    Part("attn", "resid", "residual stream, beside attention"),
    Part("ffn", "resid", "residual stream, beside the FFN", "dashed"),
)
PARALLEL = (
    Part("block", "attn", "attention"),
    Part("block", "ffn", "FFN"),
    Part("block", "resid", "residual stream"),
)
"""A parallel block is one step."""


def parts_of(block_kind: str) -> tuple[Part, ...]:
    """The curves that a model has."""
    return PARALLEL if block_kind == "parallel" else SEQUENTIAL


class SharesPlot:
    """One plot; `fill` shows shares, `set_colours` paints. Both only where the document
    may be changed."""

    def __init__(self, name: str, size: tuple[int, int]) -> None:
        self._palette = LIGHT
        self._size = size
        self._sources = {
            "bands": ColumnDataSource({"xs": [], "ys": [], "ink": [], "colour": []}),
            "curves": ColumnDataSource(
                {"xs": [], "ys": [], "ink": [], "colour": [], "dash": [], "width": []}
            ),
            "points": ColumnDataSource(
                {"x": [], "y": [], "ink": [], "colour": [], "part": [], "told": []}
            ),
        }
        self.plot = self._draw(name)
        self.set_colours(LIGHT)

    def fill(
        self, rows: Sequence[Row], *, parts: Sequence[Part], beside: Sequence[Row]
    ) -> None:
        """Show a group's rows, and in pale the curves of `beside`: of all positions."""
        shown = {
            "bands": bands(rows, parts),
            "curves": joined(
                curves(beside, parts, pale=True), curves(rows, parts, pale=False)
            ),
            "points": points(rows, parts),
        }
        for name, columns in shown.items():
            self._sources[name].data = columns | {"colour": self._colours(columns)}
        n_layers = 1 + max((row["layer"] for row in rows), default=0)
        self.plot.x_range.update(start=-0.3, end=n_layers - 0.7)
        share = self._size[0] / n_layers / 36
        name_ticks(self.plot.xaxis, {n: f"L{n}" for n in every(n_layers, share)})

    def set_colours(self, palette: Palette) -> None:
        """Paint in a theme's colours."""
        self._palette = palette
        for source in self._sources.values():
            source.data = dict(source.data) | {"colour": self._colours(source.data)}
        self.plot.axis.major_label_text_color = palette.muted
        self.plot.ygrid.grid_line_color = palette.line
        self._hover.tooltips = tooltip(palette)

    def _colours(self, columns: Any) -> list[str]:
        return [getattr(self._palette, ink) for ink in columns["ink"]]

    def _draw(self, name: str) -> Any:
        plot = figure(
            name=name,
            tools="",
            toolbar_location=None,
            width=self._size[0],
            height=self._size[1],
            x_range=Range1d(start=-0.3, end=0.3),
            y_range=Range1d(start=-0.03, end=1.03),
            min_border_left=LEFT,
            min_border_bottom=BELOW,
            min_border_top=OVER,
            min_border_right=RIGHT,
            outline_line_color=None,
            background_fill_alpha=0,
            border_fill_alpha=0,
        )
        shares = {0: "0", 0.25: "", 0.5: "50 %", 0.75: "", 1: "100 %"}
        name_ticks(plot.yaxis, shares)
        plot.xgrid.grid_line_color = None
        plot.axis.axis_line_color = None
        plot.axis.major_tick_line_color = None
        plot.axis.minor_tick_line_color = None
        plot.patches(
            "xs",
            "ys",
            source=self._sources["bands"],
            fill_color=COLOUR,
            fill_alpha=0.22,
            line_color=None,
        )
        plot.multi_line(
            "xs",
            "ys",
            source=self._sources["curves"],
            line_color=COLOUR,
            line_dash={"field": "dash"},
            line_width={"field": "width"},
        )
        dots = plot.scatter(
            "x", "y", source=self._sources["points"], size=6, color=COLOUR
        )
        self._hover = HoverTool(
            renderers=[dots], show_arrow=False, point_policy="snap_to_data"
        )
        plot.add_tools(self._hover)
        return plot


def bands(rows: Sequence[Row], parts: Sequence[Part]) -> dict[str, list[Any]]:
    """The outlines of the intervals, within 0 and 1; only where there are any."""
    found: dict[str, list[Any]] = {"xs": [], "ys": [], "ink": []}
    for part in parts:
        known = [row for row in along(rows, part) if row["low"] is not None]
        if not known:
            continue
        layers = [row["layer"] for row in known]
        low = [max(0.0, row["low"]) for row in known]
        high = [min(1.0, row["high"]) for row in known]
        found["xs"].append(layers + layers[::-1])
        found["ys"].append(low + high[::-1])
        found["ink"].append(part.part)
    return found


def curves(
    rows: Sequence[Row], parts: Sequence[Part], *, pale: bool
) -> dict[str, list[Any]]:
    """A line for each part that has rows."""
    there = [(part, along(rows, part)) for part in parts]
    there = [(part, mine) for part, mine in there if mine]
    return {
        "xs": [[row["layer"] for row in mine] for _, mine in there],
        "ys": [[row["share"] for row in mine] for _, mine in there],
        "ink": ["faint" if pale else part.part for part, _ in there],
        "dash": [part.dash for part, _ in there],
        "width": [1 if pale else 2 for _ in there],
    }


def points(rows: Sequence[Row], parts: Sequence[Part]) -> dict[str, list[Any]]:
    """What the pointer finds."""
    mine = [(part, row) for part in parts for row in along(rows, part)]
    return {
        "x": [row["layer"] for _, row in mine],
        "y": [row["share"] for _, row in mine],
        "ink": [part.part for part, _ in mine],
        "part": [part.name for part, _ in mine],
        "told": [told(row) for _, row in mine],
    }


def joined(*columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Columns one below the other."""
    return {name: [v for each in columns for v in each[name]] for name in columns[0]}


def along(rows: Sequence[Row], part: Part) -> list[Row]:
    """The rows of one curve, by layer."""
    mine = [r for r in rows if (r["step"], r["part"]) == (part.step, part.part)]
    return sorted(mine, key=lambda row: int(row["layer"]))


def told(row: Row) -> str:
    """A share with its interval and size."""
    value = f"{100 * row['share']:.1f} %"
    if row["low"] is not None:
        value += f" ({100 * row['low']:.1f} to {100 * row['high']:.1f} %)"
    return f"{value}, {row['n_positions']:,} positions"


def tooltip(palette: Palette) -> str:
    """What the pointer tells; it hangs outside the page's root, as all tooltips do."""
    ground, text = palette.raised, palette.text
    return f"""
        <div style="font: 13px/1.45 Roboto, system-ui, sans-serif; padding: 1px 3px;
            color: {text}; background: {ground}; box-shadow: 0 0 0 9px {ground}">
          <div>Layer @x · @part</div>
          <div style="font-variant-numeric: tabular-nums">@told</div>
        </div>
    """
