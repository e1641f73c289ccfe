"""The page of one token of the vocabulary, without a browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowglass.store import token_queries as ask
from flowglass.store.store import Store
from flowglass.viewer.theme import show_whitespace

from .conftest import BARE, FULL
from .page_stand import examples, notes, opened, page_on, run_of, table, unread


@pytest.fixture(scope="module")
def store(corpus_path: Path) -> Iterator[Store]:
    """A run with everything, and one with next to nothing."""
    with opened(corpus_path) as there:
        yield there


@pytest.fixture(scope="module")
def common(store: Store) -> dict[str, Any]:
    """The token that stands most often in the prompts, but for the first."""
    return store.table(
        "SELECT token_id, any_value(token) AS token FROM tokens WHERE run_id = $run_id "
        "AND NOT is_special GROUP BY token_id ORDER BY count(*) DESC, token_id LIMIT 1",
        {"run_id": FULL},
    ).to_pylist()[0]


@pytest.fixture
def page(store: Store, common: dict[str, Any]) -> Any:
    """Its page."""
    return page_on(store, "token", FULL, token=f"#{common['token_id']}")


def test_a_text_is_answered_with_the_tokens_that_fit(store: Store) -> None:
    """Each leads to its page."""
    page = page_on(store, "token", FULL, token="the")
    due = ask.find_tokens(store, FULL, "the").to_pylist()
    (found,) = page._found.sections

    assert len(due) > 1
    assert found.rows == [
        [show_whitespace(row["token"]), str(row["token_id"]), row["n_positions"]]
        for row in due
    ]
    assert page._found.visible
    assert not page._body.visible
    page.choose(found.opens[1])
    assert page._selection.token == f"#{due[1]['token_id']}"
    page.show(run_of(store, FULL))
    assert page._body.visible
    assert not page._found.visible
    assert page._typed.value == ""


def test_what_is_typed_is_looked_for(store: Store) -> None:
    """The field writes the address, and the page follows."""
    page = page_on(store, "token", FULL)
    assert "Type a token" in notes(page)

    page._typed.value = "the"

    assert page._selection.token == "the"
    assert page._selection.view == "token"
    assert page._found.visible


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("zzzq", "No token of this run's prompts or predictions holds “zzzq”"),
        ("#999999", "No token with the id 999999"),
    ],
)
def test_a_token_that_is_nowhere_is_told(store: Store, token: str, said: str) -> None:
    """Nothing is listed beside it."""
    page = page_on(store, "token", FULL, token=token)
    assert said in notes(page)
    assert not page._body.visible
    assert not page._found.visible
    assert page.name() == ""


def test_it_says_how_often_it_stands_and_is_predicted(
    page: Any, store: Store, common: dict[str, Any]
) -> None:
    """Positions, prompts, surprisal, predictions."""
    (row,) = ask.summary(store, FULL, common["token_id"]).to_pylist()
    said = notes(page)
    assert f"{row['n_positions']:,} of {row['n_tokens']:,} positions" in said
    assert f"{-row['mean_logprob']:.2f} nats" in said
    assert f"next token at {row['n_top']:,} positions" in said


def test_who_reads_from_it_follows_the_threshold(
    page: Any, store: Store, common: dict[str, Any]
) -> None:
    """Each is a link to a head's page."""
    for tau in (0.04, 0.01):
        page._selection.tau = tau
        due = ask.readers(store, FULL, common["token_id"], tau=tau).to_pylist()
        shown = table(page, "Heads that read")
        assert [line[1] for line in shown.rows] == [row["contribution"] for row in due]
        assert due
        where = {"view": "head", "layer": due[0]["layer"], "head": due[0]["head"]}
        assert shown.opens[0] == where


def test_who_promotes_it_leads_to_its_page(
    page: Any, store: Store, common: dict[str, Any]
) -> None:
    """That of a head, an FFN or a neuron; attention as a whole has none."""
    due = ask.promoters(store, FULL, common["token_id"]).to_pylist()
    for sign, caption in ((1, "Promoted by"), (-1, "Suppressed by")):
        mine = [row for row in due if row["sign"] == sign]
        shown = table(page, caption)
        assert [line[1] for line in shown.rows] == [row["n_writes"] for row in mine]
        for row, opens in zip(mine, shown.opens, strict=True):
            kind = row["component"]
            if kind in ("head", "neuron"):
                assert opens["view"] == kind
                assert opens[kind] == row["index"]
            elif kind == "ffn":
                assert opens == {"view": "ffn", "layer": row["layer"]}
            else:
                assert opens == {}


def test_where_it_stands_and_is_predicted_lead_to_prompts(
    page: Any, store: Store, common: dict[str, Any]
) -> None:
    """With that position for a target."""
    due = ask.occurrences(store, FULL, common["token_id"], n=12).to_pylist()
    shown = examples(page, "Where it stands").examples
    assert len(shown) == len(due) > 1
    for example, row in zip(shown, due, strict=True):
        assert example.opens["prompt"] == row["prompt_id"]
        assert example.opens["target"] == row["position"]
        (marked,) = (piece for piece in example.pieces if piece.mark)
        assert marked.text == show_whitespace(common["token"])


def test_a_predicted_token_shows_its_targets(store: Store) -> None:
    """The likeliest next token there, with its probability."""
    row = store.table(
        "SELECT predicted_token_id AS id, count(*) AS n FROM targets "
        "WHERE run_id = $run_id GROUP BY id ORDER BY n DESC, id LIMIT 1",
        {"run_id": FULL},
    ).to_pylist()[0]
    page = page_on(store, "token", FULL, token=f"#{row['id']}")
    due = ask.predictions(store, FULL, row["id"], n=12).to_pylist()
    shown = examples(page, "Where it is predicted").examples
    assert [e.figure for e in shown] == [
        f"probability {100 * r['prob']:.1f} %" for r in due
    ]


def test_nothing_is_read_again_for_what_is_shown(page: Any, store: Store) -> None:
    """Whatever else of the Selection changes."""
    with unread(store):
        page.show(dict(page._run))
        page._selection.param.update(layer=1, head=1)


def test_a_run_that_read_no_writes_says_so(store: Store) -> None:
    """With the option that left them out."""
    (row,) = ask.find_tokens(store, BARE, "the", limit=1).to_pylist()
    page = page_on(store, "token", BARE, token=f"#{row['token_id']}")
    assert "`--project none`" in table(page, "Promoted by").empty
