"""The page of one neuron, without a browser: it says what the store says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowglass.store import neuron_queries as ask
from flowglass.store import prediction_queries, write_queries
from flowglass.store.store import Store
from flowglass.viewer.theme import show_whitespace
from tests.store.builders import make_plan, prompt
from tests.store.hand_made import write

from .conftest import BARE, FULL
from .page_stand import (
    assert_calls_find_the_rows,
    examples,
    notes,
    opened,
    page_on,
    run_of,
    table,
    unread,
)

STRONG = """
    SELECT neuron FROM neurons WHERE run_id = $run_id AND layer = 2
    GROUP BY neuron ORDER BY count(*) DESC, neuron LIMIT 1
"""


@pytest.fixture(scope="module")
def store(corpus_path: Path) -> Iterator[Store]:
    """A run with everything, and one with next to nothing."""
    with opened(corpus_path) as there:
        yield there


@pytest.fixture(scope="module")
def at(store: Store) -> dict[str, int]:
    """The neuron of layer 2 that is stored most often."""
    found = store.table(STRONG, {"run_id": FULL})["neuron"][0].as_py()
    return {"layer": 2, "neuron": found}


@pytest.fixture
def page(store: Store, at: dict[str, int]) -> Any:
    """Its page."""
    return page_on(store, "neuron", FULL, **at)


def test_it_says_at_how_many_positions_it_is_stored(
    page: Any, store: Store, at: dict[str, int]
) -> None:
    """Of all that the run has, with what it does there."""
    (row,) = ask.summary(store, FULL, **at).to_pylist()
    said = f"at {row['n_positions']:,} of {row['n_tokens']:,} positions"
    assert said in notes(page)
    assert f"in {row['n_prompts']:,} prompts" in notes(page)


def test_examples_are_shaded_by_activation(
    page: Any, store: Store, at: dict[str, int]
) -> None:
    """As far as it is known; a click chooses the FFN and the neuron there."""
    rows = ask.examples(store, FULL, **at, n=14).to_pylist()
    shown = examples(page, "Top examples").examples
    largest = max(abs(a) for row in rows for a in row["activations"] if a is not None)

    assert len(shown) == len(rows) > 5
    for example, row in zip(shown, rows, strict=True):
        due = [0.0 if a is None else a / largest for a in row["activations"]]
        assert [piece.shade for piece in example.pieces] == pytest.approx(due)
        page.choose(example.opens)
        chosen = page._selection
        assert chosen.selected == f"ffn-2-{row['position']}"
        assert (chosen.neuron, chosen.prompt) == (at["neuron"], row["prompt_id"])


def test_weights_and_context_are_told_apart(
    page: Any, store: Store, at: dict[str, int]
) -> None:
    """What its weights promote with logits, what it promoted with counts."""
    model = run_of(store, FULL)["model_hash"]
    by_weights = prediction_queries.neuron_vocab(store, model, **at).table.to_pylist()
    first = next(row for row in by_weights if row["sign"] == 1 and row["rank"] == 0)
    line = table(page, "By its weights").rows[0]
    assert line[:2] == [show_whitespace(first["token"]), first["score"]]
    of = {"layer": 2, "index": at["neuron"]}
    in_context = write_queries.promoted(store, FULL, "neuron", **of).to_pylist()
    up = [row for row in in_context if row["sign"] == 1]
    shown = [line[:2] for line in table(page, "In context").rows]
    assert shown[: len(up)] == [
        [show_whitespace(row["token"]), row["n_writes"]] for row in up
    ]


def test_where_it_matters_the_most_first(
    page: Any, store: Store, at: dict[str, int]
) -> None:
    """By dataset and category, over all their positions."""
    due = ask.importance_by_category(store, FULL, **at).to_pylist()
    due.sort(key=lambda row: -row["mean"])
    shown = table(page, "Where it matters")
    assert [line[1] for line in shown.rows] == [row["mean"] for row in due]
    assert [line[3] for line in shown.rows] == [row["frequency"] for row in due]


def test_the_histogram_counts_every_stored_position(
    page: Any, store: Store, at: dict[str, int]
) -> None:
    """Its bars add up."""
    (row,) = ask.summary(store, FULL, **at).to_pylist()
    (bars,) = page._plots["activations"].pane.object.renderers
    assert sum(bars.data_source.data["top"]) == row["n_positions"]


def test_nothing_is_read_again_for_what_is_shown(page: Any, store: Store) -> None:
    """Whatever else of the Selection changes."""
    with unread(store):
        page.show(dict(page._run))
        page._selection.param.update(tau=0.08, role="self")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "Choose a neuron"),
        ({"layer": 4, "neuron": 0}, "4 layers, from 0: none is 4"),
        ({"layer": 0, "neuron": 512}, "512 neurons, from 0: none is 512"),
    ],
)
def test_a_neuron_that_is_not_there_is_told(
    store: Store, asked: dict[str, int], said: str
) -> None:
    """And nothing of another is shown beside it."""
    page = page_on(store, "neuron", FULL, **asked)
    assert said in notes(page)
    assert not page._body.visible


def test_a_neuron_that_is_stored_nowhere_says_what_would_store_it(
    store: Store,
) -> None:
    """What its weights promote is known all the same."""
    known = store.table(
        "SELECT DISTINCT neuron FROM neurons WHERE run_id = $run_id AND layer = 3",
        {"run_id": FULL},
    )["neuron"].to_pylist()
    rare = next(n for n in range(512) if n not in known)
    page = page_on(store, "neuron", FULL, layer=3, neuron=rare)

    assert "`--neurons`" in notes(page)
    assert table(page, "By its weights").rows
    assert not page._plots["activations"].pane.visible
    assert "`--targets all`" in table(page, "Adds").empty


def test_a_run_without_neurons_says_so(store: Store) -> None:
    """With the options that left them out."""
    page = page_on(store, "neuron", BARE, layer=1, neuron=3)
    assert "This run stored no neurons: sweep with `--neurons 16`" in notes(page)
    assert "`--project none`" in table(page, "In context").empty
    assert not examples(page, "Top examples").examples


@pytest.mark.parametrize(
    ("expert", "named", "activation"),
    [
        (None, "Layer 0 · neuron 5", "+1.00"),
        (1, "Layer 0 · expert 1 · neuron 5", "+3.00"),
        (-1, "Layer 0 · shared expert · neuron 5", "+4.00"),
    ],
)
def test_a_neuron_of_an_expert_is_its_own(
    tmp_path: Path, expert: int | None, named: str, activation: str
) -> None:
    """Each has the number 5; a shared expert is -1."""
    at = {"layer": 0, "position": 1, "neuron": 5, "contribution": 0.5, "prompt_id": 0}
    rows = [
        {**at, "expert": of, "activation": value, "rank": rank}
        for rank, (of, value) in enumerate([(None, 1.0), (1, 3.0), (-1, 4.0)])
    ]
    write(tmp_path, make_plan("moe", n_shards=1), prompts=[prompt(0)], neurons=rows)
    with opened(tmp_path) as store:
        page = page_on(store, "neuron", "moe", layer=0, neuron=5, expert=expert)

        assert page._top.sections[0].text == named
        assert page.name() == named.lower()
        (example,) = examples(page, "Top examples").examples
        assert example.figure == f"contribution 0.500 · activation {activation}"


def test_every_table_is_taken_away_with_the_call_that_finds_it(
    page: Any, store: Store
) -> None:
    """All but what its weights promote, which is a query."""
    assert len(assert_calls_find_the_rows(page, store)) == 4
