"""Layer x head: how often each head, and each FFN, is in the routes of a run so far.

The frame has its size from the model's shape before any number is known, so that
nothing moves when numbers come; then only colours change. A cell is the more opaque the
more frequent its component is; as the square root, for most heads of a large model are
rare. The colours are those of attention and FFN in the route graph.
"""

from math import sqrt
from typing import Any

import panel as pn
import panel_material_ui as pmu
import pyarrow as pa
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool
from bokeh.plotting import figure

from flowglass.store.rollup import TAUS
from flowglass.store.schema import DEFAULT_TAU
from flowglass.store.throughput import Progress

from .prediction import Row
from .pulse import Frequency, Pulse
from .theme import DARK, LIGHT, Palette

GAP = 0.6
"""Between the last head and the FFN, in cells."""
CELL_WIDTHS = (7, 34)
CELL_HEIGHTS = (5, 18)
ROOM = (860, 190)
"""What all cells together should fill at the most, in pixels."""
LEFT, BELOW, OVER, RIGHT = 36, 24, 2, 8
"""Room for the names of layers and heads."""

NOTE_STYLE = """
  :host { color: var(--fg-muted); font-size: 13px; line-height: 1.5 }
  .scale { display: inline-block; width: 64px; height: 9px; border-radius: 2px;
    margin: 0 5px; vertical-align: 0 }
  .attn { --full: var(--fg-attn) } .ffn { --full: var(--fg-ffn) }
  .scale { background: linear-gradient(90deg, var(--fg-raised),
    color-mix(in srgb, var(--full) 25%, var(--fg-raised)) 6.25%,
    color-mix(in srgb, var(--full) 50%, var(--fg-raised)) 25%,
    color-mix(in srgb, var(--full) 75%, var(--fg-raised)) 56.25%, var(--full)) }
  .n { color: var(--fg-text); font-variant-numeric: tabular-nums }
  .key { white-space: nowrap; margin-left: 14px }
"""


class ActivationMap:
    """The map of one run; `show` fills it when there is something new."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._run: Row | None = None
        self._shown: object = None
        self._cells = ColumnDataSource(EMPTY)
        self._figure = self._draw()
        self._set_colours(LIGHT)
        self._note = pn.pane.HTML(stylesheets=[NOTE_STYLE], margin=0)
        self._frame = pn.Column(
            pn.pane.Bokeh(self._figure, margin=0),
            css_classes=["activation-map"],
            sizing_mode="stretch_width",
            styles={"overflow-x": "auto"},
            margin=0,
        )
        self.root = pn.Column(
            pn.FlexBox(
                pmu.Typography("Activation frequency", variant="h6", margin=0),
                self._note,
                align_items="baseline",
                gap="14px",
                margin=(22, 0, 6, 0),
                sizing_mode="stretch_width",
            ),
            self._frame,
            sizing_mode="stretch_width",
            visible=False,
            margin=0,
        )

    def turn_to(self, run: Row | None) -> None:
        """Look at another run, or at none."""
        tau = None if run is None else tau_of(run)
        self.root.visible = tau is not None
        if run is None or tau is None:
            self._run = None
            return
        before, self._run = self._run, run
        if before is None or before["run_id"] != run["run_id"]:
            self._shown = None
            pn.state.execute(self._fill)

    def set_dark(self, dark: bool) -> None:
        """Change the colours."""
        palette = DARK if dark else LIGHT
        pn.state.execute(lambda: self._set_colours(palette))

    def tick(self) -> None:
        """Show what is new; only where the document may be changed."""
        if self._run is not None:
            self._fill()

    def _fill(self) -> None:
        run = self._run
        tau = None if run is None else tau_of(run)
        if run is None or tau is None:
            return
        found = self._pulse.frequency(run["run_id"], tau)
        progress = self._pulse.runs.get(run["run_id"])
        if progress is None or self._shown == (run["run_id"], found):
            return
        if self._shown is None:
            self._resize(int(run["n_layers"]), int(run["n_heads"]))
        self._shown = (run["run_id"], found)
        self._note.object = note_of(found, progress, tau)
        table = found.table if found else None
        self._cells.data = cells(table, int(run["n_layers"]), int(run["n_heads"]))

    def _draw(self) -> Any:
        plot = figure(
            name="activation-map",
            tools="",
            toolbar_location=None,
            min_border_left=LEFT,
            min_border_bottom=BELOW,
            min_border_top=OVER,
            min_border_right=RIGHT,
            outline_line_color=None,
            background_fill_alpha=0,
            border_fill_alpha=0,
        )
        self._ground = plot.rect(
            "x", "y", 0.9, 0.86, source=self._cells, line_color=None
        )
        self._marks = [
            plot.rect(
                "x",
                "y",
                0.9,
                0.86,
                source=self._cells,
                line_color=None,
                fill_alpha=kind,
            )
            for kind in ("head", "ffn")
        ]
        self._hover = HoverTool(
            renderers=[self._ground],
            point_policy="follow_mouse",
            show_arrow=False,
        )
        plot.add_tools(self._hover)
        plot.grid.grid_line_color = None
        plot.axis.axis_line_color = None
        plot.axis.major_tick_line_color = None
        plot.axis.minor_tick_line_color = None
        plot.axis.major_label_standoff = 2
        return plot

    def _resize(self, layers: int, heads: int) -> None:
        """A frame for a model of another shape."""
        plot = self._figure
        columns = heads + GAP + 1
        width, height = cell_size(layers, heads)
        plot.update(
            width=round(width * columns) + LEFT + RIGHT,
            height=height * layers + BELOW + OVER,
        )
        self._frame.height = plot.height
        plot.x_range.update(start=-0.5, end=columns - 0.5)
        plot.y_range.update(start=-0.5, end=layers - 0.5)
        named = {n: f"H{n}" for n in every(heads, width / 32)} | {heads + GAP: "FFN"}
        name_ticks(plot.xaxis, named)
        name_ticks(plot.yaxis, {n: f"L{n}" for n in every(layers, height / 14)})

    def _set_colours(self, palette: Palette) -> None:
        plot = self._figure
        for mark, colour in zip(
            (self._ground, *self._marks),
            (palette.raised, palette.attn, palette.ffn),
            strict=True,
        ):
            mark.glyph.fill_color = colour
        plot.axis.major_label_text_color = palette.muted
        self._hover.tooltips = tooltip(palette)


def tooltip(palette: Palette) -> str:
    """What the pointer tells. It hangs outside the page's root, and so knows none of
    the page's custom properties."""
    ground, text = palette.raised, palette.text
    return f"""
        <div style="font: 13px/1.45 Roboto, system-ui, sans-serif; padding: 1px 3px;
            color: {text}; background: {ground}; box-shadow: 0 0 0 9px {ground}">
          <div>@name</div>
          <div style="font-variant-numeric: tabular-nums"><b>@share</b> @error</div>
        </div>
    """


def name_ticks(axis: Any, names: dict[float, str]) -> None:
    """Name these places of an axis, and no others."""
    axis.ticker = FixedTicker(ticks=list(names))
    axis.major_label_overrides = names


EMPTY: dict[str, list[Any]] = {
    name: [] for name in ("x", "y", "head", "ffn", "name", "share", "error")
}


def tau_of(run: Row) -> float | None:
    """The threshold to count routes at: the default, or the next that is known."""
    allowed = (tau for tau in TAUS.values() if tau >= max(DEFAULT_TAU, run["cutoff"]))
    return min(allowed, default=None)


def note_of(found: Frequency | None, run: Progress, tau: float) -> str:
    """What the map shows, and of how much."""
    if found is not None and found.trouble:
        return "The activation frequencies cannot be read just now."
    n = found.table["n_targets"][0].as_py() if found and found.table.num_rows else 0
    scale = "".join(
        f'<span class="key">{kind} 0<span class="scale {name}"></span>100%</span>'
        for kind, name in (("heads", "attn"), ("FFN", "ffn"))
    )
    return (
        f'Share of targets whose route at threshold {tau:g} holds it: <span class="n">'
        f"{so_far(n, found.run if found else run)}</span>{scale}"
    )


def so_far(n_targets: int, run: Progress) -> str:
    """How much the shares are of: `1,234 targets so far, 37% of the prompts`."""
    targets = f"{n_targets:,} target{'' if n_targets == 1 else 's'}"
    if run.status == "complete":
        return f"{targets}, all prompts"
    # Rounded down: it is not all of them before it is.
    return f"{targets} so far, {100 * run.n_done // max(1, run.n_all)}% of the prompts"


def cell_size(layers: int, heads: int) -> tuple[int, int]:
    """Width and height of a cell in pixels, such that a large model stays in sight.

    >>> cell_size(12, 12), cell_size(80, 64)
    ((34, 15), (13, 5))
    """
    sizes = (ROOM[0] / (heads + GAP + 1), ROOM[1] / layers)
    low_high = (CELL_WIDTHS, CELL_HEIGHTS)
    width, height = (
        int(min(max(size, low), high))
        for size, (low, high) in zip(sizes, low_high, strict=True)
    )
    return width, height


def every(n: int, share: float) -> list[int]:
    """The numbers below n that there is room to name, if there is for that share.

    >>> every(12, 2.0), every(12, 0.4)
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [0, 4, 8])
    """
    step = next((s for s in (1, 2, 4, 8, 16) if s * share >= 1), 32)
    return list(range(0, n, step))


def cells(table: pa.Table | None, layers: int, heads: int) -> dict[str, list[Any]]:
    """The columns that are drawn; of a table without rows, cells without colour."""
    rows = table.to_pylist() if table is not None else []
    known = {(row["layer"], row["component"], row["index"]): row for row in rows}
    drawn: dict[str, list[Any]] = {name: [] for name in EMPTY}
    for layer in range(layers):
        for place in range(heads + 1):
            is_head = place < heads
            key = (layer, "head", place) if is_head else (layer, "ffn", 0)
            row = known.get(key)
            share = row["share"] if row else 0.0
            drawn["x"].append(place if is_head else heads + GAP)
            drawn["y"].append(layer)
            drawn["head"].append(sqrt(share) if is_head else 0.0)
            drawn["ffn"].append(0.0 if is_head else sqrt(share))
            what = f"head {place}" if is_head else "FFN"
            drawn["name"].append(f"Layer {layer} · {what}")
            drawn["share"].append(f"{100 * share:.1f} %" if row else "no targets yet")
            drawn["error"].append(
                f"± {100 * row['standard_error']:.1f} % (standard error)" if row else ""
            )
    return drawn
