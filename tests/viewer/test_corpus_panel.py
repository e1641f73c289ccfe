"""The corpus in a line and a table, on the front page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowglass.store import open_store
from flowglass.store.corpus_summary import corpus_summary
from flowglass.store.store import Store
from flowglass.viewer.app import App
from flowglass.viewer.corpus_panel import CLOSED, COLUMNS, OPEN, said
from flowglass.viewer.pulse import Pulse

from .conftest import PARALLEL, TINY


@pytest.fixture(scope="module")
def store(store_path: Path) -> Iterator[Store]:
    """The made-up store."""
    with open_store(store_path) as there:
        yield there


def test_the_line_sums_the_run_up(store: Store) -> None:
    """Sizes, surprisal, accuracy, each with interval; closure and bytes."""
    with Pulse(store) as pulse:
        panel = App(pulse, path="runs/", query=f"?run={TINY}")._front.corpus
        row = corpus_summary(store, TINY).table.to_pylist()[0]
        line = panel.head.note
        assert line == said(row, pulse.runs[TINY])
    assert line.startswith("40 prompts · ")
    share = f"accuracy {100 * row['accuracy']:.1f} %"
    ends = f"({100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f} %)"
    assert f"{share} {ends} of 27 answers" in line
    nats = f"{row['surprisal']:.3f} nats a token ({row['surprisal_low']:.3f} to "
    assert nats in line
    assert "worst closure 1.0e-06" in line
    assert line.endswith("B stored")


def test_the_table_has_a_row_for_each_category(store: Store) -> None:
    """It opens on request, and what it holds can be taken away."""
    with Pulse(store) as pulse:
        panel = App(pulse, path="runs/", query=f"?run={TINY}")._front.corpus
        assert panel._table is None
        panel.head._handle_msg({"act": "turn"})
        assert panel._table is not None
        assert panel._table.visible
        assert panel.head.actions == [["turn", OPEN, True]]
        panel.head._handle_msg({"act": "turn"})
        assert not panel._table.visible
        assert panel.head.actions == [["turn", CLOSED, True]]
    rows = {tuple(row[:2]): row for row in panel._table.rows}
    assert set(rows) == {("ioi", "ABB"), ("facts", "capital"), ("stories", "")}
    names = [column.name for column in COLUMNS]
    accuracy = names.index("accuracy")
    assert rows["stories", ""][accuracy] == rows["stories", ""][accuracy + 1] == ""
    assert rows["ioi", "ABB"][accuracy].endswith(" %")
    extract = panel.head.extract()
    again = store.table(extract.sql).to_pylist()
    for one, other in zip(again, extract.table.to_pylist(), strict=True):
        assert one == pytest.approx(other)
    assert panel.head.sql == extract.sql


def test_too_few_prompts_have_no_interval(store: Store) -> None:
    """Of three prompts without an answer neither accuracy nor interval is told."""
    with Pulse(store) as pulse:
        app = App(pulse, path="runs/", query=f"?run={PARALLEL}")
        assert "answer" in app._front.corpus.head.note
        assert "nats a token ·" in app._front.corpus.head.note


def test_without_prompts_there_is_no_summary(store: Store) -> None:
    """As of a run that is not there."""
    with Pulse(store) as pulse:
        app = App(pulse, path="runs/", query="?run=gone")
        assert not app._front.corpus.root.visible
