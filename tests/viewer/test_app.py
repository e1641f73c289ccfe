"""A session without a browser: the Selection leads, the pages follow."""

import csv
import gc
import io
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import panel as pn
import pyarrow.parquet as pq
import pytest

from flowglass.store import open_store
from flowglass.store.info import size_said
from flowglass.store.queries import PROMPT_COLUMNS, worst_closure
from flowglass.store.run import RunWriter
from flowglass.store.store import Store
from flowglass.viewer.app import App
from flowglass.viewer.downloads import DownloadMenu, file_of
from flowglass.viewer.prompts_page import PAGE_SIZE
from flowglass.viewer.pulse import Pulse

from .conftest import PARALLEL, TINY
from .synthetic import commit_shard, plan_of, write_run
from .synthetic_corpus import make_prompt
from .synthetic_flow import Shape


@pytest.fixture(scope="module")
def store(store_path: Path) -> Iterator[Store]:
    """The made-up store."""
    with open_store(store_path) as there:
        yield there


PULSES: list[Pulse] = []
"""Those that the test began; they end before their store is closed."""


@pytest.fixture(autouse=True)
def pulses() -> Iterator[None]:
    """End them with the test."""
    yield
    end_pulses()


def end_pulses() -> None:
    while PULSES:
        PULSES.pop().__exit__(None, None, None)


@contextmanager
def opened(root: Path) -> Iterator[Store]:
    """A store of the test's own."""
    with open_store(root) as store:
        try:
            yield store
        finally:
            end_pulses()


def app_on(store: Store, query: str = "") -> App:
    """A session that opened an address."""
    PULSES.append(Pulse(store))
    return App(PULSES[-1], path="runs/", query=query)


def tick_until(app: App, came: Callable[[], bool]) -> None:
    """Let seconds pass for a session, until something has come."""
    deadline = time.monotonic() + 30
    while not came() and time.monotonic() < deadline:
        app._pulse.ask()
        app._tick()
        time.sleep(0.01)
    assert came()


def listed(app: App) -> list[str]:
    """The texts of the listed prompts."""
    return [row[1] for row in app._front.prompts._table.rows]


def test_the_front_page_lists_the_newest_run(store: Store) -> None:
    """Newest first, and its first page of prompts."""
    app = app_on(store)

    assert [row[0] for row in app._front.runs.root.rows] == [TINY, PARALLEL]
    assert app._front.runs.root.current == 0
    assert len(listed(app)) == PAGE_SIZE
    assert app._front.root.visible
    assert not app._prediction.root.visible


def test_search_filters_and_sorting_narrow_the_list(store: Store) -> None:
    """Widgets write the Selection, and a new filter starts at page 1."""
    app = app_on(store, "?page=2")

    app._front.prompts._search.value = "capital OF"

    assert app.selection.page == 1
    assert app.selection.search == "capital OF"
    assert len(listed(app)) == 13
    assert all("capital of" in text for text in listed(app))

    app._front.prompts._table._handle_msg({"sort": "-predicted_prob"})

    column = [
        float(row[6].removesuffix(" %")) for row in app._front.prompts._table.rows
    ]
    assert column == sorted(column, reverse=True)


def taken(menu: DownloadMenu, kind: str) -> bytes:
    """The file that a download would save."""
    return file_of(menu.extract(), kind)


def test_the_listed_prompts_can_be_taken_away(store: Store) -> None:
    """All that pass the filters, in the list's order, on whatever page it is; and the
    query finds the same."""
    app = app_on(store, f"?run={TINY}&search=e&dataset=facts&sort=-predicted_prob")
    menu = app._front.prompts.head

    saved = pq.read_table(io.BytesIO(taken(menu, "parquet")))

    assert saved["text"].to_pylist() == listed(app)
    assert saved.num_rows == 13
    assert tuple(saved.column_names) == PROMPT_COLUMNS
    assert saved.equals(store.table(menu.sql))
    assert len(taken(menu, "csv").splitlines()) == 14

    app.selection.param.update(search="", dataset="")

    assert store.table(menu.sql).num_rows == 40
    assert "facts" not in menu.sql


def test_the_runs_can_be_taken_away(store: Store) -> None:
    """With all that is known of them; a CSV has lists as JSON."""
    menu = app_on(store)._front.head

    saved = pq.read_table(io.BytesIO(taken(menu, "parquet")))
    (_, *lines) = csv.reader(taken(menu, "csv").decode().splitlines())

    assert saved["run_id"].to_pylist() == [TINY, PARALLEL]
    assert saved.equals(store.table(menu.sql))
    assert '["ioi", "facts", "stories"]' in lines[0]


def test_a_row_opens_its_prediction_and_the_trail_leads_back(store: Store) -> None:
    """The list is as it was left."""
    app = app_on(store, "?dataset=facts&page=1")

    app._front.prompts._table._handle_msg({"open": 2})

    assert app.selection.prompt == 7
    assert app._prediction.root.visible
    assert not app._front.root.visible
    assert app._prediction._graph.tokens[1:3] == ["·The", "·capital"]

    app._trail._handle_msg({"open": 1})

    assert app._front.root.visible
    assert app.selection.dataset == "facts"
    assert app.selection.prompt is None


def test_trail_and_tab_are_named_after_the_head_that_is_shown(store: Store) -> None:
    """Of Back and Forward between two heads, too."""
    app = app_on(store, "?view=head&layer=1&head=2")
    assert app._trail.labels[-1] == "layer 1 head 2"

    app._url._handle_msg({"query": "?view=head&layer=3&head=0"})

    assert app._trail.labels[-1] == "layer 3 head 0"
    assert app._url.title.startswith("layer 3 head 0")


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
    assert app._front.prompts._table.sort == ""
    assert len(listed(app)) == PAGE_SIZE


def test_a_page_past_the_end_is_the_last_page(store: Store) -> None:
    """A link to a page that is no more shows the last one."""
    app = app_on(store, "?page=99")
    assert len(listed(app)) == 40 - PAGE_SIZE
    assert app._front.prompts._pager.value == 1


def test_prompts_and_runs_that_do_not_exist_say_so(store: Store) -> None:
    """No traceback, one sentence."""
    app = app_on(store, f"?run={TINY}&prompt=12345")
    assert app._prediction._missing.visible
    assert not app._prediction._body.visible

    app = app_on(store, "?run=<b>gone</b>")
    assert "no run <code>&lt;b&gt;gone" in app._front.note.object
    assert not app._front.prompts.root.visible


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
    attention, _, _ = page._inspector.above.sections
    assert all(int(row[3].split()[0]) <= 5 for row in attention.rows)


def test_the_tables_follow_the_threshold(store: Store) -> None:
    """Only edges that survive it are listed."""
    app = app_on(store, f"?run={TINY}&prompt=0")
    page = app._prediction

    page._graph.threshold = 0.2

    assert app.selection.threshold == 0.2
    attention, ffn, _ = page._inspector.above.sections
    assert all(row[-1] > 0.2 for row in [*attention.rows, *ffn.rows])


def test_a_parallel_block_has_no_middle_state(store: Store) -> None:
    """The graph is told, and its prompt of 100 tokens comes through."""
    app = app_on(store, f"?run={PARALLEL}&prompt=2")
    assert app._prediction._graph.parallel
    assert len(app._prediction._graph.tokens) == 100


def test_the_slider_starts_where_the_store_does(tmp_path: Path) -> None:
    """Below the run's cutoff nothing is stored, so nothing is offered."""
    write_run(tmp_path / "runs", "coarse", [make_prompt(0)], Shape(cutoff=0.05))
    with opened(tmp_path / "runs") as store:
        app = app_on(store, "?prompt=0")
        assert app._prediction._graph.lowest == 0.05
        assert app._prediction._graph.threshold == 0.05


def test_new_commits_appear_by_themselves(tmp_path: Path) -> None:
    """A store that is being written says so while it is empty, then fills."""
    prompts = [make_prompt(i) for i in range(2)]
    plan = plan_of("growing", Shape(), n_prompts=2, n_shards=2)
    writer = RunWriter(tmp_path / "runs", plan)
    with opened(tmp_path / "runs") as store:
        app = app_on(store)
        assert "no finished prompts yet" in app._front.note.object
        assert not app._front.prompts.root.visible

        for shard, prompt in enumerate(prompts):
            commit_shard(writer, shard, [prompt], Shape())
            tick_until(app, lambda n=shard + 1: len(listed(app)) == n)
        assert not app._front.note.visible


def test_a_run_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    """Done of all with a bar, running, its rate; then when nothing has come lately."""
    prompts = [make_prompt(i) for i in range(8)]
    write_run(tmp_path / "runs", "going", prompts, Shape(), per_shard=2, unfinished=1)
    with opened(tmp_path / "runs") as store:
        app = app_on(store)
        cells = app._front.runs.root.rows[0]
        assert cells[3] == "6 / 8"
        assert cells[8].startswith("running · ")
        assert cells[8].endswith(" left")
        assert app._front.runs.root.shares == [{"3": 0.75}]

        app._front.runs.tick(app._pulse.runs, now=time.time() + 720)

        assert app._front.runs.root.rows[0][8] == "partial · no shard for 12 min"


def test_a_run_says_its_size_and_how_well_it_closes(store: Store) -> None:
    """Of all its files; the worst of its prompts, once that has been looked up."""
    app = app_on(store)
    size = size_said(app._pulse.runs[TINY].n_bytes)
    assert app._front.runs.root.rows[0][6] == size

    tick_until(app, lambda: app._front.runs.root.rows[0][7] != "")

    assert app._front.runs.root.rows[0][7] == f"{worst_closure(store, TINY):.1e}"


def test_the_map_shows_what_the_store_counts(store: Store) -> None:
    """A cell for each head and FFN, before there are numbers too."""
    app = app_on(store)
    room = app._front.map._place.height
    app._tick()
    assert app._front.map.map.plot.height == room  # nothing moves when it comes
    data = app._front.map.map._cells.data
    assert len(data["x"]) == 4 * 5
    assert set(data["value"]) == {"no targets yet"}

    tick_until(app, lambda: "40 targets" in app._front.map.head.note)

    counted = store.activation_frequency(TINY).to_pylist()
    data = app._front.map.map._cells.data
    assert data["value"] == [f"{100 * row['share']:.1f} %" for row in counted]
    assert data["name"][-2:] == ["Layer 3 · head 3", "Layer 3 · FFN"]
    assert "40 targets, all prompts" in app._front.map.head.note


def test_the_map_is_of_the_run_that_is_chosen(store: Store) -> None:
    """Another shape, another frame, and nothing of the first run in between."""
    app = app_on(store)
    tick_until(app, lambda: "40 targets" in app._front.map.head.note)

    app.selection.run = PARALLEL

    assert "40 targets" not in app._front.map.head.note
    assert len(app._front.map.map._cells.data["x"]) == 2 * 5
    tick_until(app, lambda: "3 targets" in app._front.map.head.note)


@pytest.mark.parametrize(("cutoff", "said"), [(0.05, "threshold 0.08"), (0.09, None)])
def test_the_map_counts_where_the_run_can(
    tmp_path: Path, cutoff: float, said: str | None
) -> None:
    """A coarse run at the next threshold; a coarser one has no map."""
    write_run(tmp_path / "runs", "coarse", [make_prompt(0)], Shape(cutoff=cutoff))
    with opened(tmp_path / "runs") as store:
        app = app_on(store)
        assert app._front.map.root.visible is (said is not None)
        if said is not None:
            tick_until(app, lambda: "1 target, all" in app._front.map.head.note)
            assert said in app._front.map.head.note


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
