"""The drawing of layer x head with the FFN beside it: a cell for every component.

A figure has its size from the model's shape before any number is known, so that nothing
moves when numbers come; then only colours change. A cell is the more opaque the larger
its number is; as the square root, for most heads of a large model are near nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import panel as pn
from bokeh.events import Event, Tap
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Range1d
from bokeh.plotting import figure

from .theme import DARK, LIGHT, Palette

GAP = 0.6
"""Between the last head and the FFN, in cells."""
CELL_WIDTHS = (7, 34)
CELL_HEIGHTS = (5, 18)
LEFT, BELOW, OVER, RIGHT = 36, 24, 2, 8
"""Room for the names of layers and heads, in pixels."""

SCALE_STYLE = """
  .scale { display: inline-block; width: 64px; height: 9px; border-radius: 2px;
    margin: 0 5px; vertical-align: 0 }
  .attn { --full: var(--fg-attn) } .ffn { --full: var(--fg-ffn) }
  .plus { --full: var(--fg-plus) } .minus { --full: var(--fg-minus) }
  .scale { background: linear-gradient(var(--to, 90deg), var(--fg-raised),
    color-mix(in srgb, var(--full) 25%, var(--fg-raised)) 6.25%,
    color-mix(in srgb, var(--full) 50%, var(--fg-raised)) 25%,
    color-mix(in srgb, var(--full) 75%, var(--fg-raised)) 56.25%, var(--full)) }
  .scale.minus { --to: -90deg }
  .key { white-space: nowrap; margin-left: 14px }
"""

Key = tuple[int, str, int]
"""A component: layer, `head` or `ffn`, index."""


def page_of(key: Key) -> dict[str, Any]:
    """What the Selection calls a component's page.

    >>> page_of((3, "head", 2)), page_of((3, "ffn", 0))
    ({'view': 'head', 'layer': 3, 'head': 2}, {'view': 'ffn', 'layer': 3})
    """
    layer, component, index = key
    of = {"head": index} if component == "head" else {}
    return {"view": component, "layer": layer, **of}


@dataclass(frozen=True)
class Cell:
    """What a map shows of a component."""

    ink: str
    """The name of a colour of the palette."""
    strength: float
    """0 to 1: how much there is of it."""
    value: str
    """What the pointer tells."""
    detail: str = ""


class ComponentMap:
    """One map; `shape` makes room, `fill` shows numbers, `set_colours` paints."""

    def __init__(
        self,
        name: str,
        *,
        room: tuple[int, int],
        on_open: Callable[[Key], None] | None = None,
    ) -> None:
        """`room` is what all cells together should fill at the most, in pixels."""
        self._room = room
        self._on_open = on_open
        self._shape = (0, 0)
        self._inks: list[str] = []
        self._palette = LIGHT
        self._cells = ColumnDataSource({name: [] for name in COLUMNS})
        self.plot = self._draw(name)
        # pn.Column: a figure that comes later into one of pmu's throws in the browser.
        self.root = pn.Column(
            pn.pane.Bokeh(self.plot, margin=0),
            css_classes=[name],
            sizing_mode="stretch_width",
            styles={"overflow-x": "auto"},
            margin=0,
        )
        self.set_colours(LIGHT)

    def shape(self, layers: int, heads: int) -> None:
        """A frame for a model of this shape; only where the document may be changed,
        as the next two."""
        if (layers, heads) == self._shape:
            return
        self._shape = (layers, heads)
        plot = self.plot
        columns = heads + GAP + 1
        width, height = cell_size(layers, heads, self._room)
        plot.update(
            width=width_of(layers, heads, self._room),
            height=height_of(layers, heads, self._room),
        )
        self.root.height = plot.height
        plot.x_range.update(start=-0.5, end=columns - 0.5)
        plot.y_range.update(start=-0.5, end=layers - 0.5)
        named = {n: f"H{n}" for n in every(heads, width / 32)} | {heads + GAP: "FFN"}
        name_ticks(plot.xaxis, named)
        name_ticks(plot.yaxis, {n: f"L{n}" for n in every(layers, height / 14)})

    def fill(self, cells: Mapping[Key, Cell], *, missing: str) -> None:
        """Show these; a component without a cell is empty, and told as `missing`."""
        columns, self._inks = columns_of(cells, *self._shape, missing=missing)
        self._cells.data = columns | {"colour": self._colours()}

    def set_colours(self, palette: Palette) -> None:
        """Paint in a theme's colours."""
        self._palette = palette
        self._ground.glyph.fill_color = palette.raised
        self.plot.axis.major_label_text_color = palette.muted
        self._hover.tooltips = tooltip(palette)
        if self._inks:
            self._cells.data = dict(self._cells.data) | {"colour": self._colours()}

    def _colours(self) -> list[str]:
        return [getattr(self._palette, ink) for ink in self._inks]

    def _draw(self, name: str) -> Any:
        plot = figure(
            name=name,
            tools="",
            toolbar_location=None,
            width=LEFT + RIGHT,
            height=BELOW + OVER,
            x_range=Range1d(start=-0.5, end=0.5),
            y_range=Range1d(start=-0.5, end=0.5),
            min_border_left=LEFT,
            min_border_bottom=BELOW,
            min_border_top=OVER,
            min_border_right=RIGHT,
            outline_line_color=None,
            background_fill_alpha=0,
            border_fill_alpha=0,
        )
        size: dict[str, Any] = {"width": 0.9, "height": 0.86, "line_color": None}
        self._ground = plot.rect("x", "y", source=self._cells, **size)
        plot.rect(
            "x",
            "y",
            source=self._cells,
            fill_color="colour",
            fill_alpha="strength",
            **size,
        )
        self._hover = HoverTool(
            renderers=[self._ground], point_policy="follow_mouse", show_arrow=False
        )
        plot.add_tools(self._hover)
        plot.grid.grid_line_color = None
        plot.axis.axis_line_color = None
        plot.axis.major_tick_line_color = None
        plot.axis.minor_tick_line_color = None
        plot.axis.major_label_standoff = 2
        if self._on_open is not None:
            plot.on_event(Tap, self._tapped)
        return plot

    def _tapped(self, event: Event) -> None:
        assert isinstance(event, Tap)
        assert self._on_open is not None
        layers, heads = self._shape
        if event.x is None or event.y is None:
            return
        layer, place = round(event.y), round(event.x)
        if not 0 <= layer < layers:
            return
        if 0 <= place < heads:
            self._on_open((layer, "head", place))
        elif abs(event.x - heads - GAP) < 0.5:
            self._on_open((layer, "ffn", 0))


COLUMNS = ("x", "y", "colour", "strength", "name", "value", "detail")


def columns_of(
    cells: Mapping[Key, Cell], layers: int, heads: int, *, missing: str
) -> tuple[dict[str, list[Any]], list[str]]:
    """The columns that are drawn, but for the colours; and the inks of these."""
    drawn: dict[str, list[Any]] = {name: [] for name in COLUMNS if name != "colour"}
    inks = []
    empty = Cell("attn", 0.0, missing)
    for layer in range(layers):
        for place in range(heads + 1):
            is_head = place < heads
            key = (layer, "head", place) if is_head else (layer, "ffn", 0)
            cell = cells.get(key, empty)
            inks.append(cell.ink)
            drawn["x"].append(place if is_head else heads + GAP)
            drawn["y"].append(layer)
            drawn["strength"].append(sqrt(cell.strength))
            what = f"head {place}" if is_head else "FFN"
            drawn["name"].append(f"Layer {layer} · {what}")
            drawn["value"].append(cell.value)
            drawn["detail"].append(cell.detail)
    return drawn, inks


def palette_of(dark: bool) -> Palette:
    """The colours of a theme."""
    return DARK if dark else LIGHT


def tooltip(palette: Palette) -> str:
    """What the pointer tells. It hangs outside the page's root, and so knows none of
    the page's custom properties."""
    ground, text = palette.raised, palette.text
    return f"""
        <div style="font: 13px/1.45 Roboto, system-ui, sans-serif; padding: 1px 3px;
            color: {text}; background: {ground}; box-shadow: 0 0 0 9px {ground}">
          <div>@name</div>
          <div style="font-variant-numeric: tabular-nums"><b>@value</b> @detail</div>
        </div>
    """


def name_ticks(axis: Any, names: dict[float, str]) -> None:
    """Name these places of an axis, and no others."""
    axis.ticker = FixedTicker(ticks=list(names))
    axis.major_label_overrides = names


def scale(ink: str, what: str, low: str, high: str) -> str:
    """A legend: `heads 0 [from nothing to full colour] 100%`."""
    return f'<span class="key">{what} {low}{_colours(ink)}{high}</span>'


def scale_both_ways(what: str, low: str, high: str) -> str:
    """The same of what has a sign: `heads -1 [colour] 0 [colour] +1`."""
    middle = f"{_colours('minus')}0{_colours('plus')}"
    return f'<span class="key">{what} {low}{middle}{high}</span>'


def _colours(ink: str) -> str:
    return f'<span class="scale {ink}"></span>'


def cell_size(layers: int, heads: int, room: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a cell in pixels, such that a large model stays in sight.

    >>> cell_size(12, 12, (860, 190)), cell_size(80, 64, (860, 190))
    ((34, 15), (13, 5))
    """
    sizes = (room[0] / (heads + GAP + 1), room[1] / layers)
    low_high = (CELL_WIDTHS, CELL_HEIGHTS)
    width, height = (
        int(min(max(size, low), high))
        for size, (low, high) in zip(sizes, low_high, strict=True)
    )
    return width, height


def width_of(layers: int, heads: int, room: tuple[int, int]) -> int:
    """Width of a map in pixels."""
    width, _ = cell_size(layers, heads, room)
    return round(width * (heads + GAP + 1)) + LEFT + RIGHT


def height_of(layers: int, heads: int, room: tuple[int, int]) -> int:
    """Height of a map in pixels."""
    _, height = cell_size(layers, heads, room)
    return height * layers + BELOW + OVER


def every(n: int, share: float) -> list[int]:
    """The numbers below n that there is room to name, if there is for that share.

    >>> every(12, 2.0), every(12, 0.4)
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [0, 4, 8])
    """
    step = next((s for s in (1, 2, 4, 8, 16) if s * share >= 1), 32)
    return list(range(0, n, step))
