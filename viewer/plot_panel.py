"""The quick plot of a result, with what goes where to choose."""

from threading import RLock
from typing import Any

import panel as pn
import panel_material_ui as pmu
import pyarrow as pa

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
        self._is_filling = False
        self._kind = pmu.Select(label="Plot", size="small", width=118, margin=0)
        self._x = pmu.Select(label="Across", size="small", width=138, margin=0)
        self._y = pmu.Select(label="Up", size="small", width=138, margin=0)
        self._colour = pmu.Select(label="Colour", size="small", width=138, margin=0)
        self._widgets = (self._kind, self._x, self._y, self._colour)
        for widget in self._widgets:
            widget.param.watch(self._choose, "value")
        self._note = pn.pane.HTML(stylesheets=[NOTE_STYLE], margin=0)
        self._frame = pn.Column(
            css_classes=["quick-plot"], sizing_mode="stretch_width", margin=(8, 0, 0, 0)
        )
        self.root = pn.Column(
            pn.FlexBox(
                *self._widgets,
                self._note,
                gap="10px",
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

    def _choose(self, *_: object) -> None:
        with self._lock:
            if self._is_filling or self._table is None:
                return
            kind = self._kind.value
            wanted = Plot(kind, self._x.value, self._y.value, self._colour.value)
            if self._plot is None or kind != self._plot.kind:
                # Another kind has other columns: what suits it.
                wanted = Plot(kind, "", self._plot.y if self._plot else "")
            self._plot = None if kind == NONE else fitted(self._table, wanted)
            self._draw()

    def _draw(self) -> None:
        table, plot = self._table, self._plot
        if table is None or not self.root.visible:
            return
        self._fill(table, plot)
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

    def _fill(self, table: pa.Table, plot: Plot | None) -> None:
        """What can be chosen, and what is."""
        self._is_filling = True
        try:
            self._kind.param.update(
                options=[NONE, *kinds_of(table)], value=plot.kind if plot else NONE
            )
            for widget in self._widgets[1:]:
                widget.visible = plot is not None
            if plot is not None:
                self._fill_columns(table, plot)
        finally:
            self._is_filling = False

    def _fill_columns(self, table: pa.Table, plot: Plot) -> None:
        all_axes, measured = axes(table), numbers(table)
        is_map = plot.kind == HEAT_MAP
        self._x.param.update(options=all_axes, value=plot.x)
        self._y.param.update(options=all_axes if is_map else measured, value=plot.y)
        groups = measured if is_map else {NONE: "", **{name: name for name in all_axes}}
        self._colour.param.update(options=groups, value=plot.colour)
