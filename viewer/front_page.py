"""The front page: the runs of the store, what to do where there is nothing to show, and
of one run how often each component is in a route, and its prompts."""

import time
from collections.abc import Sequence
from shlex import quote
from typing import Any

import panel as pn

from flowglass.store.errors import StoreError

from .activation_map import ActivationMap
from .corpus_panel import CorpusPanel
from .downloads import Extract
from .prediction import Row
from .prompts_page import PromptsPage
from .pulse import Pulse
from .runs_table import RunsTable
from .section_head import SectionHead
from .selection import Selection
from .theme import NOTE_STYLE
from .trouble import as_html, told

LISTED = ("prompts", "targets", "tokens")
"""The tables that the summary and the list of prompts read."""

RUNS_SQL = "SELECT * FROM runs ORDER BY started_at DESC, run_id"


class FrontPage:
    """What the App shows of a store; `listed` is the run whose prompts are listed."""

    def __init__(
        self,
        pulse: Pulse,
        selection: Selection,
        path: str,
        *,
        above: Sequence[Any] = (),
    ) -> None:
        self._pulse = pulse
        self._selection = selection
        self._path = path
        self.listed = ""
        self.runs = RunsTable(selection)
        self.map = ActivationMap(pulse)
        self.corpus = CorpusPanel(pulse)
        self.prompts = PromptsPage(pulse, selection)
        self.note = pn.pane.HTML(stylesheets=[NOTE_STYLE], margin=(16, 0))
        self.head = SectionHead(
            "Runs",
            beside=True,
            actions=[["refresh", "Refresh", True]],
            acts={"refresh": pulse.ask},
            extract=self._extract,
            sql=RUNS_SQL,
            can_download=True,
        )
        self.root = pn.Column(
            *above,
            self.head,
            self.runs.root,
            self.note,
            self.corpus.root,
            self.map.root,
            self.prompts.root,
            sizing_mode="stretch_width",
            margin=(14, 24, 24, 24),
        )

    def show(self, runs: list[Row], run: Row | None, *, kept: str) -> None:
        """List the runs, and what there is of one; the list of `kept` goes on."""
        listed = run if run and run["n_prompts"] else None
        self.listed = listed["run_id"] if listed else ""
        pulse = self._pulse
        self.runs.show(runs, run, pulse.runs, pulse.closures, now=time.time())
        self._say(note_of(runs, run, self._selection.run, self._path))
        self.head.note = as_html(self._pulse.trouble)
        self.map.turn_to(listed)
        self.prompts.root.visible = listed is not None
        if listed is None:
            self.corpus.turn_to(None, None)
            return
        try:
            self.corpus.turn_to(listed, self._pulse.runs.get(self.listed))
            if self.listed == kept:
                self.prompts.follow(listed)
            else:
                self.prompts.show(listed)
        except StoreError as error:
            store = self._pulse.store
            self.fail(told(store, error, self.listed, tables=LISTED))

    def fail(self, message: str) -> None:
        """Show why nothing of a run can be shown."""
        self._say(as_html(f"This run cannot be read: {message}."))
        self.corpus.turn_to(None, None)
        self.map.turn_to(None)
        self.prompts.root.visible = False
        self.listed = ""

    def _extract(self) -> Extract:
        newest_first = [("started_at", "descending"), ("run_id", "ascending")]
        table = self._pulse.store.runs().sort_by(newest_first)
        return Extract("runs", table, RUNS_SQL)

    def _say(self, html: str) -> None:
        self.note.object = html
        self.note.visible = bool(html)


def note_of(runs: list[Row], run: Row | None, wanted: str, path: str) -> str:
    """What to say where there is nothing to list; empty if there is."""
    if runs and run is None:
        return as_html(f"This store has no run `{wanted}`. Choose one above.")
    if run is None:
        sweep = f"flowglass sweep --model M --data D --store {quote(path)}"
        return as_html(
            f"This store is empty. Fill it with `{sweep}`: prompts are shown as they "
            "come."
        )
    if run["n_prompts"]:
        return ""
    if run["status"] == "complete":
        ask = f'flowglass sql {quote(path)} "SELECT prompt_id, reason FROM quarantine"'
        return as_html(f"All prompts of this run were set aside: `{ask}` says why.")
    return as_html(
        "This run has no finished prompts yet: they are shown as they come. If no "
        "sweep is at work on it, the same `flowglass sweep` again goes on with it."
    )
