"""How many prompts a ranking of heads takes, without a browser."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from flowglass.store.certainty import TooFewPrompts
from flowglass.store.convergence import Convergence
from flowglass.store.store import Store
from flowglass.viewer.convergence_panel import ConvergencePanel, sentence
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.selection import Selection
from flowglass.viewer.theme import DARK
from flowglass.viewer.views import Desk

from .conftest import BARE, FULL
from .page_stand import opened, run_of, unread

RUN = {"n_layers": 12, "n_heads": 12}
CURVE = pa.table(
    {"n": [10, 160], "expected": [0.5, 0.9], "low": [0.4, 0.8], "high": [0.6, 1]}
)


@pytest.fixture(scope="module")
def store(corpus_path: Path) -> Iterator[Store]:
    """A run of 32 prompts, and one of 3."""
    with opened(corpus_path) as there:
        yield there


@pytest.fixture
def panel(store: Store) -> ConvergencePanel:
    """The panel as it is before anything was asked."""
    made = ConvergencePanel(Desk(store, Selection(), Pulse(store), "runs"))
    made.show(run_of(store, FULL))
    return made


def found(needed: int | None, now: float = 0.8) -> Convergence:
    """Of 100 prompts of a model of 144 heads."""
    return Convergence(100, 20, 144, CURVE, now, needed)


@pytest.mark.parametrize(
    ("needed", "said"),
    [
        (90, "90% are found with 90 prompts, and the 100 prompts there are find 80%"),
        (90, "The ranking is stable."),
        (250, "Not yet stable: 90% take about 250."),
        (None, "Not yet stable: 90% take more than 16 times as many."),
    ],
)
def test_a_sentence_says_whether_a_ranking_is_stable(
    needed: int | None, said: str
) -> None:
    """And what it would take if not; of how many heads."""
    whole = sentence(found(needed), RUN)
    assert said in whole
    assert whole.startswith("The 20 of 144 heads with the largest mean contribution")


def test_nothing_is_read_before_it_is_asked(store: Store) -> None:
    """It takes seconds."""
    made = ConvergencePanel(Desk(store, Selection(), Pulse(store), "runs"))
    run = run_of(store, FULL)
    with unread(store):
        made.show(run)
    assert made.ask.visible
    assert not made._answer.visible


def test_the_curve_is_that_of_the_store(panel: ConvergencePanel, store: Store) -> None:
    """Of a quarter of a small model's heads; to take away with the call that finds it;
    in the dark it is painted anew."""
    panel._ask()

    due = store.convergence(FULL, top=4)
    assert isinstance(due, Convergence)
    assert panel.head.note == sentence(due, run_of(store, FULL))
    assert panel.head._extract.table.equals(due.curve)
    assert "top=4" in panel.head._extract.sql
    assert not panel.ask.visible
    figure = panel.plot.object
    curves = [
        list(r.data_source.data["expected"])
        for r in figure.renderers
        if "expected" in getattr(getattr(r, "data_source", None), "data", {})
    ]
    assert curves
    assert all(curve == due.curve["expected"].to_pylist() for curve in curves)
    panel.set_dark(True)
    assert panel.plot.object.xaxis[0].axis_line_color == DARK.line


def test_another_run_is_asked_anew(panel: ConvergencePanel, store: Store) -> None:
    """And of too few prompts it says so; the same run keeps its curve."""
    panel._ask()
    panel.show(run_of(store, FULL))
    assert panel._answer.visible

    panel.show(run_of(store, BARE))

    assert panel.ask.visible
    assert not panel._answer.visible
    panel._ask()
    few = TooFewPrompts(3, 3, 3)
    assert (
        sentence(few, RUN)
        == "3 prompts with a target are too few to say: that takes 30."
    )
    assert "3 prompts with a target are too few" in panel.head.note
    assert not panel.plot.visible
