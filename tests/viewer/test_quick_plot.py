"""A result's plot: the kind that suits it, the values that it draws, its colours."""

from typing import Any

import pyarrow as pa
import pytest
from bokeh.document import Document
from bokeh.io.doc import patch_curdoc

from flowglass.viewer.plot_data import MOST_BARS, data_of
from flowglass.viewer.plot_elements import blend, element_of, figure_of
from flowglass.viewer.plot_panel import NONE, PlotPanel, choices_of
from flowglass.viewer.quick_plot import (
    BAR,
    HEAT_MAP,
    KINDS,
    LINE,
    SCATTER,
    Plot,
    fitted,
    kinds_of,
    suggested,
)
from flowglass.viewer.theme import DARK, LIGHT

HEADS = pa.table(
    {
        "layer": [layer for layer in range(3) for _ in range(2)],
        "head": [0, 1] * 3,
        "frequency": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
    }
)
ACCURACY = pa.table(
    {
        "dataset": ["ioi", "ioi", "facts"],
        "category": ["ABB", "BAB", "capital"],
        "n_prompts": [3, 4, 5],
        "accuracy": [0.5, 0.75, 1.0],
    }
)
OFFSETS = pa.table(
    {"relative_position": [0, -1, -2], "share": [0.5, 0.3, 0.2], "n_edges": [3, 2, 1]}
)
LENGTHS = pa.table(
    {
        "dataset": ["a", "a", "a", "b", "b", "b"],
        "n_tokens": [4, 5, 6] * 2,
        "mean_edges": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    }
)
POINTS = pa.table({"entropy": [0.5, 0.1, 0.7], "closure": [1.0, 2.0, 3.0]})
ROUTE = pa.table(
    {
        "layer": [1, 1, 0, 0],
        "kind": ["attn", "attn", "ffn", "ffn"],
        "contribution": [0.1, 0.2, 0.3, 0.4],
    }
)
TABLES = (HEADS, ACCURACY, OFFSETS, LENGTHS, POINTS, ROUTE)


INDEXED = HEADS.rename_columns(["layer", "index", "n"])
REPEATED = pa.table({"dataset": ["a", "a"], "n_prompts": [1, 2], "accuracy": [0.1, 1]})


@pytest.mark.parametrize(
    ("table", "plot"),
    [
        (HEADS, Plot(HEAT_MAP, "head", "layer", "frequency")),
        (INDEXED, Plot(HEAT_MAP, "index", "layer", "n")),
        (ACCURACY, Plot(BAR, "category", "accuracy")),
        (OFFSETS, Plot(LINE, "relative_position", "share")),
        (LENGTHS, Plot(LINE, "n_tokens", "mean_edges", "dataset")),
        (POINTS, Plot(SCATTER, "closure", "entropy")),
        (REPEATED, Plot(SCATTER, "n_prompts", "accuracy")),
        (ROUTE, None),
        (ACCURACY.select(["dataset", "category"]), None),
        (ACCURACY.slice(0, 1), None),
        (pa.table({"prompt_id": [1, 2], "layer": [3, 4]}), None),
        (pa.table({"tokens": [["a"], ["b"]]}), None),
        (pa.table({}), None),
    ],
)
def test_the_columns_choose_the_plot(table: pa.Table, plot: Plot | None) -> None:
    """One in which every row has a place of its own; else none."""
    assert suggested(table) == plot


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.column_names[0])
def test_every_kind_that_is_offered_is_drawn(table: pa.Table) -> None:
    """Whatever was chosen before, in both themes."""
    for kind in kinds_of(table):
        for before in (Plot(kind, "", ""), Plot(kind, "gone", "gone", "gone")):
            plot = fitted(table, before)
            assert plot.kind == kind
            assert {plot.x, plot.y} <= set(table.column_names)
            assert plot == fitted(table, plot)
            for palette in (LIGHT, DARK):
                figure, _ = figure_of(table, plot, palette)
                assert figure.xaxis[0].axis_label == plot.x
                assert figure.xaxis[0].major_label_text_color == palette.muted


def test_a_heat_map_has_the_value_of_each_cell() -> None:
    """Rows and columns in the order of their numbers; what is missing is a gap."""
    plot = suggested(HEADS)
    assert plot is not None
    data, note = data_of(HEADS.slice(0, 5), plot)
    element = element_of(data, plot, LIGHT)
    drawn = {
        (x, y): value
        for x, y, value in zip(
            *(element.dimension_values(name) for name in ("x", "y", "colour")),
            strict=True,
        )
    }
    assert note == ""
    assert drawn["0", "2"] == 0.5
    assert drawn["1", "1"] == 0.4
    assert drawn["1", "2"] != drawn["1", "2"]
    figure, _ = figure_of(HEADS, plot, LIGHT)
    assert list(figure.y_range.factors) == ["0", "1", "2"]


def test_rows_that_share_a_place_are_averaged_and_it_is_said() -> None:
    """But points are not."""
    data, note = data_of(ROUTE, Plot(BAR, "kind", "contribution"))
    assert data.to_pydict() == {
        "x": ["attn", "ffn"],
        "y": [pytest.approx(0.15), pytest.approx(0.35)],
    }
    assert note == "means of 4 rows"
    data, note = data_of(ROUTE, Plot(SCATTER, "layer", "contribution"))
    assert data.num_rows == 4
    assert note == ""


def test_what_is_left_out_is_said() -> None:
    """Nulls, bars beyond the sixtieth, groups beyond the eighth."""
    n = 100
    table = pa.table(
        {
            "x": [f"x{i}" for i in range(n)],
            "y": [None, *map(float, range(1, n))],
            "group": [f"g{i % 9}" for i in range(n)],
        }
    )
    data, note = data_of(table, Plot(BAR, "x", "y"))
    assert data.num_rows == MOST_BARS
    assert note == "1 row with null left out; the first 60 of 99 bars"
    data, note = data_of(table, Plot(SCATTER, "x", "y", "group"))
    assert len(set(data["colour"].to_pylist())) == 8
    assert "the first 8 of 9 groups" in note


def test_decimals_are_numbers() -> None:
    """DuckDB gives them for 0.5: an axis must not take them for names."""
    halves = pa.array([0.5, 1.5, 2.5]).cast(pa.decimal128(4, 1))
    table = pa.table({"half": halves, "size": halves})
    data, _ = data_of(table, Plot(SCATTER, "half", "size"))
    assert data["x"].to_pylist() == [0.5, 1.5, 2.5]


def test_lines_of_groups_have_colours_and_a_legend() -> None:
    """The same in both themes, by name."""
    plot = suggested(LENGTHS)
    assert plot is not None
    for palette in (LIGHT, DARK):
        figure, _ = figure_of(LENGTHS, plot, palette)
        (legend,) = figure.legend
        assert legend.title == "dataset"
        assert legend.label_text_color == palette.text
        colours = [glyph.glyph.line_color for glyph in figure.renderers]
        assert colours == [palette.accent, palette.ffn]


def test_bars_side_by_side_have_the_colours_of_their_groups() -> None:
    """As the legend says, whatever they stand over."""
    figure, _ = figure_of(
        LENGTHS, Plot(BAR, "n_tokens", "mean_edges", "dataset"), LIGHT
    )
    (bars,) = figure.renderers
    data, mapper = bars.data_source.data, bars.glyph.fill_color.transform
    assert mapper.palette == [LIGHT.accent, LIGHT.ffn]
    shown = zip(data["x"], data["color"], data["y"], strict=True)
    assert sorted(shown) == [
        *(("4", "a", 1.0), ("4", "b", 4.0), ("5", "a", 2.0)),
        *(("5", "b", 5.0), ("6", "a", 3.0), ("6", "b", 6.0)),
    ]


def test_drawing_leaves_the_page_of_the_session_alone() -> None:
    """Threads draw, and have no lock on it."""
    page = Document()
    theme = page.theme
    with patch_curdoc(page):
        figure, _ = figure_of(POINTS, Plot(SCATTER, "closure", "entropy"), LIGHT)
    assert page.theme is theme
    assert figure.document is None


def test_names_of_columns_are_only_text() -> None:
    """In the tooltip too, which is HTML; names that HoloViews uses are no trouble."""
    table = pa.table({"<b>y": ["a", "b"], "x": [1.0, 2.0], "colour": ["c", "d"]})
    figure, _ = figure_of(table, Plot(BAR, "<b>y", "x", "colour"), LIGHT)
    tooltips = [tool.tooltips for tool in figure.tools if hasattr(tool, "tooltips")]
    assert tooltips
    assert "<b>y" not in tooltips[0]
    assert "&lt;b&gt;y" in tooltips[0]


def test_shades_go_to_either_side_of_zero() -> None:
    """A measure of both signs has its zero in the middle."""
    table = HEADS.set_column(2, "frequency", pa.array([-0.2, 0.1, 0.0, 0.0, 0.0, 0.05]))
    plot = Plot(HEAT_MAP, "head", "layer", "frequency")
    figure, _ = figure_of(table, plot, LIGHT)
    (mapper,) = (m for m in figure.references() if type(m).__name__.endswith("Mapper"))
    assert (mapper.low, mapper.high) == (-0.2, 0.2)
    assert mapper.palette[0] == LIGHT.minus
    assert mapper.palette[-1] == LIGHT.plus
    assert blend(["#000000", "#808080", "#ffffff"])[-1] == "#ffffff"


@pytest.fixture
def panel() -> PlotPanel:
    return PlotPanel()


def drawn_in(panel: PlotPanel) -> Any:
    """The figure that the panel shows, if any."""
    return next((pane.object for pane in panel._frame), None)


def choose(panel: PlotPanel, key: str, value: str) -> None:
    """Choose as a reader does."""
    panel._choices._handle_msg({"choose": [key, value]})


def test_a_reader_chooses_another_plot(panel: PlotPanel) -> None:
    """What fits is kept, what does not is put right, and none is none."""
    panel.show(LENGTHS)
    kinds = panel._choices.choices[0]
    assert kinds["options"] == [["", NONE], *([kind, kind] for kind in KINDS)]
    assert kinds["value"] == LINE
    assert drawn_in(panel) is not None

    choose(panel, "kind", BAR)
    assert panel._plot is not None
    assert (panel._plot.kind, panel._plot.y) == (BAR, "mean_edges")
    choose(panel, "x", "n_tokens")
    choose(panel, "colour", "dataset")
    assert panel._plot == Plot(BAR, "n_tokens", "mean_edges", "dataset")
    choose(panel, "y", "dataset")
    assert panel._plot.y == "mean_edges"
    choose(panel, "kind", "")
    assert drawn_in(panel) is None
    assert len(panel._choices.choices) == 1
    choose(panel, "kind", SCATTER)
    assert drawn_in(panel) is not None


def test_every_choice_is_one_of_its_options() -> None:
    """For every kind of plot of every table."""
    for table in TABLES:
        for kind in kinds_of(table):
            for made in choices_of(table, fitted(table, Plot(kind, "", ""))):
                assert made["value"] in [value for value, _ in made["options"]]


def test_a_plot_stays_while_the_columns_stay(panel: PlotPanel) -> None:
    """A query that is run again keeps what the reader chose; another does not."""
    panel.show(LENGTHS)
    choose(panel, "kind", SCATTER)
    panel.show(LENGTHS.slice(0, 3))
    assert panel._plot is not None
    assert panel._plot.kind == SCATTER
    panel.show(HEADS)
    assert panel._plot == Plot(HEAT_MAP, "head", "layer", "frequency")
    panel.show(pa.table({"text": ["a", "b"]}))
    assert not panel.root.visible


def test_a_plot_is_repainted_in_the_dark(panel: PlotPanel) -> None:
    """No CSS reaches a figure."""
    panel.show(ACCURACY)
    assert drawn_in(panel).renderers[0].glyph.fill_color == LIGHT.accent
    panel.set_dark(True)
    assert drawn_in(panel).renderers[0].glyph.fill_color == DARK.accent
