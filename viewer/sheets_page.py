"""What the pages of one head, one neuron and one token have in common: sheets and plots
that are filled anew when what they are about changes, and not otherwise."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from threading import RLock
from typing import Any

import panel as pn
from param.parameterized import Event

from flowglass.store.errors import StoreError

from .component_map import palette_of
from .examples import given
from .kept_plot import KeptPlot
from .prediction import Row
from .sections import Note, Title
from .sheet import Sheet
from .theme import LIGHT
from .trouble import told
from .views import Desk

WIDTH = 590
"""Of a plot, in pixels."""
LEFT = {"flex": "1 1 600px", "min-width": "0", "max-width": "760px"}
RIGHT = {"flex": "1 1 420px", "min-width": "0", "max-width": "760px"}


class SheetsPage(ABC):
    """Two columns below a title; a subclass fills them."""

    followed: Sequence[str]
    """What of the Selection says what the page is about."""

    def __init__(self, desk: Desk) -> None:
        self._store = desk.store
        self._selection = desk.selection
        self._loading = desk.loading
        self._run: Row | None = None
        self._shown: tuple[object, ...] = ()
        self._plots: dict[str, KeptPlot] = {}
        self._drawn: dict[str, Sequence[Row]] = {}
        self._palette = LIGHT
        self._lock = RLock()  # a session's events run in several threads
        self._top = self.sheet()
        left, right = self.columns()
        self._body = pn.FlexBox(
            pn.Column(*left, styles=LEFT, margin=0),
            pn.Column(*right, styles=RIGHT, margin=0),
            gap="22px 40px",
            align_items="flex-start",
            sizing_mode="stretch_width",
            margin=0,
        )
        self.root = pn.Column(
            self._top, self._body, sizing_mode="stretch_width", margin=(18, 24, 24, 24)
        )
        self._selection.param.watch(self._follow, list(self.followed))

    @abstractmethod
    def columns(self) -> tuple[list[Any], list[Any]]:
        """The sheets and plots on the left and on the right, made once."""

    @abstractmethod
    def fill(self, run: Row) -> str:
        """Fill them, and `self._drawn` with the rows of the plots; why not, if there is
        nothing to fill them with."""

    @abstractmethod
    def name(self) -> str:
        """What the page is about, for the trail and the tab."""

    def show(self, run: Row) -> None:
        """Show what the Selection names, unless it is shown already."""
        with self._lock:
            self._run = run
            asked = (getattr(self._selection, key) for key in self.followed)
            wanted = (run["run_id"], run["n_prompts"], *asked)
            if wanted == self._shown:
                return
            self._shown = ()  # what fails leaves nothing that is shown already
            with self._loading.shown():
                try:
                    why = self.fill(run)
                    self._shown = wanted
                except StoreError as error:
                    why = told(self._store, error, run["run_id"])
            self._body.visible = not why
            if why:
                self._top.fill([Note(why, "missing")])
            else:
                pn.state.execute(self._draw)

    def set_dark(self, dark: bool) -> None:
        """Repaint in the other colours what is no CSS."""
        self._palette = palette_of(dark)
        pn.state.execute(self._draw)

    def sheet(self, label: str = "") -> Sheet:
        """A sheet of this page."""
        space = (0, 0, 18, 0)
        return Sheet(
            self.choose, label=label, sizing_mode="stretch_width", margin=space
        )

    def plot(self, plot: KeptPlot) -> pn.Column:
        """The place of a plot; in one column plots would have their frames aligned."""
        self._plots[plot.name] = plot
        return pn.Column(plot.pane, margin=(0, 0, 18, 0))

    def title(self, text: str, note: str = "") -> None:
        """What the page is about, and what is to be said of all of it."""
        self._top.fill([Title(text), *([Note(note)] if note else [])])

    def choose(self, changes: dict[str, Any]) -> None:
        """A row was clicked: it leads away."""
        self._selection.go(**given(changes))

    def _follow(self, *_: Event) -> None:
        if self.root.visible and self._run is not None:
            self.show(self._run)

    def _draw(self) -> None:
        for name, plot in self._plots.items():
            plot.show(self._drawn.get(name, ()), self._palette)
