"""One session of the viewer: its Selection, its pages and the address bar.

The Selection is the only state. Pages stay mounted and are shown or hidden, which is
several times faster than building them anew.
"""

from collections.abc import Callable
from html import escape
from threading import RLock
from typing import Any

import panel as pn
import panel_material_ui as pmu
from flowglass.store.store import Store

from .prediction import Row
from .prediction_page import PredictionPage
from .prompts_page import PromptsPage
from .runs_table import FRESH, RunsTable
from .selection import Selection
from .theme import material_theme, stylesheet
from .trail import Trail
from .url_state import UrlState

NAME = "flowglass"
LISTED = ["search", "dataset", "category", "sort", "page"]
"""What of the Selection the list of prompts depends on."""
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
NOTE_STYLE = """
  :host { color: var(--fg-muted); font-size: 14px; line-height: 1.6 }
  code { font: 0.95em var(--fg-monospace); color: var(--fg-text);
    background: var(--fg-raised); border-radius: 4px; padding: 2px 6px }
"""


class App:
    """What one reader sees; `page` is what Panel serves."""

    def __init__(self, store: Store, query: str = "") -> None:
        self._store = store
        self._lock = RLock()  # a session's events run in several threads
        self._way: list[Callable[[], None]] = []
        self.selection = Selection()
        self.selection.load(query)
        self._url = UrlState(self.selection)
        self._trail = Trail(on_open=lambda index: self._way[index]())
        self._runs = RunsTable(self.selection)
        self._prompts = PromptsPage(store, self.selection)
        self._prediction = PredictionPage(store, self.selection)
        self._note = pn.pane.HTML(
            stylesheets=[NOTE_STYLE], margin=(18, 0), visible=False
        )
        refresh = pmu.Button(
            label="Refresh", icon="refresh", variant="text", margin=0,
            on_click=lambda _: self._update(),
        )
        self._front = pn.Column(
            pn.FlexBox(
                pmu.Typography("Runs", variant="h6", margin=0),
                refresh,
                justify_content="space-between",
                align_items="center",
                sizing_mode="stretch_width",
                margin=0,
            ),
            self._runs.root,
            self._note,
            pmu.Typography("Prompts", variant="h6", margin=(22, 0, 8, 0)),
            self._prompts.root,
            sizing_mode="stretch_width",
            margin=(14, 24, 24, 24),
        )
        self.page = self._build_page()
        self.page.param.watch(self._toggle_theme, "dark_theme")
        self.selection.param.watch(self._update, [*LISTED, "run", "prompt"])
        self.selection.param.watch(self._apply_theme, "theme")
        self._update()

    def _build_page(self) -> Any:
        page = pmu.Page(
            title="",
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
        dark = self.selection.theme == "dark"
        self.page.dark_theme = dark
        self._prediction.set_dark(dark)

    def _update(self, *_: object) -> None:
        """Show what the Selection says; the store's new commits too."""
        with self._lock:
            self._store.refresh()
            runs = newest_first(self._store.runs().to_pylist())
            run = chosen_run(runs, self.selection.run)
            on_prediction = self.selection.prompt is not None and run is not None
            if on_prediction:
                self._show_prediction(run)
            else:
                self._show_front(runs, run)
            self._prediction.root.visible = on_prediction
            self._front.visible = not on_prediction

    def _show_front(self, runs: list[Row], run: Row | None) -> None:
        self._runs.show(runs, run)
        self._note.object = front_note(self.selection.run, run, self._store)
        self._note.visible = bool(self._note.object)
        if run is not None:
            self._prompts.show(run)
        self._lead([NAME], [""])

    def _show_prediction(self, run: Row) -> None:
        prompt_id = self.selection.prompt
        row = self._prediction.show(run, prompt_id)
        groups = [row["dataset"], row["category"]] if row else []
        note = " · ".join(str(group) for group in groups if group)
        labels = [NAME, run["run_id"], f"prompt {prompt_id}"]
        front = self.selection.query(run=run["run_id"], prompt=None, target=None)
        self._lead(labels, ["?", front or "?", ""], note)
