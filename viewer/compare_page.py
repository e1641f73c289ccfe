"""Two cohorts of targets, component by component: which heads and FFNs do more in one.

A condition of the reader's own runs in a sandbox; one that the page offers does not
need that, and is answered sooner.
"""

from threading import RLock
from typing import Any

import panel as pn
import pyarrow as pa
from param.parameterized import Event

from flowglass.store import queries
from flowglass.store.cohorts import Cohort
from flowglass.store.compare import About, about, compare
from flowglass.store.compare_query import means_query
from flowglass.store.errors import StoreError
from flowglass.store.rollup import TAUS

from . import compare_words as words
from .compare_form import CompareForm
from .component_map import SCALE_STYLE, Key, page_of, palette_of
from .component_maps import ComponentMaps, GroupMap
from .convergence_panel import ConvergencePanel
from .downloads import Extract
from .prediction import Row
from .section_head import SectionHead
from .sheet import Sheet
from .theme import LIGHT
from .views import Desk
from .volcano import Volcano, is_drawn

FOLLOWED = ["a", "b", "other", "measure", "tau"]
ROOM = (620, 230)
WIDEST = 1232
"""Of what is found, in pixels: a line of the table is read as one."""
SECONDS = 20.0
"""For a reader's condition."""

TITLE = "Compare"
INTRODUCTION = (
    "Choose two cohorts of targets, or the same targets of two runs. A condition is "
    "SQL over what is known of a target, its prompt and its token: `docs/sql.md` lists "
    "the columns of `cohort_targets`. Such as `dataset = 'ioi' AND correct`, "
    "`token = ' the'`, `metadata ->> '$.relation' = 'capital'`."
)
LEGEND_STYLE = f"""
  :host {{ color: var(--fg-muted); font-size: 13px; line-height: 1.6 }}
  .key:first-child {{ margin-left: 0 }}
  {SCALE_STYLE}
"""


class ComparePage:
    """The form, and what was found; follows the Selection while it is shown."""

    def __init__(self, desk: Desk) -> None:
        self._store = desk.store
        self._selection = desk.selection
        self._loading = desk.loading
        self._run: Row | None = None
        self._shown: tuple[object, ...] = ()
        self._offered: frozenset[str] = frozenset()
        self._rows: list[Row] = []
        self._palette = LIGHT
        self._lock = RLock()  # a session's events run in several threads
        self._form = CompareForm(
            self._ask, sizing_mode="stretch_width", margin=(0, 0, 20, 0)
        )
        self._head = SectionHead(TITLE)
        self._notes = Sheet(lambda _: None, sizing_mode="stretch_width", margin=0)
        self._legend = pn.pane.HTML(stylesheets=[LEGEND_STYLE], margin=(10, 0, 8, 0))
        self._map = ComponentMaps("compare", room=ROOM, on_open=self._open)
        self._volcano = Volcano("volcano")
        self._ranked = Sheet(
            lambda changes: self._selection.go(**changes),
            label="Differences",
            sizing_mode="stretch_width",
            margin=(18, 0, 0, 0),
        )
        self._map_box = pn.Column(self._map.root, sizing_mode="fixed", margin=0)
        self._stable = ConvergencePanel(desk)
        self._result = pn.Column(
            self._head,
            self._notes,
            self._legend,
            pn.FlexBox(
                self._map_box,
                pn.Column(self._volcano.pane, margin=0),
                gap="14px 36px",
                align_items="flex-start",
                sizing_mode="stretch_width",
                margin=0,
            ),
            self._ranked,
            self._stable.root,
            sizing_mode="stretch_width",
            max_width=WIDEST,
            margin=0,
        )
        self.root = pn.Column(
            self._form,
            self._result,
            sizing_mode="stretch_width",
            margin=(18, 24, 24, 24),
        )
        self._selection.param.watch(self._follow, FOLLOWED)

    def show(self, run: Row) -> None:
        """Compare what the Selection names, unless that is shown already."""
        with self._lock:
            self._run = run
            asked = self._asked()
            self._fill_form(run, asked)
            self._stable.show(run)
            wanted = (run["run_id"], run["n_prompts"], *asked.values())
            if wanted == self._shown:
                return
            with self._loading.shown():
                self._fill(run, asked)
            self._shown = wanted

    def set_dark(self, dark: bool) -> None:
        """Repaint in the other colours what is no CSS."""
        self._palette = palette_of(dark)
        self._map.set_colours(self._palette)
        self._draw_volcano()
        self._stable.set_dark(dark)

    def name(self) -> str:
        """The page has one thing to show."""
        return ""

    def _follow(self, *_: Event) -> None:
        if self.root.visible and self._run is not None:
            self.show(self._run)

    def _ask(self, asked: dict[str, Any]) -> None:
        """The form was sent. Equal fields change nothing, so what failed is tried again
        here."""
        defaults = {"measure": next(iter(words.MEASURES))}
        changes = {key: asked.get(key) for key in FOLLOWED}
        changes |= {k: "" for k, default in defaults.items() if changes[k] == default}
        self._selection.param.update(**changes)
        self._follow()

    def _open(self, key: Key) -> None:
        """A cell was clicked."""
        self._selection.go(**page_of(key))

    def _asked(self) -> dict[str, Any]:
        """What the Selection asks for; a measure that is none here is the first."""
        chosen = self._selection
        known = chosen.measure in words.MEASURES
        return {
            "a": chosen.a,
            "b": chosen.b,
            "other": chosen.other,
            "measure": chosen.measure if known else next(iter(words.MEASURES)),
            "tau": chosen.tau,
        }

    def _fill_form(self, run: Row, asked: dict[str, Any]) -> None:
        groups = queries.prompt_groups(self._store, run["run_id"]).to_pylist()
        offered = words.conditions(groups)
        self._offered = frozenset(where for where, _ in offered)
        shape = ("n_layers", "n_heads")
        runs = [
            each["run_id"]
            for each in self._store.runs().to_pylist()
            if each["run_id"] != run["run_id"]
            and each["n_prompts"]
            and all(each[key] == run[key] for key in shape)
        ]
        self._form.param.update(
            values=asked,
            conditions=offered,
            runs=runs,
            measures=list(words.MEASURES.items()),
            taus=[tau for tau in TAUS.values() if tau >= run["cutoff"]],
        )

    def _fill(self, run: Row, asked: dict[str, Any]) -> None:
        a, b = asked["a"], asked["b"]
        if not asked["other"]:
            a, b = a or words.rest(b), b or words.rest(a)
        other = asked["other"] or run["run_id"]
        cohorts = Cohort(run["run_id"], a), Cohort(other, b)
        if cohorts[0] == cohorts[1]:
            self._show_nothing(INTRODUCTION)
            return
        try:
            found = self._compared(*cohorts, asked)
        except StoreError as error:
            self._show_nothing(str(error))
            return
        self._show_found(found, about(found))

    def _compared(self, a: Cohort, b: Cohort, asked: dict[str, Any]) -> pa.Table:
        how = {"measure": asked["measure"], "tau": asked["tau"]}
        if {asked["a"], asked["b"]} <= self._offered | {""}:
            return compare(self._store, a, b, **how)
        with self._store.sandbox(seconds=SECONDS) as sandbox:
            return compare(self._store, a, b, **how, sandbox=sandbox)

    def _show_nothing(self, why: str) -> None:
        self._rows = []
        self._head.miss(TITLE, why)
        for each in (self._notes, self._ranked):
            each.fill([])
        self._legend.object = ""
        self._map.show([], layers=0, heads=0)
        self._draw_volcano()

    def _show_found(self, found: pa.Table, of: About) -> None:
        rows = self._rows = found.to_pylist()
        extract = Extract(f"{of.a.run_id}-compare", found, means_query(of))
        self._head.tell(
            f"{words.MEASURES[of.measure]}: {words.DIFFERENCE}",
            words.sentence(rows, of),
            extract,
        )
        self._notes.fill(words.notes(rows, of))
        self._legend.object = words.legend(rows)
        run = self._run or {}
        shape = {"layers": int(run["n_layers"]), "heads": int(run["n_heads"])}
        self._map_box.width = self._map.width(**shape)
        self._map.show([GroupMap("", words.cells_of(rows))], **shape)
        self._draw_volcano()
        self._ranked.fill([words.ranked(rows, measure=of.measure)])

    def _draw_volcano(self) -> None:
        # A pane of Bokeh hands its `visible` on to the figure: that is done there too.
        pn.state.execute(self._put_volcano)

    def _put_volcano(self) -> None:
        drawn = [row for row in self._rows if is_drawn(row)]
        self._volcano.show(drawn, self._palette)
