"""Attention's, the FFN's and the residual stream's share by layer: of all positions,
and of groups of them beside each other."""

from html import escape

import panel as pn

from flowglass.store.errors import StoreError
from flowglass.store.shares import layer_shares, shares_read
from flowglass.store.store import Store

from .component_cells import counted, group_said
from .component_maps import CAPTION_STYLE
from .downloads import Extract
from .prediction import Row
from .section_head import SectionHead
from .shares_plot import Part, SharesPlot, parts_of
from .theme import LIGHT, Palette
from .trouble import told

ALONE = (760, 260)
BESIDE = (330, 190)
"""Sizes of a plot in pixels: of all positions, and of one group."""

LEGEND_STYLE = """
  :host { color: var(--fg-muted); font-size: 13px; line-height: 1.6 }
  span { margin-right: 18px; white-space: nowrap }
  i { display: inline-block; width: 20px; border-top: 3px solid; margin-right: 6px;
    vertical-align: 4px }
  .attn { border-color: var(--fg-attn) } .ffn { border-color: var(--fg-ffn) }
  .resid { border-color: var(--fg-resid) } .dashed { border-top-style: dashed }
  .pale { border-color: var(--fg-faint); border-top-width: 1px }
"""
TITLE = "Attention, FFN and residual stream by layer"
NOTE = (
    "Mean over {n} of what each step's parts bring to the state it writes. The parts "
    "of one step sum to 100 %; attention and FFN are parts of different steps. Bands "
    "are 95% intervals over prompts{missing}."
)
NOTE_PARALLEL = (
    "Mean over {n} of what the parts of each block bring to the state it writes, which "
    "sum to 100 %. Bands are 95% intervals over prompts{missing}."
)
NO_STEPS = (
    "This run stored no shares of its steps. Sweep again with another `--run` name: "
    "every sweep of this version stores them."
)


class SharesPanel:
    """The plots; `show` reads them if they are not those that are shown."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shown: tuple[object, ...] = ()
        self._run: Row = {}
        self._whole: list[Row] = []
        self._groups: dict[str, list[Row]] = {}
        self._facet = ""
        self._palette = LIGHT
        self._head = SectionHead(TITLE, above=26)
        self._legend = pn.pane.HTML(stylesheets=[LEGEND_STYLE], margin=(4, 0, 4, 0))
        self.whole = SharesPlot("shares", ALONE)
        self.parts: list[SharesPlot] = []
        self._captions: list[pn.pane.HTML] = []
        self._boxes: list[pn.Column] = []
        self._alone = pn.Column(margin=0)
        self._pane = pn.pane.Bokeh(self.whole.plot, margin=0)
        self._beside = pn.FlexBox(
            gap="14px 26px", sizing_mode="stretch_width", margin=0
        )
        self.root = pn.Column(
            self._head,
            self._legend,
            self._alone,
            self._beside,
            sizing_mode="stretch_width",
            margin=0,
        )

    def show(self, run: Row, facet: str) -> None:
        """Show a run's shares, split by a facet or whole."""
        wanted = (run["run_id"], run["n_prompts"], facet)
        if wanted == self._shown:
            return
        self._run, self._facet, self._shown = run, facet, wanted
        try:
            whole = layer_shares(self._store, run["run_id"])
            parts = (
                layer_shares(self._store, run["run_id"], by=facet) if facet else whole
            )
        except StoreError as error:
            self._whole, self._groups = [], {}
            self._head.miss(TITLE, told(self._store, error, run["run_id"]))
            self._draw()
            return
        self._whole = whole.table.to_pylist()
        self._groups = {}
        if facet:
            for row in parts.table.to_pylist():
                self._groups.setdefault(row["facet"], []).append(row)
        if self._whole:
            extract = Extract(f"{run['run_id']}-shares", parts.table, parts.sql)
            self._head.tell(TITLE, self._said(), extract)
        else:
            self._head.miss(TITLE, NO_STEPS)
        self._draw()

    def set_colours(self, palette: Palette) -> None:
        """Paint in a theme's colours."""
        self._palette = palette
        pn.state.execute(self._paint)

    def _paint(self) -> None:
        for each in (self.whole, *self.parts):
            each.set_colours(self._palette)

    def _said(self) -> str:
        """What the plots show, and of how much."""
        first = self._whole[0]
        n = f"{counted(first['n_positions'], 'position')} of "
        n += counted(first["n_prompts"], "prompt")
        share = shares_read(self._store, self._run["run_id"])
        if share < 1:
            n += f", an even sample of {100 * share:.0f} % of the run"
        is_short = any(row["low"] is None for row in self._rows())
        missing = " (none with fewer than 5)" if is_short else ""
        parallel = self._run["block_kind"] == "parallel"
        return (NOTE_PARALLEL if parallel else NOTE).format(n=n, missing=missing)

    def _rows(self) -> list[Row]:
        return [*self._whole, *(row for rows in self._groups.values() for row in rows)]

    def _draw(self) -> None:
        there = bool(self._whole)
        self._legend.visible = there
        # A hidden figure would keep Bokeh from laying out those beside it.
        self._alone.objects = [self._pane] if there and not self._groups else []
        self._beside.visible = there and bool(self._groups)
        if not there:
            return
        parts = parts_of(self._run["block_kind"])
        self._legend.object = legend(parts, pale=bool(self._groups))
        while len(self.parts) < len(self._groups):
            self._add()
        self._beside.objects = self._boxes[: len(self._groups)]
        for caption, (name, of) in zip(
            self._captions, self._groups.items(), strict=False
        ):
            caption.object = self._caption(name, of[0])
        pn.state.execute(self._fill)

    def _fill(self) -> None:
        parts = parts_of(self._run["block_kind"])
        if not self._groups:
            self.whole.fill(self._whole, parts=parts, beside=[])
        for plot, rows in zip(self.parts, self._groups.values(), strict=False):
            plot.fill(rows, parts=parts, beside=self._whole)

    def _add(self) -> None:
        """Room for one more group; it is used again."""
        made = SharesPlot(f"shares-{len(self.parts)}", BESIDE)
        made.set_colours(self._palette)
        style = {"stylesheets": [CAPTION_STYLE], "width": BESIDE[0], "margin": 0}
        caption = pn.pane.HTML(**style)
        self.parts.append(made)
        self._captions.append(caption)
        drawing = pn.Column(
            pn.pane.Bokeh(made.plot, margin=0),
            sizing_mode="stretch_width",
            height=BESIDE[1],
            margin=0,
        )
        self._boxes.append(pn.Column(caption, drawing, width=BESIDE[0], margin=0))

    def _caption(self, group: str, row: Row) -> str:
        """The group's name and size, as HTML."""
        size = counted(row["n_positions"], "position")
        of = counted(row["n_prompts"], "prompt")
        name = escape(group_said(self._facet, group))
        return f"<div><b>{name}</b><span>{size} of {of}</span></div>"


def legend(parts: tuple[Part, ...], *, pale: bool) -> str:
    """Which curve is what, as HTML."""
    keys = [
        f'<span><i class="{part.part} {part.dash}"></i>{part.name}</span>'
        for part in parts
    ]
    if pale:
        keys.append('<span><i class="pale"></i>of all positions</span>')
    return "".join(keys)
