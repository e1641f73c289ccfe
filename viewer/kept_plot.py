"""A plot of a page whose figure HoloViews makes once: it is then filled and painted.

To make a figure takes HoloViews 0.1 s of the server and more, and to update one that it
keeps (a DynamicMap) a quarter to a third of that. To fill its sources takes a few
milliseconds, and in the browser nothing is laid out anew.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import Any, Literal

import panel as pn
from bokeh.models import HoverTool
from bokeh.models.annotations import Whisker

from .plot_elements import paint, rendered, standing, undress
from .prediction import Row
from .theme import Palette

Columns = dict[str, Sequence[Any]]
"""What a source holds, by the names that HoloViews gives its columns."""


class KeptPlot(ABC):
    """One plot in its `pane`; a subclass says of what."""

    pointer: Literal["follow_mouse", "snap_to_data"] = "follow_mouse"
    """Where it hangs what it tells."""

    def __init__(self, name: str) -> None:
        self.pane = pn.pane.Bokeh(None, margin=0)
        self.name = name
        self._shown: Sequence[Row] = ()
        self._palette: Palette | None = None

    def show(self, rows: Sequence[Row], palette: Palette) -> None:
        """Show these rows in these colours, in the figure before if that has their
        shape; without rows, nothing. Only where the document may be changed."""
        self.pane.visible = bool(rows)
        if not rows:
            return
        figure, before = self.pane.object, self._shown
        if figure is None or self.shape(rows) != self.shape(before):
            figure, self._palette = self.figure(rows), None
            self.fit(figure, rows)
        elif rows != before:
            for source, of in zip(sources(figure), self.columns(rows), strict=True):
                source.data = of
            self.fit(figure, rows)
        if palette != self._palette:
            paint(figure, palette)
            self.paint(figure, palette)
            (hover,) = figure.tools
            hover.tooltips = self.told(palette)
        self._shown, self._palette = rows, palette
        if figure is not self.pane.object:
            self.pane.object = figure

    def shape(self, rows: Sequence[Row]) -> Hashable:
        """Rows of another shape take another figure; those of most plots have one."""
        return ()

    @abstractmethod
    def element(self, rows: Sequence[Row], hover: HoverTool) -> Any:
        """The HoloViews element; its colours and limits come after it."""

    @abstractmethod
    def columns(self, rows: Sequence[Row]) -> list[Columns]:
        """Those of the figure's sources, by layer; of intervals last."""

    @abstractmethod
    def fit(self, figure: Any, rows: Sequence[Row]) -> None:
        """Say where the axes begin and end, and what else there is to say of rows."""

    @abstractmethod
    def paint(self, figure: Any, palette: Palette) -> None:
        """Colour the layers."""

    @abstractmethod
    def told(self, palette: Palette) -> str:
        """What the pointer tells, as HTML."""

    def figure(self, rows: Sequence[Row]) -> Any:
        """The element as a Bokeh figure; a subclass sets what HoloViews cannot."""
        hover = HoverTool(show_arrow=False, point_policy=self.pointer)
        figure = rendered(self.element(rows, hover))
        undress(figure)
        figure.name = self.name
        return figure


def sources(figure: Any) -> list[Any]:
    """The sources of a figure's layers."""
    layers = [layer.data_source for layer in figure.renderers]
    return layers + [whisker.source for whisker in standing(figure, Whisker)]


def padded(low: float, high: float, room: float) -> dict[str, float]:
    """The ends of an axis with room on both sides of its values, a share of their span.

    >>> padded(0.0, 2.0, 0.25)
    {'start': -0.5, 'end': 2.5}
    """
    if low == high:
        low, high = low - 1, high + 1
    beside = room * (high - low)
    return {"start": low - beside, "end": high + beside}
