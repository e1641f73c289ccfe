"""A session without a browser: the Selection leads, the pages follow."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import panel as pn
import pytest

from flowglass.store import open_store
from flowglass.store.run import RunWriter
from flowglass.store.store import Store
from flowglass.viewer.app import App
from flowglass.viewer.prompts_page import PAGE_SIZE

from .conftest import PARALLEL, TINY
from .synthetic import commit_shard, plan_of, write_run
from .synthetic_corpus import make_prompt
from .synthetic_flow import Shape


@pytest.fixture(scope="module")
def store(store_path: Path) -> Iterator[Store]:
    """The made-up store."""
    with open_store(store_path) as opened:
        yield opened


def app_on(store: Store, query: str = "") -> App:
    """A session that opened an address."""
    return App(store, path="runs/", query=query)


def listed(app: App) -> list[str]:
    """The texts of the listed prompts."""
    return [row[1] for row in app._prompts._table.rows]


def test_the_front_page_lists_the_newest_run(store: Store) -> None:
    """Newest first, and its first page of prompts."""
    app = app_on(store)

    assert [row[0] for row in app._runs.root.rows] == [TINY, PARALLEL]
    assert app._runs.root.current == 0
    assert len(listed(app)) == PAGE_SIZE
    assert app._front.visible
    assert not app._prediction.root.visible


def test_search_filters_and_sorting_narrow_the_list(store: Store) -> None:
    """Widgets write the Selection, and a new filter starts at page 1."""
    app = app_on(store, "?page=2")

    app._prompts._search.value = "capital OF"

    assert app.selection.page == 1
    assert app.selection.search == "capital OF"
    assert len(listed(app)) == 13
    assert all("capital of" in text for text in listed(app))

    app._prompts._table._handle_msg({"sort": "-predicted_prob"})

    column = [float(row[6].removesuffix(" %")) for row in app._prompts._table.rows]
    assert column == sorted(column, reverse=True)


def test_a_row_opens_its_prediction_and_the_trail_leads_back(store: Store) -> None:
    """The list is as it was left."""
    app = app_on(store, "?dataset=facts&page=1")

    app._prompts._table._handle_msg({"open": 2})

    assert app.selection.prompt == 7
    assert app._prediction.root.visible
    assert not app._front.visible
    assert app._prediction._graph.tokens[1:3] == ["·The", "·capital"]

    app._trail._handle_msg({"open": 1})

    assert app._front.visible
    assert app.selection.dataset == "facts"
    assert app.selection.prompt is None


def test_an_address_replaces_the_filters_of_another(store: Store) -> None:
    """Going back from one filter to another leaves nothing of the first."""
    app = app_on(store, "?dataset=facts")

    app._url._handle_msg({"query": "?search=store&dataset=ioi"})
    assert app.selection.query() == "?search=store&dataset=ioi"
    assert len(listed(app)) == 14

    app._url._handle_msg({"query": "?page=2"})
    assert app.selection.query() == "?page=2"
    assert len(listed(app)) == 40 - PAGE_SIZE


def test_an_unknown_sort_column_in_a_link_is_ignored(store: Store) -> None:
    """A column that does not exist never reaches the store."""
    app = app_on(store, "?sort=prompt_id;drop")
    assert app._prompts._table.sort == ""
    assert len(listed(app)) == PAGE_SIZE


def test_a_page_past_the_end_is_the_last_page(store: Store) -> None:
    """A link to a page that is no more shows the last one."""
    app = app_on(store, "?page=99")
    assert len(listed(app)) == 40 - PAGE_SIZE
    assert app._prompts._pager.value == 1


def test_prompts_and_runs_that_do_not_exist_say_so(store: Store) -> None:
    """No traceback, one sentence."""
    app = app_on(store, f"?run={TINY}&prompt=12345")
    assert app._prediction._missing.visible
    assert not app._prediction._body.visible

    app = app_on(store, "?run=<b>gone</b>")
    assert "no run <code>&lt;b&gt;gone" in app._note.object
    assert not app._prompts.root.visible


def test_any_token_can_be_the_target(store: Store) -> None:
    """A click in the strip moves graph, words and tables; a stored target leads."""
    app = app_on(store, f"?run={TINY}&prompt=0")
    page = app._prediction
    assert page._graph.target == page._strip.target == 14
    assert "answer" in page._words.object

    page._strip.target = 5

    assert app.selection.target == 5
    assert page._graph.target == 5
    assert "at position 5" in page._words.object
    assert all(int(row[3].split()[0]) <= 5 for row in page._attention.rows)


def test_the_tables_follow_the_threshold(store: Store) -> None:
    """Only edges that survive it are listed."""
    app = app_on(store, f"?run={TINY}&prompt=0")
    page = app._prediction

    page._graph.threshold = 0.2

    assert app.selection.threshold == 0.2
    rows = page._attention.rows + page._ffn.rows
    assert all(float(row[-1]) >= 0.2 for row in rows)


def test_a_parallel_block_has_no_middle_state(store: Store) -> None:
    """The graph is told, and its prompt of 100 tokens comes through."""
    app = app_on(store, f"?run={PARALLEL}&prompt=2")
    assert app._prediction._graph.parallel
    assert len(app._prediction._graph.tokens) == 100


def test_the_slider_starts_where_the_store_does(tmp_path: Path) -> None:
    """Below the run's cutoff nothing is stored, so nothing is offered."""
    write_run(tmp_path / "runs", "coarse", [make_prompt(0)], Shape(cutoff=0.05))
    with open_store(tmp_path / "runs") as store:
        app = app_on(store, "?prompt=0")
        assert app._prediction._graph.lowest == 0.05
        assert app._prediction._graph.threshold == 0.05


def test_new_commits_appear_on_refresh(tmp_path: Path) -> None:
    """A store that is being written says so while it is empty, then fills."""
    prompts = [make_prompt(i) for i in range(2)]
    plan = plan_of("growing", Shape(), n_prompts=2, n_shards=2)
    writer = RunWriter(tmp_path / "runs", plan)
    with open_store(tmp_path / "runs") as store:
        app = app_on(store)
        assert "no finished prompts yet" in app._note.object
        assert not app._prompts.root.visible

        for shard, prompt in enumerate(prompts):
            commit_shard(writer, shard, [prompt], Shape())
            app._refresh.clicks += 1
            assert len(listed(app)) == shard + 1
        assert not app._note.visible


def test_a_closed_session_leaves_nothing_behind(store: Store) -> None:
    """Panel's global state does not pin the page, as pmu's Page would."""

    def watchers() -> int:
        return len(pn.state.param.watchers.get("busy", {}).get("value", []))

    before = watchers()
    app = app_on(store)
    page = weakref.ref(app.page)

    assert watchers() == before
    del app
    gc.collect()

    assert page() is None
