"""The components of a run: how often, how much and for which logit each head and FFN
matters, over all targets and by groups of them; and what each layer brings."""

from html import escape
from threading import RLock
from typing import Any

import panel as pn
import panel_material_ui as pmu
from param.parameterized import Event

from flowglass.store.answer import Answer
from flowglass.store.component_queries import component_map, share_of
from flowglass.store.errors import StoreError
from flowglass.store.facets import MOST_GROUPS, TOKEN_CLASS, facets
from flowglass.store.rollup import TAUS

from .component_cells import (
    MEASURES,
    cells_of,
    group_said,
    legend_of,
    size_said,
    strongest,
    tops_of,
)
from .component_map import SCALE_STYLE, Key, page_of, palette_of
from .component_maps import ComponentMaps, GroupMap
from .downloads import Extract
from .prediction import Row
from .section_head import SectionHead
from .shares_panel import SharesPanel
from .sheet import Sheet
from .trouble import told
from .views import Desk

ALONE = (720, 230)
BESIDE = (330, 120)
"""Room for the cells of the map of all targets, and of a group's, in pixels."""

FOLLOWED = ["measure", "tau", "facet"]
LEFT = {"flex": "0 1 auto", "max-width": "100%"}
RIGHT = {"flex": "1 1 380px", "min-width": "0", "max-width": "520px"}
LEGEND_STYLE = f"""
  :host {{ color: var(--fg-muted); font-size: 13px; line-height: 1.6 }}
  .key:first-child {{ margin-left: 0 }}
  {SCALE_STYLE}
"""
NO_TARGETS = "No prompt of this run has a target yet."
NO_LOGITS = (
    "This run stored no logit attribution. Sweep again with another `--run` name: "
    "every sweep of this version stores it."
)
NO_DISTRACTORS = (
    "No target of this run has both an answer and a distractor. Give each prompt the "
    "columns `answer` and `distractor`, and sweep with `--targets answer`."
)


class ComponentsPage:
    """Controls, maps and shares; follows the Selection while it is shown."""

    def __init__(self, desk: Desk) -> None:
        self._store = desk.store
        self._selection = desk.selection
        self._run: Row | None = None
        self._facets_of: tuple[str, int] | None = None
        self._lock = RLock()  # a session's events run in several threads
        self._head = SectionHead("Components")
        self._legend = pn.pane.HTML(stylesheets=[LEGEND_STYLE], margin=(0, 0, 8, 0))
        self._map = ComponentMaps("components", room=ALONE, on_open=self._open)
        self._parts = ComponentMaps("components-by", room=BESIDE, on_open=self._open)
        self._parts_head = SectionHead("By group", above=26)
        self._strongest = Sheet(
            lambda changes: self._selection.go(**changes),
            label="Strongest heads",
            sizing_mode="stretch_width",
            margin=0,
        )
        self._left = pn.Column(self._map.root, styles=LEFT, margin=0)
        self._shares = SharesPanel(desk.store)
        self.root = pn.Column(
            self._controls(),
            self._head,
            self._legend,
            pn.FlexBox(
                self._left,
                pn.Column(self._strongest, styles=RIGHT, margin=0),
                flex_wrap="wrap",
                gap="14px 36px",
                align_items="flex-start",
                sizing_mode="stretch_width",
                margin=0,
            ),
            self._parts_head,
            self._parts.root,
            self._shares.root,
            sizing_mode="stretch_width",
            margin=(18, 24, 24, 24),
        )
        self._selection.param.watch(self._follow, FOLLOWED)

    def _controls(self) -> pn.FlexBox:
        names = {measure.title: key for key, measure in MEASURES.items()}
        self._measure = pmu.Select(
            label="Measure", options=names, size="small", width=250, margin=0
        )
        self._facet = pmu.Select(label="Split by", size="small", width=220, margin=0)
        self._tau = pmu.DiscreteSlider(
            label="Threshold tau", options=list(TAUS.values()), width=190, margin=0
        )
        for key, widget in self._widgets().items():
            widget.param.watch(lambda event, key=key: self._choose(key, event), "value")
        return pn.FlexBox(
            self._measure,
            self._facet,
            self._tau,
            align_items="center",
            gap="18px",
            height=62,
            margin=(0, 0, 12, 0),
            sizing_mode="stretch_width",
        )

    def _widgets(self) -> dict[str, Any]:
        return {"measure": self._measure, "facet": self._facet, "tau": self._tau}

    def show(self, run: Row) -> None:
        """Show a run as the Selection asks."""
        with self._lock:
            self._run = run
            self._fill()

    def set_dark(self, dark: bool) -> None:
        """Repaint in the other colours what is no CSS."""
        palette = palette_of(dark)
        for each in (self._map, self._parts, self._shares):
            each.set_colours(palette)

    def name(self) -> str:
        """Nothing on the page has a page's name of its own."""
        return ""

    def _choose(self, key: str, event: Event) -> None:
        # Filling the widgets from the Selection comes here too and changes nothing.
        is_default = key == "measure" and event.new == next(iter(MEASURES))
        wanted = "" if is_default else event.new
        now = self._tau_of(self._run) if key == "tau" else getattr(self._selection, key)
        if event.new is not None and wanted != now:
            self._selection.param.update(**{key: wanted})

    def _follow(self, *_: Event) -> None:
        with self._lock:
            if self.root.visible and self._run is not None:
                self._fill()

    def _open(self, key: Key) -> None:
        """A cell was clicked."""
        self._selection.go(**page_of(key))

    def _tau_of(self, run: Row | None) -> float:
        """The threshold asked for, or the lowest that the run has counts at."""
        allowed = self._taus(run)
        wanted = float(self._selection.tau)
        return wanted if wanted in allowed or not allowed else allowed[0]

    def _taus(self, run: Row | None) -> list[float]:
        cutoff = float(run["cutoff"]) if run else 0.0
        return [tau for tau in TAUS.values() if tau >= cutoff]

    def _key(self) -> str:
        """The measure asked for; the first, if it is not known."""
        wanted = self._selection.measure
        return wanted if wanted in MEASURES else next(iter(MEASURES))

    def _fill(self) -> None:
        assert self._run is not None
        run, key, facet = self._run, self._key(), self._selection.facet
        self._fill_controls(run, key, facet)
        tau = self._tau_of(run)
        try:
            whole = self._ask(run, key, tau, "")
            split = facet and whole.table.num_rows
            parts = self._ask(run, key, tau, facet) if split else whole
        except StoreError as error:
            self._miss(run, key, told(self._store, error, run["run_id"]))
        else:
            self._show_whole(run, key, tau, whole, parts)
            self._show_parts(run, key, facet, whole, parts)
        self._shares.show(run, facet)

    def _miss(self, run: Row, key: str, why: str) -> None:
        """Show no map, but why."""
        self._legend.visible = self._strongest.visible = False
        self._head.miss(MEASURES[key].title, why)
        for maps in (self._map, self._parts):
            maps.show([], **shape_of(run))
        self._parts_head.visible = False

    def _ask(self, run: Row, key: str, tau: float, by: str) -> Answer:
        return component_map(self._store, run["run_id"], measure=key, tau=tau, by=by)

    def _fill_controls(self, run: Row, key: str, facet: str) -> None:
        if self._facets_of != (run["run_id"], run["n_prompts"]):
            there = facets(self._store, run["run_id"])["facet"].to_pylist()
            self._facets = [*there, TOKEN_CLASS]
            self._facets_of = (run["run_id"], run["n_prompts"])
        names = self._facets if facet in ("", *self._facets) else [*self._facets, facet]
        options = {"Nothing": "", **{name: name for name in names}}
        self._measure.value = key
        self._facet.param.update(options=options, value=facet)
        taus = self._taus(run)
        if taus:
            self._tau.param.update(options=taus, value=self._tau_of(run))
        self._tau.visible = key == "frequency" and len(taus) > 1

    def _show_whole(
        self, run: Row, key: str, tau: float, whole: Answer, parts: Answer
    ) -> None:
        measure, rows = MEASURES[key], whole.table.to_pylist()
        if not rows:
            self._miss(run, key, missing_of(key))
            return
        self._legend.visible = self._strongest.visible = True
        tops = tops_of([*rows, *parts.table.to_pylist()], measure)
        self._head.tell(
            measure.title,
            self._said(run, key, tau, rows[0]),
            Extract(f"{run['run_id']}-{key}", whole.table, whole.sql),
        )
        self._legend.object = legend_of(measure, tops)
        shape = shape_of(run)
        self._left.width = self._map.width(**shape)
        self._map.show([GroupMap("", cells_of(rows, measure, tops))], **shape)
        self._strongest.fill([strongest(rows, measure)])

    def _said(self, run: Row, key: str, tau: float, row: Row) -> str:
        """What the map shows, and of how much."""
        told = MEASURES[key].told.format(tau=f"{tau:g}", cutoff=f"{run['cutoff']:g}")
        share = share_of(self._store, run["run_id"], measure=key, by="")
        sample = (
            f", an even sample of {100 * share:.0f} % of the run" if share < 1 else ""
        )
        return (
            f"The {told}. {size_said(row)}{sample}; a 95% interval over prompts in "
            "brackets. Click a cell to open it."
        )

    def _show_parts(
        self, run: Row, key: str, facet: str, whole: Answer, parts: Answer
    ) -> None:
        measure, rows = MEASURES[key], parts.table.to_pylist()
        split = bool(facet and rows)
        self._parts_head.visible = split
        groups: dict[str, list[Row]] = {}
        for row in rows if split else []:
            groups.setdefault(row["facet"], []).append(row)
        tops = tops_of([*rows, *whole.table.to_pylist()], measure)
        self._parts.show(
            [
                GroupMap(caption_of(facet, name, of[0]), cells_of(of, measure, tops))
                for name, of in groups.items()
            ],
            **shape_of(run),
        )
        if split:
            self._parts_head.tell(
                f"{measure.title} by {facet}",
                groups_said(facet, list(groups)),
                Extract(f"{run['run_id']}-{key}-by-{facet}", parts.table, parts.sql),
            )


def shape_of(run: Row) -> dict[str, int]:
    """The model's shape, as the maps take it."""
    return {"layers": int(run["n_layers"]), "heads": int(run["n_heads"])}


def missing_of(key: str) -> str:
    """Why there is no map."""
    return {"logit": NO_LOGITS, "difference": NO_DISTRACTORS}.get(key, NO_TARGETS)


def caption_of(facet: str, group: str, row: Row) -> str:
    """A group's name and size, as HTML."""
    name = escape(group_said(facet, group))
    return f"<b>{name}</b><span>{size_said(row)}</span>"


def groups_said(facet: str, groups: list[str]) -> str:
    """Which groups are shown."""
    if groups == [""]:
        return f"No prompt of this run says anything of “{facet}”."
    if len(groups) < MOST_GROUPS:
        return "The colours are those of the map of all targets."
    return (
        f"The {MOST_GROUPS} groups with the most prompts; others are not shown. The "
        "colours are those of the map of all targets."
    )
