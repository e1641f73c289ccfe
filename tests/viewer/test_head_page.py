"""The page of one head, without a browser: it says what the store says."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowglass.pipeline import corpus, sweep
from flowglass.store import StoreError, write_queries
from flowglass.store import head_queries as ask
from flowglass.store.store import Store
from flowglass.viewer import head_sections as words
from flowglass.viewer.sheets_page import SheetsPage
from flowglass.viewer.theme import DARK, show_whitespace

from .conftest import BARE, FULL, TINY
from .page_stand import (
    assert_calls_find_the_rows,
    examples,
    notes,
    opened,
    page_on,
    table,
    unread,
)

AT = {"layer": 2, "head": 1}


@pytest.fixture(scope="module")
def store(corpus_path: Path) -> Iterator[Store]:
    """A run with everything, and one with next to nothing."""
    with opened(corpus_path) as there:
        yield there


@pytest.fixture
def page(store: Store) -> SheetsPage:
    """The page of a head that has all there is to show."""
    found: SheetsPage = page_on(store, "head", FULL, **AT)
    return found


def test_roles_are_those_of_the_store_the_best_first(
    page: SheetsPage, store: Store
) -> None:
    """Score, interval, share and chance; none is chosen."""
    rows = store.roles(FULL, **AT).to_pylist()
    shown = table(page, "Roles")

    assert len(shown.rows) == len(rows) == len(words.ROLES)
    of = {words.ROLES[row["role"]]: row for row in rows}
    for line in shown.rows:
        row = of[str(line[0])]
        due = [row["score"], words.ends(row), row["share"], row["chance"]]
        assert list(line[1:]) == due
    scores = [line[1] for line in shown.rows]
    assert scores == sorted(scores, reverse=True)
    assert "Of 32 prompts" in notes(page)


def test_importance_is_by_category(page: SheetsPage, store: Store) -> None:
    """Of each dataset and category: the mean, how often in routes, over how many."""
    due = ask.importance_by_category(store, FULL, layer=2, index=1).to_pylist()
    shown = table(page, "Importance")

    assert [line[0] for line in shown.rows] == [
        f"{row['dataset']} · {row['category']}" for row in due
    ]
    for line, row in zip(shown.rows, due, strict=True):
        assert [line[1], *line[3:]] == [row["mean"], row["frequency"], row["n_targets"]]


def test_examples_lead_to_their_edge(page: SheetsPage, store: Store) -> None:
    """Query and key are marked among the tokens; a click chooses the edge and head."""
    rows = ask.examples(store, FULL, **AT, n=12).to_pylist()
    shown = examples(page, "Top examples").examples

    assert len(shown) == len(rows) == 12
    for example, row in zip(shown, rows, strict=True):
        marked = {piece.mark: piece.text for piece in example.pieces if piece.mark}
        token = dict(zip(row["positions"], row["tokens"], strict=True))
        if row["query"] == row["key"]:
            assert marked == {"both": show_whitespace(token[row["query"]])}
        else:
            assert marked == {
                "to": show_whitespace(token[row["query"]]),
                "from": show_whitespace(token[row["key"]]),
            }
        page.choose(example.opens)
        chosen = page._selection
        assert (chosen.view, chosen.prompt) == ("", row["prompt_id"])
        assert chosen.selected == f"attn-2-{row['query']}-{row['key']}"
        assert (chosen.head, chosen.target) == (1, row["query"])


def test_what_it_writes_is_counted(page: SheetsPage, store: Store) -> None:
    """Promoted beside suppressed, and what it adds to logits with its interval."""
    rows = write_queries.promoted(store, FULL, "head", layer=2, index=1).to_pylist()
    shown = table(page, "Promotes")
    up = [row for row in rows if row["sign"] == 1]
    assert [line[:2] for line in shown.rows if line[0] is not None] == [
        [show_whitespace(row["token"]), row["n_writes"]] for row in up
    ]
    logits = write_queries.attribution(store, FULL, "head", layer=2, index=1)
    assert [line[1] for line in table(page, "Adds").rows] == [
        row["mean"] for row in logits.to_pylist()
    ]


def test_a_role_shows_its_evidence_and_hides_it_again(
    page: SheetsPage, store: Store
) -> None:
    """Only such edges; the address remembers; what is marked is the chosen role."""
    roles = table(page, "Roles")
    place = [line[0] for line in roles.rows].index(words.ROLES["previous"])

    page.choose(dict(roles.opens[place]))

    assert page._selection.role == "previous"
    rows = ask.examples(store, FULL, **AT, role="previous", n=12).to_pylist()
    shown = examples(page, "Top examples · Previous token").examples
    assert [e.opens["prompt"] for e in shown] == [r["prompt_id"] for r in rows]
    assert all(row["query"] - row["key"] == 1 for row in rows)
    (marked,) = (line[0] for line in table(page, "Roles").rows if "▸" in str(line[0]))
    assert marked == "▸ Previous token"

    page.choose(dict(table(page, "Roles").opens[place]))

    assert page._selection.role == ""
    assert examples(page, "Top examples").caption == "Top examples"


def test_the_threshold_is_followed(page: SheetsPage, store: Store) -> None:
    """How often the head is in routes is another number at another tau."""
    before = [line[3] for line in table(page, "Importance").rows]

    page._selection.tau = 0.01

    due = ask.importance_by_category(store, FULL, layer=2, index=1, tau=0.01)
    after = [line[3] for line in table(page, "Importance").rows]
    assert after == due["frequency"].to_pylist() != before


def test_plots_are_drawn_in_the_themes_colours(page: SheetsPage) -> None:
    """Offsets, kinds of source and spreads; the dark is another painting."""
    page.set_dark(True)

    for name in ("offsets", "sources", "spreads"):
        figure = page._plots[name].pane.object
        assert figure.name == name
        assert {axis.axis_line_color for axis in figure.axis} == {DARK.line}


def test_another_head_is_put_into_the_same_plots(
    page: SheetsPage, store: Store
) -> None:
    """The figures stay; their bars are what the store says of that head."""
    before = {name: plot.pane.object for name, plot in page._plots.items()}

    page._selection.param.update(layer=1, head=3)

    after = {name: plot.pane.object for name, plot in page._plots.items()}
    assert after == before
    for name, find in (("offsets", ask.offsets), ("sources", ask.source_tokens)):
        due = find(store, FULL, layer=1, head=3)["share"].to_pylist()
        (bars,) = after[name].renderers
        assert list(bars.data_source.data["share"]) == due
    due = ask.importance_by_category(store, FULL, layer=1, index=3)["mean"].to_pylist()
    *_, points = after["spreads"].renderers
    assert list(points.data_source.data["mean"]) == due


def test_a_role_asks_only_for_what_it_changes(
    page: SheetsPage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examples; roles, plots and tables are the same for every role."""
    for name in ("offsets", "source_tokens", "importance_by_category"):
        monkeypatch.delattr(ask, name)
    monkeypatch.delattr(Store, "roles")
    before = list(page._importance.sections)

    page._selection.role = "self"

    assert examples(page, "Top examples").caption == "Top examples · Itself"
    assert any(line[0] == "▸ Itself" for line in table(page, "Roles").rows)
    assert page._importance.sections == before


def test_a_head_that_failed_leaves_the_one_before_to_be_shown_again(
    page: SheetsPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is damaged; going back shows the page, not what went wrong."""
    with monkeypatch.context() as broken:
        broken.setattr(ask, "offsets", fail)
        page._selection.head = 2
        assert "damaged" in notes(page)
        assert not page._body.visible

    page._selection.head = 1

    assert page._body.visible
    assert page._top.sections[0].text == "Layer 2 · head 1"
    assert table(page, "Importance").rows


def fail(*_: object, **__: object) -> None:
    """As the store does."""
    raise StoreError("damaged")


def test_nothing_is_read_again_for_what_is_shown(
    page: SheetsPage, store: Store
) -> None:
    """Not when the page is turned to again, and not when something else changes."""
    with unread(store):
        page.show(dict(page._run or {}))
        page._selection.param.update(threshold=0.1, search="x")
    assert table(page, "Roles").rows


def test_a_page_that_is_left_reads_nothing(page: SheetsPage, store: Store) -> None:
    """The selection of another page's head is not this one's."""
    page.root.visible = False
    with unread(store):
        page._selection.param.update(layer=0, head=0)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ({}, "Choose a head"),
        ({"layer": 1}, "Choose a head"),
        ({"layer": 4, "head": 0}, "4 layers of 4 heads: layer 4 head 0 is not among"),
        ({"layer": 0, "head": 4}, "4 layers of 4 heads: layer 0 head 4 is not among"),
    ],
)
def test_a_head_that_is_not_there_is_told(
    store: Store, at: dict[str, int], said: str
) -> None:
    """And nothing of another is shown beside it."""
    page = page_on(store, "head", FULL, **at)
    assert said in notes(page)
    assert not page._body.visible


def test_another_head_after_one_that_is_not_there(store: Store) -> None:
    """The page comes back."""
    page = page_on(store, "head", FULL, layer=9, head=0)
    page._selection.layer = 1
    assert page._body.visible
    assert page._top.sections[0].text == "Layer 1 · head 0"


def test_an_unknown_role_is_none(store: Store) -> None:
    """An old link still opens."""
    page = page_on(store, "head", FULL, **AT, role="wizard")
    assert examples(page, "Top examples").caption == "Top examples"


def test_a_run_that_read_no_writes_says_so(store: Store) -> None:
    """With the option that made it so, and the one that would read them."""
    page = page_on(store, "head", BARE, **AT)
    missing = table(page, "Promotes")
    assert not missing.rows
    assert "`--project none`" in missing.empty
    assert "`--project all`" in missing.empty


def test_a_run_without_attribution_says_so(store_path: Path) -> None:
    """The made-up store has none, and no sums by source either."""
    with opened(store_path) as store:
        page = page_on(store, "head", TINY, **AT)
        assert table(page, "Adds").empty == "This run stored no logit attribution."
        assert not table(page, "Roles").rows
        assert examples(page, "Top examples").examples


def test_every_table_is_taken_away_with_the_call_that_finds_it(store: Store) -> None:
    """Of a role that is chosen, too."""
    page = page_on(store, "head", FULL, layer=3, head=2, role="induction")
    calls = assert_calls_find_the_rows(page, store)
    assert len(calls) == 6
    assert any("role='induction'" in call for call in calls)


@pytest.mark.parametrize("at", [{"view": "head", **AT}, {"view": "ffn", "layer": 2}])
def test_of_a_large_run_a_part_is_read_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: dict[str, Any]
) -> None:
    """Except for the examples, which are the best of all; calls find the same rows."""
    monkeypatch.setattr(corpus, "SHARD_PROMPTS", 5)
    sweep(model="tiny-gpt2", data="ioi", limit=30, run="large", store=tmp_path)
    whole = partial(Store.sample, prompts=12)
    monkeypatch.setattr(Store, "sample", lambda store, run_id: whole(store, run_id))
    with opened(tmp_path) as store:
        page = page_on(store, run_id="large", **at)

        assert "Read from 10 of 30 prompts" in notes(page)
        calls = assert_calls_find_the_rows(page, store)
        assert calls
        assert sum(row[-1] for row in table(page, "Importance").rows) == 10
        (shown,) = page._examples.sections
        assert len({example.opens["prompt"] for example in shown.examples}) == 12
