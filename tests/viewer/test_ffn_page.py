"""The page of one FFN, without a browser: it says what the store says; and what leads
there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowglass.store import ffn_queries, head_queries, neuron_queries, write_queries
from flowglass.store.store import Store
from flowglass.viewer.compare_words import ranked
from flowglass.viewer.sheets_page import SheetsPage
from flowglass.viewer.theme import DARK, show_whitespace
from flowglass.viewer.token_sections import page_of
from tests.store.builders import make_plan, prompt
from tests.store.hand_made import write

from .conftest import BARE, FULL, PARALLEL, TINY
from .page_stand import (
    assert_calls_find_the_rows,
    examples,
    notes,
    opened,
    page_on,
    table,
    unread,
)

OF_LAYER: dict[str, Any] = {"layer": 2, "component": "ffn", "index": 0}


@pytest.fixture(scope="module")
def store(corpus_path: Path) -> Iterator[Store]:
    """A run with everything, and one with next to nothing."""
    with opened(corpus_path) as there:
        yield there


@pytest.fixture
def page(store: Store) -> SheetsPage:
    """The page of an FFN that has all there is to show."""
    found: SheetsPage = page_on(store, "ffn", FULL, layer=2)
    return found


def test_it_says_how_much_it_brings(page: SheetsPage, store: Store) -> None:
    """On average, with its interval, and of how many positions."""
    (row,) = ffn_queries.summary(store, FULL, layer=2).to_pylist()
    said = f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f}) of the state"
    assert page._top.sections[0].text == "Layer 2 · FFN"
    assert page.name() == "layer 2 FFN"
    assert said in notes(page)
    assert f"over {row['n_positions']:,} positions of 32 prompts" in notes(page)
    assert "attention" not in notes(page)


def test_importance_is_by_category(page: SheetsPage, store: Store) -> None:
    """Of each dataset and category; the plot has the same means."""
    due = head_queries.importance_by_category(store, FULL, **OF_LAYER).to_pylist()
    shown = table(page, "Importance")

    assert [[line[1], *line[3:]] for line in shown.rows] == [
        [row["mean"], row["frequency"], row["n_targets"]] for row in due
    ]
    *_, points = page._plots["ffn-spreads"].pane.object.renderers
    assert list(points.data_source.data["mean"]) == [row["mean"] for row in due]


def test_each_of_the_strongest_neurons_opens_its_page(
    page: SheetsPage, store: Store
) -> None:
    """With its share, and at how many positions it is stored."""
    rows = neuron_queries.strongest(store, FULL, layer=2).to_pylist()
    shown = table(page, "Strongest neurons, 20")

    assert len(shown.rows) == len(rows) == 20
    for line, opens, row in zip(shown.rows, shown.opens, rows, strict=True):
        due = [row["share"], row["mean_contribution"], row["n_positions"]]
        assert [line[0], line[1], *line[3:]] == [f"Neuron {row['neuron']}", *due]
        page.choose(opens)
        chosen = page._selection
        assert (chosen.view, chosen.layer) == ("neuron", 2)
        assert (chosen.neuron, chosen.expert) == (row["neuron"], None)
    assert f"of {rows[0]['n_tokens']:,}" in shown.columns[-1].hint
    assert "the 16 neurons that contribute most" in notes(page)


def test_examples_are_shaded_by_what_it_brings(page: SheetsPage, store: Store) -> None:
    """At every position; a click chooses the FFN there, with its own target."""
    rows = ffn_queries.examples(store, FULL, layer=2, n=12).to_pylist()
    shown = examples(page, "Top examples").examples

    assert len(shown) == len(rows) == 12
    for example, row in zip(shown, rows, strict=True):
        assert [p.shade for p in example.pieces] == row["contributions"]
        (marked,) = (p for p in example.pieces if p.mark)
        token = dict(zip(row["positions"], row["tokens"], strict=True))
        assert marked.text == show_whitespace(token[row["position"]])
        page.choose(example.opens)
        chosen = page._selection
        assert (chosen.view, chosen.prompt) == ("", row["prompt_id"])
        assert chosen.selected == f"ffn-2-{row['position']}"
        assert (chosen.target, chosen.layer) == (row["position"], None)


def test_what_it_writes_is_counted(page: SheetsPage, store: Store) -> None:
    """Promoted beside suppressed, and what it adds to logits."""
    rows = write_queries.promoted(store, FULL, "ffn", layer=2).to_pylist()
    up = [row for row in rows if row["sign"] == 1]
    assert [line[:2] for line in table(page, "Promotes").rows[: len(up)]] == [
        [show_whitespace(row["token"]), row["n_writes"]] for row in up
    ]
    logits = write_queries.attribution(store, FULL, "ffn", layer=2).to_pylist()
    assert [line[1] for line in table(page, "Adds").rows] == [
        row["mean"] for row in logits
    ]


def test_every_table_is_taken_away_with_the_call_that_finds_it(
    page: SheetsPage, store: Store
) -> None:
    """As it stands behind the dashes it gives these rows again."""
    assert len(assert_calls_find_the_rows(page, store)) == 5


def test_another_layer_and_theme_are_put_into_the_same_plot(
    page: SheetsPage, store: Store
) -> None:
    """The figure stays; what it shows is that layer's."""
    before = page._plots["ffn-spreads"].pane.object

    page._selection.layer = 1
    page.set_dark(True)

    after = page._plots["ffn-spreads"].pane.object
    assert after is before
    assert {axis.axis_line_color for axis in after.axis} == {DARK.line}
    of = OF_LAYER | {"layer": 1}
    due = head_queries.importance_by_category(store, FULL, **of)["mean"].to_pylist()
    *_, points = after.renderers
    assert list(points.data_source.data["mean"]) == due


def test_the_threshold_is_followed_and_nothing_else(
    page: SheetsPage, store: Store
) -> None:
    """How often it is in routes is another number at another tau."""
    page._selection.tau = 0.08
    of = head_queries.importance_by_category(store, FULL, **OF_LAYER, tau=0.08)
    shown = [line[3] for line in table(page, "Importance").rows]
    assert shown == of["frequency"].to_pylist()

    with unread(store):
        page._selection.param.update(threshold=0.1, search="x", head=1, neuron=2)
        page.root.visible = False
        page._selection.layer = 0


@pytest.mark.parametrize(
    ("at", "said"),
    [({}, "Choose an FFN"), ({"layer": 4}, "4 layers, from 0: none is 4")],
)
def test_an_ffn_that_is_not_there_is_told(
    store: Store, at: dict[str, int], said: str
) -> None:
    """And nothing of another is shown beside it, until another is chosen."""
    page = page_on(store, "ffn", FULL, **at)
    assert said in notes(page)
    assert not page._body.visible
    page._selection.layer = 1
    assert page._body.visible
    assert page._top.sections[0].text == "Layer 1 · FFN"


def test_what_a_run_left_out_is_said(store: Store) -> None:
    """With the options that did it, and those that would not."""
    page = page_on(store, "ffn", BARE, layer=1)
    missing = table(page, "Strongest neurons")
    assert not missing.rows
    assert missing.extract is None
    assert missing.empty == (
        "This run stored no neurons: sweep with `--neurons 16` to see them."
    )
    assert "`--project none`" in table(page, "Promotes").empty
    assert examples(page, "Top examples").examples


@pytest.mark.parametrize("run_id", [TINY, PARALLEL])
def test_what_a_store_does_not_hold_is_said(store_path: Path, run_id: str) -> None:
    """The made-up store has routes alone: no shares, neurons, writes or logits."""
    with opened(store_path) as store:
        page = page_on(store, "ffn", run_id, layer=1)
        assert any(line[1] for line in table(page, "Importance").rows)
        assert "stored no shares of its steps" in notes(page)
        assert "no shares" in examples(page, "Top examples").empty
        assert "reaches the run's cutoff, 0.01" in table(page, "Strongest").empty
        assert table(page, "Adds").empty == "This run stored no logit attribution."


def test_neurons_of_experts_in_a_parallel_block(tmp_path: Path) -> None:
    """Each is named and opened with its expert; what attention brings is said too."""
    at = {"layer": 0, "position": 1, "neuron": 5, "activation": 1.0, "prompt_id": 0}
    neurons = [
        {**at, "expert": expert, "contribution": contribution, "rank": rank}
        for rank, (expert, contribution) in enumerate([(3, 0.5), (-1, 0.25)])
    ]
    shares = {"resid": 0.5, "attn": 0.25, "ffn": 0.25, "bias": 0.0}
    step = {"layer": 0, "step": "block", "below_cutoff": 0.0, "prompt_id": 0}
    steps = [{**step, **shares, "query": query} for query in range(3)]
    plan = replace(make_plan("moe", n_shards=1), block_kind="parallel")
    write(tmp_path, plan, prompts=[prompt(0)], neurons=neurons, steps=steps)
    with opened(tmp_path) as store:
        page = page_on(store, "ffn", "moe", layer=0)

        assert "brings 0.250 of the state it writes to, beside attention" in notes(page)
        assert "3 positions of 1 prompt." in notes(page)
        shown = table(page, "Strongest neurons, 2")
        assert [line[0] for line in shown.rows] == [
            "Expert 3 · neuron 5",
            "Shared expert · neuron 5",
        ]
        for opens, expert in zip(shown.opens, (3, -1), strict=True):
            page.choose(opens)
            assert (page._selection.neuron, page._selection.expert) == (5, expert)


def test_whatever_names_an_ffn_leads_there(store: Store) -> None:
    """A cell of the maps, a line of a comparison, what promotes a token."""
    components = page_on(store, "components", FULL)
    compare = page_on(store, "compare", FULL)
    for page in (components, compare):
        page._open((3, "ffn", 0))
        assert (page._selection.view, page._selection.layer) == ("ffn", 3)
        page._open((3, "head", 1))
        assert (page._selection.view, page._selection.head) == ("head", 1)
    row = {"layer": 1, "component": "ffn", "index": 0, "expert": None}
    figures = {"difference": 0.5, "q": None, "mean_a": 1.0, "mean_b": 0.5}
    line = {**row, **figures, "low": None, "high": None, "effect": None}
    due = {"view": "ffn", "layer": 1}
    assert ranked([line], measure="logit").opens == [due]
    assert page_of(row) == due
