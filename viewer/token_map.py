"""A map over pairs of tokens as an image: ten tokens cost what a thousand do.

Tokens name the axes where there is room, and always under the pointer; a click on a
cell chooses its pair.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import panel as pn
from bokeh.events import Event, Tap
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    CustomJS,
    CustomJSHover,
    CustomJSTickFormatter,
    HoverTool,
    LinearColorMapper,
    Range1d,
)
from bokeh.plotting import figure
from numpy.typing import NDArray

from .edge_panel import LATER, NOT_STORED
from .theme import MONOSPACE, Palette, ramp

FRAME = 272
"""Pixels of the square that holds the cells."""
LEFT, BELOW, OVER, RIGHT = 76, 64, 4, 8
WIDTH = FRAME + LEFT + RIGHT
MOST_NAMES = 28
"""Token names on an axis; a map of more can be zoomed."""
LONGEST_NAME = 10
LARGEST_PART = 40
"""The mark of a cell is no smaller part of the map, to be seen."""

CAPTION_STYLE = """
  :host { color: var(--fg-muted); font-size: 12px }
  b { color: var(--fg-text); font-weight: 500; font-size: 13px; margin-right: 8px }
  i { display: inline-block; width: 64px; height: 8px; border-radius: 2px;
    border: 1px solid var(--fg-line); margin: 0 5px;
    background: linear-gradient(90deg, var(--fg-raised),
    color-mix(in srgb, var(--full) 50%, var(--fg-raised)) 25%, var(--full)) }
"""
NAME_TICK = """
    const name = Number.isInteger(tick) ? tokens[tick] ?? "" : ""
    return name.length > longest ? name.slice(0, longest - 1) + "…" : name
"""
KEEP_SIZE = """
    // The page's design gives every axis a size of its own, in the browser.
    const [size] = cb_obj.tags
    if (size && cb_obj.major_label_text_font_size !== size)
      cb_obj.major_label_text_font_size = size
"""
TELL_TOKEN = """
    const position = Math.round(value)
    return `${position} ${tokens[position] ?? ""}`
"""
TELL_VALUE = f"""
    return value === {LATER} ? "a later token"
      : value === {NOT_STORED} ? "below the cutoff, not stored" : value.toFixed(4)
"""


class TokenMap:
    """One map of [query, key]; `show` fills it, `set_colours` paints it."""

    def __init__(
        self, name: str, title: str, ink: str, on_choose: Callable[[int, int], None]
    ) -> None:
        self._title = title
        self._ink = ink
        self._on_choose = on_choose
        self._tokens: list[str] = []
        self._naming: list[Any] = []
        self._cells = ColumnDataSource({"image": [], "side": []})
        self._ground = ColumnDataSource({"x": [], "y": []})
        self._marked = ColumnDataSource({"x": [], "y": [], "side": []})
        self._mapper = LinearColorMapper(
            palette=["#000000"], low=0.0, high=1.0, low_color="rgba(0,0,0,0)"
        )
        self.plot = self._draw(name)
        self._caption = pn.pane.HTML(
            stylesheets=[CAPTION_STYLE], margin=(0, 0, 2, LEFT)
        )
        # pn.Column: a figure that comes later into one of pmu's throws in the browser.
        self.root = pn.Column(
            self._caption, pn.pane.Bokeh(self.plot, margin=0), width=WIDTH, margin=0
        )

    @property
    def values(self) -> NDArray[np.float32]:
        """What is drawn, [query, key]."""
        found: NDArray[np.float32] = self._cells.data["image"][0]
        return found

    def show(
        self,
        values: NDArray[np.float32],
        tokens: list[str],
        *,
        pair: tuple[int, int],
    ) -> None:
        """Draw a map and mark the cell of a pair (query, key)."""
        highest = max(float(values.max(initial=0.0)), 1e-6)
        self._caption.object = (
            f"<b>{self._title}</b> 0<i style='--full: var(--fg-{self._ink})'></i>"
            f"{highest:.3f}"
        )
        pn.state.execute(lambda: self._fill(values, tokens, pair, highest))

    def set_colours(self, palette: Palette) -> None:
        """Paint in a theme's colours."""
        pn.state.execute(lambda: self._paint(palette))

    def _fill(
        self,
        values: NDArray[np.float32],
        tokens: list[str],
        pair: tuple[int, int],
        highest: float,
    ) -> None:
        if tokens != self._tokens:
            self._name(tokens)
        self._mapper.high = highest
        self._cells.data = {"image": [values], "side": [len(tokens)]}
        side = max(1.0, len(tokens) / LARGEST_PART)
        self._marked.data = {"x": [pair[1]], "y": [pair[0]], "side": [side]}

    def _name(self, tokens: list[str]) -> None:
        """Axes and ground for a prompt: all that its maps have in common, for every
        change of a figure is another painting."""
        n = len(tokens)
        self._tokens = tokens
        for naming in self._naming:
            naming.args = {**naming.args, "tokens": tokens}
        self._ground.data = stairs(n)
        size = f"{label_size(n)}px"
        plot = self.plot
        plot.x_range.update(start=-0.5, end=n - 0.5)
        plot.y_range.update(start=n - 0.5, end=-0.5)
        plot.toolbar_location = "above" if n > MOST_NAMES else None
        for axis in plot.axis:
            axis.ticker.desired_num_ticks = min(n, MOST_NAMES)
            axis.tags = [size]
            axis.major_label_text_font_size = size

    def _paint(self, palette: Palette) -> None:
        plot = self.plot
        self._mapper.palette = ramp(palette.raised, getattr(palette, self._ink))
        self._ground_glyph.fill_color = palette.raised
        self._mark_glyph.line_color = palette.target
        plot.axis.major_label_text_color = palette.muted
        plot.axis.axis_label_text_color = palette.muted
        self._hover.tooltips = tooltip(palette)

    def _draw(self, name: str) -> Any:
        plot = figure(
            name=name,
            frame_width=FRAME,
            frame_height=FRAME,
            min_border_left=LEFT,
            min_border_bottom=BELOW,
            min_border_top=OVER,
            min_border_right=RIGHT,
            x_range=Range1d(start=-0.5, end=0.5),
            y_range=Range1d(start=0.5, end=-0.5),
            tools="box_zoom,reset",
            toolbar_location=None,
            outline_line_color=None,
            background_fill_alpha=0,
            border_fill_alpha=0,
        )
        plot.toolbar.logo = None
        self._ground_glyph = plot.patch(
            "x", "y", source=self._ground, line_color=None
        ).glyph
        image = plot.image(
            image="image",
            x=-0.5,
            y=-0.5,
            dw="side",
            dh="side",
            source=self._cells,
            color_mapper=self._mapper,  # type: ignore[call-arg]  # missing in its stub
        )
        self._mark_glyph = plot.rect(
            "x", "y", "side", "side", source=self._marked, fill_color=None, line_width=2
        ).glyph
        self._hover = self._hovering(image)
        plot.add_tools(self._hover)
        plot.on_event(Tap, self._tapped)
        self._name_axes(plot)
        return plot

    def _hovering(self, image: Any) -> HoverTool:
        token = CustomJSHover(args={"tokens": []}, code=TELL_TOKEN)
        self._naming.append(token)
        return HoverTool(
            renderers=[image],
            point_policy="follow_mouse",
            show_arrow=False,
            formatters={
                "$x": token,
                "$y": token,
                "@image": CustomJSHover(code=TELL_VALUE),
            },
        )

    def _name_axes(self, plot: Any) -> None:
        naming = CustomJSTickFormatter(
            args={"tokens": [], "longest": LONGEST_NAME}, code=NAME_TICK
        )
        self._naming.append(naming)
        for axis in plot.axis:
            axis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
            axis.formatter = naming
            keep_size = CustomJS(code=KEEP_SIZE)
            axis.js_on_change("major_label_text_font_size", keep_size)
            axis.axis_line_color = None
            axis.major_tick_line_color = None
            axis.minor_tick_line_color = None
            axis.major_label_standoff = 3
        plot.xaxis.major_label_orientation = "vertical"
        plot.grid.grid_line_color = None

    def _tapped(self, event: Event) -> None:
        assert isinstance(event, Tap)
        if event.x is None or event.y is None:
            return
        query, key = round(event.y), round(event.x)
        if 0 <= key <= query < len(self._tokens):
            self._on_choose(query, key)


def stairs(n: int) -> dict[str, list[float]]:
    """The outline of the cells that a map has: keys up to their query.

    >>> stairs(1)
    {'x': [-0.5, 0.5, 0.5, -0.5], 'y': [-0.5, -0.5, 0.5, 0.5]}
    """
    x, y = [-0.5], [-0.5]
    for step in range(n):
        x += [step + 0.5, step + 0.5]
        y += [step - 0.5, step + 0.5]
    return {"x": [*x, -0.5], "y": [*y, n - 0.5]}


def label_size(n: int) -> int:
    """Pixels of a token's name on an axis of so many."""
    return min(12, max(9, FRAME // min(n, MOST_NAMES)))


def tooltip(palette: Palette) -> str:
    """What the pointer tells; it hangs outside the page's root and knows none of its
    custom properties. Bokeh escapes what it puts in."""
    ground, text, muted = palette.raised, palette.text, palette.muted
    return f"""
        <div style="font: 13px/1.45 Roboto, system-ui, sans-serif; padding: 1px 3px;
            color: {text}; background: {ground}; box-shadow: 0 0 0 9px {ground}">
          <div style="font-family: {MONOSPACE}; font-size: 12px; white-space: pre"
            >$y{{custom}} <span style="color: {muted}">reads</span> $x{{custom}}</div>
          <div style="font-variant-numeric: tabular-nums"><b>@image{{custom}}</b></div>
        </div>
    """
