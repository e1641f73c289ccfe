"""Draws a quick plot as a HoloViews element, in the colours of the theme."""

from html import escape
from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh  # registers what draws; no other backend is loaded
import numpy as np
import pyarrow as pa
from bokeh.models import HoverTool
from bokeh.models.annotations import ColorBar
from bokeh.models.glyph import Glyph

from .plot_data import data_of, distinct, name_of, names
from .quick_plot import BAR, FEW, HEAT_MAP, LINE, Plot
from .theme import Palette

HEIGHT = 340
SHADES = 128
LONG_NAME = 7
"""Characters of a name below a bar; longer ones are turned."""

GROUPS = ("accent", "ffn", "attn", "target", "minus", "muted", "plus", "bad")
"""Colours that groups have, in this order."""

assert len(GROUPS) == FEW


def figure_of(table: pa.Table, plot: Plot, palette: Palette) -> tuple[Any, str]:
    """The plot as a Bokeh figure, and what was averaged or left out of it."""
    data, note = data_of(table, plot)
    figure = rendered(element_of(data, plot, palette))
    figure.name = "quick-plot"
    dress(figure, palette)
    for legend in figure.legend:
        legend.title = plot.colour
    if any(isinstance(name, tuple) for name in getattr(figure.x_range, "factors", [])):
        _name_groups_only(figure.xaxis[0], palette)
    return figure, note


def rendered(element: Any) -> Any:
    """A HoloViews element as a Bokeh figure, made in whatever thread.

    `hv.render` sets its theme on the session's document, whose lock a thread lacks; a
    renderer without a theme does not.
    """
    plot = hv.renderer("bokeh").instance(theme=None).get_plot(element)
    plot.document = None  # or it would stay with the session as long as that lasts
    return plot.state


def _name_groups_only(axis: Any, palette: Palette) -> None:
    """Of bars side by side: the legend names each, the axis what they share.

    `multi_level=False` of HoloViews would do so, but mixes up the colours.
    """
    axis.update(
        major_label_text_font_size="1px",
        major_label_text_alpha=0,
        major_tick_line_color=None,
        group_text_color=palette.muted,
        group_text_font_style="normal",
        separator_line_alpha=0,
    )


def element_of(data: pa.Table, plot: Plot, palette: Palette) -> Any:
    """The HoloViews element of what `data_of` gives."""
    if plot.kind == HEAT_MAP:
        return _heat_map(data, plot, palette)
    return _chart(data, plot, palette)


def _chart(data: pa.Table, plot: Plot, palette: Palette) -> Any:
    """Bars, lines or points, in the colours of their groups."""
    groups = distinct(data, "colour") if plot.colour else []
    colours = [getattr(palette, name) for name in GROUPS]
    shared = _shared(plot, palette, measure="y")
    if plot.kind == BAR:
        return _bars(data, groups, colours, shared)
    made = hv.Curve if plot.kind == LINE else hv.Scatter
    style: dict[str, Any] = (
        {"line_width": 2} if plot.kind == LINE else {"size": 6, "alpha": 0.75}
    )
    sort = plot.kind == LINE

    def one(rows: pa.Table, colour: str) -> Any:
        rows = rows.sort_by("x") if sort else rows
        columns = _columns(rows)
        if not _is_measured(data["x"]):
            columns["x"] = names(rows["x"])
        return made(columns, ["x"], ["y"]).opts(color=colour, **style, **shared)

    if not groups:
        return one(data, colours[0])
    parts = {
        name_of(group): one(_of_group(data, group), colour)
        for group, colour in zip(groups, colours, strict=False)
    }
    return hv.NdOverlay(parts, kdims=["colour"]).opts(
        backend="bokeh", legend_position="right", responsive=True, height=HEIGHT
    )


def _bars(
    data: pa.Table, groups: list[Any], colours: list[str], shared: dict[str, Any]
) -> Any:
    """Bars side by side; one alone has the colour of its group."""
    columns = _columns(data) | {"x": names(data["x"])}
    turned = max(map(len, columns["x"]), default=0) > LONG_NAME
    shared = shared | {"xrotation": 40 if turned else 0, "line_color": None}
    if not groups:
        return hv.Bars(columns, ["x"], ["y"]).opts(color=colours[0], **shared)
    columns["colour"] = names(data["colour"])
    alone = len(set(columns["x"])) == len(columns["x"])
    dimensions = (["x"], ["y", "colour"]) if alone else (["x", "colour"], ["y"])
    return hv.Bars(columns, *dimensions).opts(
        color="colour",
        cmap=dict(zip(map(name_of, groups), colours, strict=False)),
        legend_position="right",
        **shared,
    )


def _heat_map(data: pa.Table, plot: Plot, palette: Palette) -> Any:
    """Cells in shades; of a measure of both signs, to either side of 0."""
    values = data["colour"].to_pylist()
    low, high = min(values, default=0.0), max(values, default=0.0)
    if low < 0 < high:
        limits = (-max(-low, high), max(-low, high))
        shades = blend([palette.minus, palette.raised, palette.plus])
    else:
        limits = (min(low, 0.0), max(high, 0.0))
        ends = [palette.raised, palette.attn]
        shades = blend(ends if high > 0 else ends[::-1])
    xs, ys = _ordered(data, "x"), _ordered(data, "y")
    grid = np.full((len(ys), len(xs)), np.nan)
    for row in data.to_pylist():
        grid[ys.index(row["y"]), xs.index(row["x"])] = row["colour"]
    named = ([name_of(x) for x in xs], [name_of(y) for y in ys], grid)
    return hv.HeatMap(named, ["x", "y"], ["colour"]).opts(
        cmap=shades,
        clim=limits,
        colorbar=True,
        clabel=plot.colour,
        line_color=palette.surface,
        line_width=1,
        **_shared(plot, palette, measure="colour"),
    )


def blend(stops: list[str]) -> list[str]:
    """Shades from one colour over the next to the last, in even steps.

    >>> blend(["#000000", "#ffffff"])[-1]
    '#ffffff'
    """
    parts = [[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops]

    def at(share: float) -> str:
        place = share * (len(stops) - 1)
        first = min(int(place), len(stops) - 2)
        pairs = zip(parts[first], parts[first + 1], strict=True)
        mixed = (a + (b - a) * (place - first) for a, b in pairs)
        return "#" + "".join(f"{round(part):02x}" for part in mixed)

    return [at(step / (SHADES - 1)) for step in range(SHADES)]


def _shared(plot: Plot, palette: Palette, *, measure: str) -> dict[str, Any]:
    roles = {"x": plot.x, "y": plot.y, "colour": plot.colour}
    return {
        "backend": "bokeh",
        "responsive": True,
        "height": HEIGHT,
        "toolbar": None,
        "xlabel": plot.x,
        "ylabel": plot.y,
        "default_tools": [],
        "tools": [_hover(roles, measure, palette)],
    }


def dress(figure: Any, palette: Palette) -> None:
    """Give a figure the theme's colours, of which pmu does not know all."""
    # Not in a hook of HoloViews, which would make a warning of whatever fails.
    undress(figure)
    paint(figure, palette)


def undress(figure: Any) -> None:
    """Take off what HoloViews puts on, whatever the theme."""
    figure.update(
        output_backend="canvas",  # HoloViews asks for WebGL, which draws line by line
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
    )
    for axis in figure.axis:
        axis.update(minor_tick_line_color=None, axis_label_text_font_style="normal")
    for legend in figure.legend:
        legend.update(background_fill_alpha=0, border_line_alpha=0)
    for glyph in figure.select({"type": Glyph}):
        # HoloViews colours hatches, which nothing has; BokehJS stumbles over those of a
        # Scatter when it copies the glyph.
        if hasattr(glyph, "hatch_color"):
            glyph.update(hatch_color="black", hatch_alpha=1.0)
    for bar in standing(figure, ColorBar):
        bar.update(
            background_fill_alpha=0, bar_line_color=None, major_tick_line_color=None
        )


def paint(figure: Any, palette: Palette) -> None:
    """Colour what stands around the data, as often as the theme changes."""
    for axis in figure.axis:
        axis.update(
            axis_line_color=palette.line,
            major_tick_line_color=palette.line,
            major_label_text_color=palette.muted,
            axis_label_text_color=palette.text,
        )
    for grid in figure.grid:
        grid.update(grid_line_color=palette.line, grid_line_alpha=0.6)
    for legend in figure.legend:
        legend.update(label_text_color=palette.text, title_text_color=palette.muted)
    for bar in standing(figure, ColorBar):
        bar.update(major_label_text_color=palette.muted, title_text_color=palette.text)


def standing(figure: Any, kind: type[Any]) -> list[Any]:
    """What of a kind stands around the data of a figure, or over them."""
    sides = ("left", "right", "above", "below", "center")
    return [
        each
        for side in sides
        for each in getattr(figure, side)
        if isinstance(each, kind)
    ]


def _hover(roles: dict[str, str], measure: str, palette: Palette) -> HoverTool:
    """What the pointer tells; it hangs outside the page's root, as all tooltips do."""
    lines = "".join(
        f"<div>{escape(name)} <b>@{role}{'{0.0000}' if role == measure else ''}</b>"
        "</div>"
        for role, name in roles.items()
        if name
    )
    ground = palette.raised
    return HoverTool(
        tooltips=f"""<div style="font: 13px/1.45 Roboto, system-ui, sans-serif;
            padding: 1px 3px; color: {palette.text}; background: {ground};
            box-shadow: 0 0 0 9px {ground}">{lines}</div>""",
        show_arrow=False,
        point_policy="follow_mouse",
    )


def _columns(data: pa.Table) -> dict[str, list[Any]]:
    return {name: data[name].to_pylist() for name in ("x", "y")}


def _of_group(data: pa.Table, group: object) -> pa.Table:
    return data.filter(pa.array([v == group for v in data["colour"].to_pylist()]))


def _ordered(data: pa.Table, name: str) -> list[Any]:
    return sorted(distinct(data, name))


def _is_measured(column: pa.ChunkedArray) -> bool:
    of = column.type
    return bool(
        pa.types.is_integer(of) or pa.types.is_floating(of) or pa.types.is_temporal(of)
    )
