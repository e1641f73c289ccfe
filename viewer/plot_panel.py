"""The quick plot of a result, with what goes where to choose."""

from dataclasses import replace
from threading import RLock
from typing import Any

import panel as pn
import pyarrow as pa

from .plot_choices import PlotChoices, choice
from .quick_plot import HEAT_MAP, Plot, axes, fitted, kinds_of, numbers, suggested
from .theme import DARK, LIGHT, NOTE_STYLE

NONE = "none"
HEIGHT = 340


class PlotPanel:
    """Draws the table that it is shown, if there is anything to plot."""

    def __init__(self) -> None:
        self._lock = RLock()  # a session's events run in several threads
        self._table: pa.Table | None = None
        self._plot: Plot | None = None
        self._palette = LIGHT
        self._choices = PlotChoices(self._choose, margin=0)
        self._note = pn.pane.HTML(stylesheets=[NOTE_STYLE], margin=0)
        self._frame = pn.Column(
            css_classes=["quick-plot"], sizing_mode="stretch_width", margin=(8, 0, 0, 0)
        )
        self.root = pn.Column(
            pn.FlexBox(
                self._choices,
                self._note,
                gap="16px",
                align_items="center",
                sizing_mode="stretch_width",
                margin=0,
            ),
            self._frame,
            styles={"flex": "1 1 560px", "min-width": "0"},
            margin=(6, 0, 0, 0),
            visible=False,
        )

    def show(self, table: pa.Table) -> None:
        """Plot another result; as before if its columns are the same."""
        with self._lock:
            before, self._table = self._table, table
            if before is None or before.schema != table.schema:
                self._plot = suggested(table)
            elif self._plot is not None:
                self._plot = fitted(table, self._plot) if kinds_of(table) else None
            self.root.visible = bool(kinds_of(table))
            self._draw()

    def clear(self) -> None:
        """There is no result."""
        self.root.visible = False

    def set_dark(self, dark: bool) -> None:
        """Draw in the other colours."""
        with self._lock:
            self._palette = DARK if dark else LIGHT
            self._draw()

    def _choose(self, key: str, value: str) -> None:
        """The reader wants another kind, or another column somewhere."""
        with self._lock:
            table, plot = self._table, self._plot
            if table is None or not kinds_of(table):
                return
            if key == "kind":
                # Another kind has other columns: what suits it.
                wanted = Plot(value, "", plot.y if plot else "")
                self._plot = fitted(table, wanted) if value else None
            elif plot is not None:
                self._plot = fitted(table, replace(plot, **{key: value}))
            self._draw()

    def _draw(self) -> None:
        table, plot = self._table, self._plot
        if table is None or not self.root.visible:
            return
        self._choices.choices = choices_of(table, plot)
        if plot is None:
            self._note.object = ""
            pn.state.execute(lambda: self._put([]))
            return
        from .plot_elements import figure_of  # HoloViews takes a second to import

        figure, note = figure_of(table, plot, self._palette)
        self._note.object = note
        pane = pn.pane.Bokeh(figure, sizing_mode="stretch_width", margin=0)
        pn.state.execute(lambda: self._put([pane]))

    def _put(self, panes: list[Any]) -> None:
        self._frame.height = HEIGHT if panes else None
        self._frame[:] = panes


def choices_of(table: pa.Table, plot: Plot | None) -> list[dict[str, Any]]:
    """What can be chosen, and what is."""
    kind = plot.kind if plot else ""
    choices = [choice("kind", "Plot", kinds_of(table), kind, none=NONE)]
    if plot is None:
        return choices
    everything, measured = axes(table), numbers(table)
    is_map = plot.kind == HEAT_MAP
    rows = everything if is_map else measured
    colours = measured if is_map else everything
    return [
        *choices,
        choice("x", "across", everything, plot.x),
        choice("y", "up", rows, plot.y),
        choice("colour", "colour", colours, plot.colour, none="" if is_map else NONE),
    ]
