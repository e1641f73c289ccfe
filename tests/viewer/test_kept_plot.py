"""Plots whose figure is kept: other rows and colours in it are as in one made anew."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import pytest

from flowglass.viewer.component_plots import Histogram, ShareBars, Spreads
from flowglass.viewer.kept_plot import KeptPlot, sources
from flowglass.viewer.prediction import Row
from flowglass.viewer.theme import DARK, LIGHT
from flowglass.viewer.volcano import Volcano

SOURCES = [*map(str, range(0, -16, -1)), "farther", "below cutoff"]


def shares(seed: int) -> list[Row]:
    """Shares of some sources: not of all, and not all have an interval."""
    chance = Random(seed)
    some = sorted(chance.sample(range(len(SOURCES)), 6 + seed))
    rows = [{"source": SOURCES[n], "share": chance.random() / 2} for n in some]
    return [
        row | {"low": None, "high": None}
        if n == seed
        else row | {"low": row["share"] * 0.9, "high": row["share"] * 1.1}
        for n, row in enumerate(rows)
    ]


def bins(seed: int) -> list[Row]:
    """A histogram with a place and width of its own."""
    chance = Random(seed)
    low, wide = chance.gauss(0, 2), chance.random()
    return [
        {
            "low": low + n * wide,
            "high": low + (n + 1) * wide,
            "n_positions": chance.randrange(50),
        }
        for n in range(5 + seed)
    ]


def spread(seed: int) -> list[Row]:
    """The same four categories with other values."""
    chance = Random(seed)
    rows = []
    for category in "abcd":
        ends = sorted(chance.random() for _ in range(5))
        named = dict(zip(("p05", "p25", "p50", "p75", "p95"), ends, strict=True))
        mean = chance.random()
        known = {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}
        rows.append({"category": category, **named, **known})
    return rows


def compared(seed: int) -> list[Row]:
    """Components, sure and not; none that is sure and more in B with seed 0."""
    chance = Random(seed)
    rows = []
    for index in range(20):
        p = chance.uniform(0.001, 1)
        sign = 1 if seed == 0 and p < 0.3 else chance.choice([1, -1])
        rows.append(
            {
                "layer": 1,
                "component": "head",
                "index": index,
                "difference": sign * chance.random(),
                "effect": chance.gauss(0, 1),
                "p": p,
                "q": 0.01 if p < 0.3 else 1.0,
            }
        )
    return rows


@dataclass(frozen=True)
class Kind:
    """How a plot is made, and rows for it."""

    plot: Callable[[], KeptPlot]
    rows: Callable[[int], list[Row]]


KINDS = {
    "bars": Kind(lambda: ShareBars("bars", colour="attn", width=590), shares),
    "histogram": Kind(lambda: Histogram("histogram", width=590), bins),
    "spreads": Kind(
        lambda: Spreads(
            "spreads", named=lambda row: row["category"], colour="attn", width=590
        ),
        spread,
    ),
    "volcano": Kind(lambda: Volcano("volcano"), compared),
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def drawn(figure: Any) -> list[dict[str, list[Any]]]:
    """What a figure's sources hold."""
    return [
        {name: np.asarray(of).tolist() for name, of in source.data.items()}
        for source in sources(figure)
    ]


def around(figure: Any) -> dict[str, Any]:
    """What else of a figure depends on rows and theme."""
    x, y = figure.x_range, figure.y_range
    (hover,) = figure.tools
    return {
        "x": list(getattr(x, "factors", [])) or [x.start, x.end],
        "y": [y.start, y.end],
        "size": [figure.width, figure.height],
        "legend": [
            (item.label.value, item.visible)
            for legend in figure.legend
            for item in legend.items
        ],
        "colours": [
            getattr(layer.glyph, name)
            for layer in figure.renderers
            for name in ("line_color", "fill_color")
            if hasattr(layer.glyph, name)
        ],
        "axes": [axis.axis_line_color for axis in figure.axis],
        "told": hover.tooltips,
    }


@each_kind
def test_other_rows_are_put_into_the_figure(kind: Kind) -> None:
    """It stays the same, and holds what one made of those rows holds."""
    kept, fresh = kind.plot(), kind.plot()
    kept.show(kind.rows(0), LIGHT)
    figure = kept.pane.object

    for seed in (1, 2):
        kept.show(kind.rows(seed), LIGHT)
    fresh.show(kind.rows(2), LIGHT)

    assert kept.pane.object is figure
    for mine, other in zip(drawn(figure), drawn(fresh.pane.object), strict=True):
        assert mine.keys() == other.keys()
        for name, column in mine.items():
            text = isinstance(column[0], str)
            assert column == (other[name] if text else pytest.approx(other[name]))
    assert around(figure) == around(fresh.pane.object)


@each_kind
def test_another_theme_is_painted_over_it(kind: Kind) -> None:
    """As it is in one made in those colours, there and back."""
    rows = kind.rows(1)
    fresh = {palette: kind.plot() for palette in (LIGHT, DARK)}
    for palette, plot in fresh.items():
        plot.show(rows, palette)
    light, dark = (around(plot.pane.object) for plot in fresh.values())
    kept = kind.plot()
    kept.show(rows, LIGHT)
    figure = kept.pane.object

    kept.show(rows, DARK)
    assert around(figure) == dark != light
    kept.show(rows, LIGHT)
    assert around(figure) == light
    assert kept.pane.object is figure


@each_kind
def test_without_rows_nothing_is_shown(kind: Kind) -> None:
    """Neither at first nor later; then the plot is there again."""
    plot = kind.plot()
    plot.show([], LIGHT)
    assert not plot.pane.visible
    plot.show(kind.rows(0), LIGHT)
    assert plot.pane.visible
    plot.show([], LIGHT)
    assert not plot.pane.visible


@each_kind
def test_nothing_can_be_dragged_out_of_sight(kind: Kind) -> None:
    """The pointer tells; it neither pans nor zooms, for nothing would undo that."""
    plot = kind.plot()
    plot.show(kind.rows(0), LIGHT)
    assert [type(tool).__name__ for tool in plot.pane.object.tools] == ["HoverTool"]


def test_other_categories_take_another_figure() -> None:
    """It is higher, and its lines have other names."""
    plot = KINDS["spreads"].plot()
    plot.show(spread(0), LIGHT)
    before = plot.pane.object

    plot.show([*spread(0), spread(1)[0] | {"category": "e"}], DARK)

    figure = plot.pane.object
    assert figure is not before
    assert figure.height > before.height
    labels = figure.yaxis.major_label_overrides
    assert list(labels.values()) == list("abcde")
    assert {axis.axis_line_color for axis in figure.axis} == {DARK.line}


def test_bars_without_any_interval_are_drawn() -> None:
    """And with intervals again."""
    plot = KINDS["bars"].plot()
    rows = [row | {"low": None, "high": None} for row in shares(0)]
    plot.show(rows, LIGHT)
    assert len(drawn(plot.pane.object)) == 1
    plot.show(shares(0), LIGHT)
    assert len(drawn(plot.pane.object)) == 2


def test_the_legend_names_the_kinds_that_are_there() -> None:
    """Above the plot; of every kind the pointer tells."""
    plot = KINDS["volcano"].plot()
    plot.show(compared(0), LIGHT)
    figure = plot.pane.object
    (legend,) = figure.above
    there = [item.label.value for item in legend.items if item.visible]
    assert there == ["more in A", "not sure"]
    assert len(legend.items) == 3
    (hover,) = figure.tools
    assert hover.renderers == figure.renderers
