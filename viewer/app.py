"""One session of the viewer: its Selection, its pages and the address bar.

The Selection is the only state. About every second the session asks the pulse for what
is new in the store; the front page then shows it. A prediction stays as it is, for
nothing of it can change, but one that was not there yet may come.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from threading import RLock
from typing import Any

import panel as pn

from flowglass.store.errors import StoreError

from .frame import NAME, frame
from .front_page import FrontPage
from .live import Live
from .live_panel import LivePanel
from .loading import LoadingBar
from .mounting import Mounted, name_page
from .nav import Nav
from .prediction import Row
from .prediction_page import PredictionPage
from .pulse import Pulse
from .report import Report, Shown
from .selection import OF_A_PROMPT, OF_A_VIEW, Selection
from .trail import Trail
from .url_state import UrlState
from .views import VIEWS, Desk, View, build

TICK_MS = 1000
"""How often a session asks for what is new, which costs nothing if nothing is."""

SHOWN_BY = ["run", "view", "prompt", "search", "dataset", "category", "sort", "page"]
"""What of the Selection decides which page is shown, and the list on the first."""

NAMED_BY = ["layer", "head", "neuron", "expert", "token"]
"""What of it a page about the run may be named after."""

REPORT_STYLE = {"margin-left": "auto", "align-self": "center"}


class App:
    """What one reader sees; `page` is what Panel serves."""

    def __init__(
        self, pulse: Pulse, *, path: str, query: str = "", live: Live | None = None
    ) -> None:
        self._pulse = pulse
        self._store = pulse.store
        self._live_runs = live.stores if live else None
        self._document = pn.state.curdoc
        self._lock = RLock()  # a session's events run in several threads
        self._seen = pulse.n_changes
        self._following = False
        self._run: Row | None = None
        self.selection = Selection()
        self.selection.load(query)
        self._url = UrlState(self.selection)
        self._trail = Trail(on_open=self._go_back, styles={"align-self": "center"})
        self._report = Report(self._on_screen, styles=REPORT_STYLE)
        self._loading = LoadingBar()
        self._desk = Desk(self._store, self.selection, pulse, path, self._loading)
        self._views: dict[str, View] = {}
        self._nav = Nav(on_open=self._go_to, sizing_mode="stretch_width", margin=0)
        self._live = (
            LivePanel(live, self.selection, notify=self._hear_live) if live else None
        )
        form = [self._live.root] if self._live else []
        self._front = FrontPage(pulse, self.selection, path, above=form)
        self._prediction = PredictionPage(self._store, self.selection, self._loading)
        name_page(self._front.root, "front")
        name_page(self._prediction.root, "prompt")
        self._front.root.visible = self._prediction.root.visible = False
        self._pages = Mounted()
        self.page = frame(
            header=[self._trail, self._report],
            main=[
                self._url,
                self._loading.root,
                self._nav,
                *([self._live.line] if self._live else []),
                self._pages.root,
            ],
            dark=self.selection.theme == "dark",
        )
        self._paint(self.page.dark_theme)
        self.page.param.watch(self._toggle_theme, "dark_theme")
        self.selection.param.watch(self._apply_theme, "theme")
        self.selection.param.watch(self._update, SHOWN_BY)
        self.selection.param.watch(self._rename, NAMED_BY)
        self._update()
        self._pulse.ask()
        document = self._document
        if document is not None and document.session_context is not None:
            # Bokeh's own: it holds the document while it runs, so figures may change.
            document.add_periodic_callback(self._tick_if_loaded, TICK_MS)

    def _on_screen(self) -> Shown:
        """The page that is shown, to be saved."""
        root = self._pages.shown
        title = self._url.title.removesuffix(f" · {NAME}")
        dark = bool(self.page.dark_theme)
        return Shown(str(root.name), root, title, self._run, dark)

    def _toggle_theme(self, *_: object) -> None:
        self.selection.theme = "dark" if self.page.dark_theme else ""

    def _apply_theme(self, *_: object) -> None:
        self.page.dark_theme = self.selection.theme == "dark"
        self._paint(self.page.dark_theme)

    def _paint(self, dark: bool) -> None:
        """Tell what is no CSS: the canvases."""
        self._prediction.set_dark(dark)
        self._front.map.set_dark(dark)
        for view in self._views.values():
            view.set_dark(dark)

    def _tick_if_loaded(self) -> None:
        # What changes between the page and its websocket is lost.
        if pn.state.loaded:
            self._tick()

    def _tick(self) -> None:
        """Show what is new since the last tick; runs on the server's event loop, so it
        waits for nothing, not for another event of this session either."""
        changes = self._pulse.beat()
        shown = self._front.root.visible or self._prediction.is_missing
        if not shown or self._following:
            return
        if self._seen != changes:
            self._following = True
            in_background(self._follow)
        elif self._lock.acquire(blocking=False):
            try:
                self._front.runs.tick(self._pulse.runs, now=time.time())
            finally:
                self._lock.release()
        self._front.map.tick()

    def _hear_live(self) -> None:
        """The request of this session goes on; comes in the worker's thread."""
        if self._document is not None and self._document.session_context is not None:
            self._document.add_next_tick_callback(self._tick_live)

    def _tick_live(self) -> None:
        if self._live is not None and (run_id := self._live.tick()):
            live = self._live
            in_background(lambda: live.open(run_id))

    def _follow(self) -> None:
        """The store has changed: the front page shows that, where it is."""
        try:
            with self._lock:
                if self._front.root.visible or self._prediction.is_missing:
                    self._update(following=True)
        finally:
            self._following = False

    def _update(self, *_: object, following: bool = False) -> None:
        """Show what the Selection says; `following`: which is what it said before."""
        with nullcontext() if following else self._loading.shown(), self._lock:
            try:
                self._show(following)
            except StoreError as error:  # its message is meant for the reader
                self._front.fail(str(error))
                self._turn_to(self._front.root, title=NAME)

    def _show(self, following: bool) -> None:
        self._seen = self._pulse.n_changes
        there = self._pulse.runs
        runs = [run for run in self._store.runs().to_pylist() if run["run_id"] in there]
        for run in runs:
            run["is_live"] = self._is_live(run["run_id"])
        runs.sort(key=lambda run: run["started_at"], reverse=True)
        # A run that began meanwhile does not take the place of the one that is read.
        kept = self._front.listed if following else ""
        run = self._run = chosen_run(runs, self.selection.run or kept)
        if self._live is not None:
            self._live.turn_to(run["run_id"] if run else "")
        self._show_nav(run)
        if run is not None and run["n_prompts"] and self.selection.view in VIEWS:
            self._show_view(run, self.selection.view)
        elif run is not None and self.selection.prompt is not None:
            self._show_prediction(run, self.selection.prompt)
        else:
            self._show_front(runs, run, kept)

    def _is_live(self, run_id: str) -> bool:
        return self._live_runs is not None and self._live_runs.is_live(run_id)

    def _show_front(self, runs: list[Row], run: Row | None, kept: str) -> None:
        """The front page; the list of the run `kept` goes on where it is."""
        self._front.show(runs, run, kept=kept)
        self._trail.param.update(labels=[NAME], links=[""], note="")
        self._turn_to(self._front.root, title=NAME)

    def _show_nav(self, run: Row | None) -> None:
        """The pages there are; without prompts to tell of, one: so nothing moves when
        the first come."""
        listed = {"": "Prompts"}
        if run and run["n_prompts"]:
            listed |= {key: kind.title for key, kind in VIEWS.items() if kind.is_listed}
        self._nav.param.update(
            keys=list(listed),
            labels=list(listed.values()),
            links=[self.selection.link(view=key) or "?" for key in listed],
            open=self.selection.view,
        )

    def _show_view(self, run: Row, key: str) -> None:
        """A page about the run; what it shows of it is its own."""
        if key not in self._views:
            view = self._views[key] = build(VIEWS[key], self._desk)
            view.set_dark(self.page.dark_theme)
            name_page(view.root, key)
        view = self._views[key]
        self._turn_to(view.root, title=f"{VIEWS[key].title} · {NAME}")
        view.show(run)
        self._name_view(run, key)

    def _rename(self, *_: object) -> None:
        """A page about the run shows another head, neuron or token."""
        key, run = self.selection.view, self._run
        if run is not None and key in self._views and self._views[key].root.visible:
            self._views[key].show(run)  # unless it has heard of the change before us
            self._name_view(run, key)

    def _name_view(self, run: Row, key: str) -> None:
        """Say in the trail and on the tab what the page is about."""
        here = self._views[key].name()
        home = Selection(theme=self.selection.theme).query() or "?"
        front = self.selection.query(prompt=None, **OF_A_PROMPT, **OF_A_VIEW) or "?"
        self._trail.param.update(
            labels=[NAME, run["run_id"], VIEWS[key].title, *([here] if here else [])],
            links=[home, front, "", *([""] if here else [])],
            note="",
        )
        self._url.title = f"{here or VIEWS[key].title} · {NAME}"

    def _show_prediction(self, run: Row, prompt_id: int) -> None:
        row = self._prediction.show(run, prompt_id) or {}
        groups = (row.get("dataset"), row.get("category"))
        here = f"prompt {prompt_id}"
        home = Selection(theme=self.selection.theme).query() or "?"
        front = self.selection.query(prompt=None, **OF_A_PROMPT) or "?"
        self._trail.param.update(
            labels=[NAME, run["run_id"], here],
            links=[home, front, ""],
            note=" · ".join(group for group in groups if group),
        )
        self._turn_to(self._prediction.root, title=f"{here} · {NAME}")

    def _turn_to(self, root: Any, *, title: str) -> None:
        self._pages.turn_to(root)
        self._url.title = title

    def _go_back(self, index: int) -> None:
        """The trail was clicked: home forgets everything, the run keeps its list."""
        if index == 0:
            self.selection.load(Selection(theme=self.selection.theme).query())
        else:
            self.selection.param.update(prompt=None, **OF_A_PROMPT, **OF_A_VIEW)

    def _go_to(self, key: str) -> None:
        """A page was chosen: of the run that is open, from its beginning."""
        self.selection.go(view=key)


def chosen_run(runs: list[Row], run_id: str) -> Row | None:
    """The run asked for; the newest with prompts if none was; None if there is none.

    What another reader has typed comes only after all that is stored.
    """
    if run_id:
        return next((run for run in runs if run["run_id"] == run_id), None)
    full = [run for run in runs if run["n_prompts"]]
    stored = [run for run in full if not run.get("is_live")]
    return next(iter(stored or full or runs), None)


def in_background(job: Callable[[], None]) -> None:
    """Run a job of this session in a thread of Panel's, where it has any."""
    if pn.config.nthreads is None:
        job()
    else:
        pn.state.execute(job, schedule="thread")
