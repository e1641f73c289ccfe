"""One session of the viewer: its Selection, its pages and the address bar.

The Selection is the only state. Pages stay mounted and are shown or hidden, which is
several times faster than building them anew.
"""

from html import escape
from threading import RLock
from typing import Any

import panel as pn
import panel_material_ui as pmu
from panel_material_ui.template.base import Page

from flowglass.store.errors import StoreError
from flowglass.store.store import Store

from .prediction import Row
from .prediction_page import PredictionPage
from .prompts_page import PromptsPage
from .runs_table import RunsTable
from .selection import Selection
from .theme import NOTE_STYLE, material_theme, stylesheet
from .trail import Trail
from .url_state import UrlState

NAME = "flowglass"
SHOWN_BY = ["run", "prompt", "search", "dataset", "category", "sort", "page"]
"""What of the Selection decides which page is shown, and the list on the first."""

HEAD_STYLE = {
    ".MuiAppBar-root": {
        "backgroundColor": "background.paper",
        "backgroundImage": "none",
        "color": "text.primary",
        "boxShadow": "none",
        "borderBottom": "1px solid",
        "borderColor": "divider",
    },
    ".MuiToolbar-root": {"minHeight": "52px !important"},
}


class App:
    """What one reader sees; `page` is what Panel serves."""

    def __init__(self, store: Store, *, path: str, query: str = "") -> None:
        self._store = store
        self._path = path
        self._lock = RLock()  # a session's events run in several threads
        self.selection = Selection()
        self.selection.load(query)
        self._url = UrlState(self.selection)
        self._trail = Trail(on_open=self._go_back)
        self._runs = RunsTable(self.selection)
        self._prompts = PromptsPage(store, self.selection)
        self._prediction = PredictionPage(store, self.selection)
        self._note = pn.pane.HTML(stylesheets=[NOTE_STYLE], margin=(16, 0))
        self._front = self._build_front()
        self.page = self._build_page()
        self.page.param.watch(self._toggle_theme, "dark_theme")
        self.selection.param.watch(self._apply_theme, "theme")
        self.selection.param.watch(self._update, SHOWN_BY)
        self._update()

    def _build_front(self) -> pn.Column:
        self._refresh = pmu.Button(
            label="Refresh",
            icon="refresh",
            variant="text",
            margin=0,
            on_click=self._update,
        )
        return pn.Column(
            pn.FlexBox(
                pmu.Typography("Runs", variant="h6", margin=0),
                self._refresh,
                justify_content="space-between",
                align_items="center",
                sizing_mode="stretch_width",
                margin=0,
            ),
            self._runs.root,
            self._note,
            self._prompts.root,
            sizing_mode="stretch_width",
            margin=(14, 24, 24, 24),
        )

    def _build_page(self) -> Page:
        page = Page(
            meta_title=NAME,
            header=[self._trail],
            main=[self._url, self._front, self._prediction.root],
            stylesheets=[stylesheet()],
            theme_config=material_theme(),
            dark_theme=self.selection.theme == "dark",
            busy_indicator=None,
            sx=HEAD_STYLE,
        )
        detach_busy(page)
        self._prediction.set_dark(page.dark_theme)
        return page

    def _toggle_theme(self, *_: object) -> None:
        self.selection.theme = "dark" if self.page.dark_theme else ""

    def _apply_theme(self, *_: object) -> None:
        self.page.dark_theme = self.selection.theme == "dark"
        self._prediction.set_dark(self.page.dark_theme)

    def _update(self, *_: object) -> None:
        """Show what the Selection says, with whatever was committed meanwhile."""
        with self._lock:
            try:
                self._show()
            except StoreError as error:  # its message is meant for the reader
                self._note.object = escape(str(error))
                self._note.visible = True
                self._prompts.root.visible = False
                self._turn_to(self._front, title=NAME)

    def _show(self) -> None:
        self._store.refresh()
        runs = self._store.runs().to_pylist()
        runs.sort(key=lambda run: run["started_at"], reverse=True)
        run = chosen_run(runs, self.selection.run)
        if run is not None and self.selection.prompt is not None:
            self._show_prediction(run, self.selection.prompt)
        else:
            self._show_front(runs, run)

    def _show_front(self, runs: list[Row], run: Row | None) -> None:
        self._runs.show(runs, run)
        self._note.object = note_of(runs, run, self.selection.run, self._path)
        self._note.visible = bool(self._note.object)
        self._prompts.root.visible = bool(run and run["n_prompts"])
        if run and run["n_prompts"]:
            self._prompts.show(run)
        self._trail.param.update(labels=[NAME], links=[""], note="")
        self._turn_to(self._front, title=NAME)

    def _show_prediction(self, run: Row, prompt_id: int) -> None:
        row = self._prediction.show(run, prompt_id) or {}
        groups = (row.get("dataset"), row.get("category"))
        here = f"prompt {prompt_id}"
        home = Selection(theme=self.selection.theme).query() or "?"
        front = self.selection.query(prompt=None, target=None) or "?"
        self._trail.param.update(
            labels=[NAME, run["run_id"], here],
            links=[home, front, ""],
            note=" · ".join(group for group in groups if group),
        )
        self._turn_to(self._prediction.root, title=f"{here} · {NAME}")

    def _turn_to(self, root: Any, *, title: str) -> None:
        for each in (self._front, self._prediction.root):
            each.visible = each is root
        self._url.title = title

    def _go_back(self, index: int) -> None:
        """The trail was clicked: home forgets everything, the run keeps its list."""
        if index == 0:
            self.selection.load(Selection(theme=self.selection.theme).query())
        else:
            self.selection.param.update(prompt=None, target=None)


def chosen_run(runs: list[Row], run_id: str) -> Row | None:
    """The run asked for; the newest with prompts if none was; None if there is none."""
    if run_id:
        return next((run for run in runs if run["run_id"] == run_id), None)
    return next((run for run in runs if run["n_prompts"]), runs[0] if runs else None)


def note_of(runs: list[Row], run: Row | None, wanted: str, path: str) -> str:
    """What to say where there is nothing to list; empty if there is."""
    if wanted and run is None:
        return f"This store has no run <code>{escape(wanted)}</code>. Choose one above."
    if run is not None and run["n_prompts"]:
        return ""
    what = "run" if runs else "store"
    sweep = f"flowglass sweep --model M --data D --store {path}"
    return (
        f"This {what} has no finished prompts yet. Fill it with "
        f"<code>{escape(sweep)}</code>, then refresh."
    )


def detach_busy(page: Page) -> None:
    """Stop a page from watching Panel's global `busy`.

    pmu's Page takes `busy` from the global state, which pins every session's page for
    ever and has each session's every event update all of them. A test holds this, as
    the shape of the watcher is private.
    """
    for watcher in list(pn.state.param.watchers.get("busy", {}).get("value", [])):
        wrapped = getattr(watcher.fn, "keywords", {})  # a partial while pn serves
        function = wrapped.get("function", watcher.fn)
        owner = getattr(getattr(function, "__self__", None), "self", None)
        if owner is page:
            pn.state.param.unwatch(watcher)
