"""Routes in aggregate: the routes of a run, a dataset or a category as one graph."""

from threading import RLock
from typing import Any

import panel as pn
import panel_material_ui as pmu
from param.parameterized import Event

from flowglass.store import queries
from flowglass.store.aggregate_routes import AggregateRoutes, aggregate_routes
from flowglass.store.errors import StoreError
from flowglass.store.rollup import TAUS
from flowglass.store.route_sample import route_sample

from .downloads import Extract
from .places import place_of
from .prediction import Row
from .role_graph import RoleGraph, graph_values
from .roles_panel import role_sections
from .section_head import SectionHead
from .sheet import Sheet
from .trouble import told
from .views import Desk

VIEW = "routes"
TITLE = "Routes in aggregate"
DRAWN = {
    "threshold": "least",
    "strongest": "strongest",
    "layers": "layers",
    "positions": "positions",
}
"""What of the Selection is the graph's alone, by the graph's own name for it."""

FOLLOWED = ["tau", "selected", *DRAWN.values()]
LEFT = {"flex": "1 1 640px", "min-width": "0"}
RIGHT = {"flex": "1 1 412px", "min-width": "0", "max-width": "640px"}
NO_TARGETS = "No prompt of this choice has a target yet."


class RoutesPage:
    """Choices, the graph, and beside it what is chosen there."""

    def __init__(self, desk: Desk) -> None:
        self._store = desk.store
        self._selection = desk.selection
        self._run: Row | None = None
        self._shown: AggregateRoutes | None = None
        self._shown_for: object = None
        self._n_datasets = 0
        self._lock = RLock()  # a session's events run in several threads
        self._head = SectionHead(TITLE)
        self._graph = RoleGraph(sizing_mode="stretch_width", lowest=0.0, margin=0)
        self._sheet = Sheet(
            self._choose,
            label="What is chosen",
            sizing_mode="stretch_width",
            margin=0,
        )
        self._body = pn.FlexBox(
            pn.Column(self._graph, styles=LEFT, margin=0),
            pn.Column(self._sheet, styles=RIGHT, margin=0),
            flex_wrap="wrap",
            gap="28px",
            align_items="flex-start",
            sizing_mode="stretch_width",
            margin=(8, 0, 0, 0),
        )
        self.root = pn.Column(
            self._controls(),
            self._head,
            self._body,
            sizing_mode="stretch_width",
            margin=(18, 24, 24, 24),
        )
        self._graph.param.watch(self._redrawn, [*DRAWN, "selected"])
        self._selection.param.watch(self._follow, FOLLOWED)

    def _controls(self) -> pn.FlexBox:
        self._dataset = pmu.Select(label="Dataset", size="small", width=200, margin=0)
        self._category = pmu.Select(label="Category", size="small", width=240, margin=0)
        self._tau = pmu.DiscreteSlider(
            label="Threshold tau", options=list(TAUS.values()), width=190, margin=0
        )
        self._dataset.param.watch(self._chose_dataset, "value")
        self._category.param.watch(self._chose_category, "value")
        self._tau.param.watch(self._chose_tau, "value")
        return pn.FlexBox(
            self._dataset,
            self._category,
            self._tau,
            align_items="center",
            gap="18px",
            margin=(0, 0, 16, 0),
            sizing_mode="stretch_width",
        )

    def show(self, run: Row) -> None:
        """Show a run's routes as the Selection asks."""
        with self._lock:
            self._run = run
            self._fill_controls(run)
            self._fill(run)

    def set_dark(self, dark: bool) -> None:
        """Repaint the graph in the other colours."""
        self._graph.dark = dark

    def name(self) -> str:
        """Nothing on the page has a page's name of its own."""
        return ""

    def _chose_dataset(self, event: Event) -> None:
        if event.new != self._selection.dataset:
            self._selection.param.update(dataset=event.new, category="", selected="")

    def _chose_category(self, event: Event) -> None:
        if event.new != self._selection.category:
            self._selection.param.update(category=event.new, selected="")

    def _chose_tau(self, event: Event) -> None:
        if self._run is not None and event.new != self._tau_of(self._run):
            self._selection.tau = event.new

    def _redrawn(self, *events: Event) -> None:
        """The reader changed in the graph what of it is drawn or chosen."""
        changed = {DRAWN.get(event.name, event.name): event.new for event in events}
        self._selection.param.update(**changed)

    def _choose(self, changes: dict[str, Any]) -> None:
        """A row was clicked: a place in this graph, a prompt, or a head's page."""
        there = {
            key: value for key, value in changes.items() if value not in ("", None)
        }
        if "prompt" in there or "view" in there:
            self._selection.go(**there)
        else:
            self._selection.selected = changes["selected"]

    def _follow(self, *events: Event) -> None:
        with self._lock:
            # Who turns to a prompt changes `selected` too.
            here = self._selection.view == VIEW and self.root.visible
            if not here or self._run is None:
                return
            names = {event.name for event in events}
            if "tau" in names:
                self._fill_controls(self._run)
                self._fill(self._run)
            else:
                self._draw()
                if "selected" in names:
                    self._inspect()

    def _fill_controls(self, run: Row) -> None:
        groups = queries.prompt_groups(self._store, run["run_id"]).to_pylist()
        chosen = self._selection.dataset
        names = {row["dataset"] for row in groups}
        self._n_datasets = len(names)
        self._dataset.param.update(options=options_of(names | {chosen}), value=chosen)
        names = {row["category"] for row in groups if chosen in ("", row["dataset"])}
        category = self._selection.category
        self._category.param.update(
            options=options_of(names | {category}), value=category
        )
        taus = taus_of(run)
        if taus:
            self._tau.param.update(options=taus, value=self._tau_of(run))
        self._tau.visible = len(taus) > 1

    def _tau_of(self, run: Row) -> float:
        """The threshold asked for, or the lowest that the run knows routes at."""
        allowed = taus_of(run)
        wanted = float(self._selection.tau)
        return wanted if wanted in allowed or not allowed else allowed[0]

    def _fill(self, run: Row) -> None:
        """Read the routes, unless they are shown already."""
        selection, run_id, tau = self._selection, run["run_id"], self._tau_of(run)
        dataset, category = selection.dataset or None, selection.category or None
        wanted = (run_id, run["n_prompts"], tau, dataset, category)
        if self._shown_for != wanted:
            try:
                sample = route_sample(
                    self._store, run_id, dataset=dataset, category=category
                )
                graph = aggregate_routes(self._store, sample, tau=tau)
            except StoreError as error:
                self._miss(told(self._store, error, run_id))
                return
            if not graph.n_targets:
                self._miss(NO_TARGETS)
                return
            self._shown, self._shown_for = graph, wanted
            self._show_graph(run, graph)
        self._draw()
        self._inspect()
        self._body.visible = True

    def _miss(self, why: str) -> None:
        self._shown = self._shown_for = None
        self._body.visible = False
        self._head.miss(TITLE, why)

    def _show_graph(self, run: Row, graph: AggregateRoutes) -> None:
        name = "-".join(
            part
            for part in (run["run_id"], graph.sample.dataset, graph.sample.category)
            if part
        )
        self._head.tell(
            TITLE,
            note_of(graph, self._n_datasets),
            Extract(f"{name}-routes", graph.edges, graph.sql),
        )
        self._graph.param.update(
            **graph_values(graph),
            n_layers=int(run["n_layers"]),
            parallel=run["block_kind"] == "parallel",
            file_name=f"{name}-routes",
        )

    def _draw(self) -> None:
        """What of the graph is drawn, and what is chosen in it."""
        selection = self._selection
        drawn = {name: getattr(selection, of) for name, of in DRAWN.items()}
        self._graph.param.update(**drawn, selected=selection.selected)

    def _inspect(self) -> None:
        graph, run = self._shown, self._run
        if graph is None or run is None:
            return
        place = place_of(self._selection.selected)
        parallel = run["block_kind"] == "parallel"
        self._sheet.fill(role_sections(self._store, graph, place, parallel=parallel))


def options_of(names: set[str | None]) -> dict[str, str]:
    """The choices of a filter; nothing chosen is all of them."""
    return {"All": "", **{name: name for name in sorted(n for n in names if n)}}


def taus_of(run: Row) -> list[float]:
    """The thresholds at which all of a run's routes are known."""
    return [tau for tau in TAUS.values() if tau >= float(run["cutoff"])]


def note_of(graph: AggregateRoutes, n_datasets: int) -> str:
    """What the graph shows, and of how much."""
    sample = graph.sample
    told = (
        f"The routes at threshold {graph.tau:g} of {graph.n_targets:,} "
        f"{'target' if graph.n_targets == 1 else 'targets'} in {graph.n_prompts:,} "
        f"{'prompt' if graph.n_prompts == 1 else 'prompts'}"
    )
    if not sample.is_whole:
        told += (
            f", of the {sample.n_cohort:,} that there are: whole shards from all over "
            "the run"
        )
    by = ALIGNED[aligned(graph, n_datasets)]
    return f"{told}. {by} Widths are mean contributions."


ALIGNED = {
    "slots": "Positions line up by the template's slots, in braces; else by where they "
    "are: before the target, first, at a sentence's end.",
    "places": "Positions line up by where they are: before the target, first, at a "
    "sentence's end.",
    "datasets": "Positions line up by where they are, for the prompts are of several "
    "datasets: choose one to line them up by its template's slots, if it names any.",
}


def aligned(graph: AggregateRoutes, n_datasets: int) -> str:
    """By what the positions are lined up, in a run of so many datasets."""
    if any(role.startswith("{") for role in graph.roles["role"].to_pylist()):
        return "slots"
    return "datasets" if n_datasets > 1 and not graph.sample.dataset else "places"
