"""The page that compares two cohorts, without a browser and in one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from flowglass.store import open_store
from flowglass.store.cohorts import Cohort
from flowglass.store.compare import about, compare
from flowglass.store.compare_query import means_query
from flowglass.store.store import Store
from flowglass.viewer import compare_words as words
from flowglass.viewer.compare_page import ComparePage
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.sections import Table
from flowglass.viewer.selection import Selection
from flowglass.viewer.views import Desk

from .conftest import PARALLEL, TINY
from .test_browser import Tab

IOI = "dataset = 'ioi'"


@pytest.fixture(scope="module")
def store(store_path: Path) -> Iterator[Store]:
    """The made-up store."""
    with open_store(store_path) as there:
        yield there


@pytest.fixture
def page(store: Store) -> Iterator[ComparePage]:
    """The page of a session that has asked for nothing yet."""
    with Pulse(store) as pulse:
        made = ComparePage(Desk(store, Selection(run=TINY), pulse, "runs"))
        made.show(run_of(store, TINY))
        yield made


def run_of(store: Store, run_id: str) -> dict[str, object]:
    rows = store.runs().to_pylist()
    return next(row for row in rows if row["run_id"] == run_id)


def asked(page: ComparePage, **wanted: object) -> None:
    """The form sent with these fields."""
    blank = {"a": "", "b": "", "other": "", "measure": "contribution", "tau": 0.04}
    page._form._handle_msg({"ask": blank | wanted})


def table_of(page: ComparePage) -> Table:
    (table,) = page._ranked.sections
    assert isinstance(table, Table)
    return table


def test_nothing_is_compared_before_it_is_asked(page: ComparePage) -> None:
    """The page says what a cohort is."""
    assert "Choose two cohorts" in page._head.note
    assert not page._ranked.sections


def test_an_offered_condition_is_compared_with_the_rest(
    page: ComparePage, store: Store
) -> None:
    """Every component is listed with the figures of `store.compare`."""
    asked(page, a=IOI)
    due = compare(
        store, Cohort(TINY, IOI), Cohort(TINY, words.rest(IOI)), measure="contribution"
    ).to_pylist()
    table = table_of(page)
    assert len(table.rows) == len(due)
    by_name = {words.component(row): row for row in due}
    for line in table.rows:
        row = by_name[str(line[0])]
        assert line[1:4] == [row["mean_a"], row["mean_b"], row["difference"]]
    assert page._selection.a == IOI
    assert page._selection.measure == ""


def test_a_condition_of_the_readers_own_is_run_in_a_sandbox(
    page: ComparePage, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An offered one is not: that is sooner."""
    made = []
    monkeypatch.setattr(
        Store, "sandbox", lambda self, **_: made.append(1) or Sandboxed(self)
    )
    asked(page, a=IOI)
    assert not made
    asked(page, a="target > 3")
    assert made


class Sandboxed:
    """Runs what it is given, as a sandbox does, and counts as one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __enter__(self) -> "Sandboxed":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def query(self, query: str) -> "Sandboxed":
        self.table = self._store.table(query)
        return self


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("bogus = 1", "bogus"),
        ("true) UNION SELECT 1, 2 --", "syntax error"),
        ("read_text('/etc/passwd') = ''", "read_text"),
        ("1; drop table edges", ""),
    ],
)
def test_a_bad_condition_is_told(page: ComparePage, condition: str, said: str) -> None:
    """Where the result would be; nothing of the last result stays."""
    asked(page, a=IOI)
    asked(page, a=condition)
    assert "missing" in page._head.note
    assert said in page._head.note
    assert not page._ranked.sections


def test_a_condition_may_end_in_a_comment(page: ComparePage) -> None:
    """The rest of the targets is still found."""
    asked(page, a=f"{IOI} -- the first task")
    assert table_of(page).rows


def test_two_runs_must_have_one_shape(page: ComparePage, store: Store) -> None:
    """Others are not offered; a link that asks for one is told why not."""
    assert page._form.runs == []
    asked(page, other=PARALLEL)
    assert "different shapes" in page._head.note


def test_conditions_are_offered_by_dataset_category_and_token(
    page: ComparePage,
) -> None:
    """Each is one that the store knows."""
    offered = [where for where, _ in page._form.conditions]
    assert IOI in offered
    assert "ends_sentence" in offered
    assert any("category" in where for where in offered)


@pytest.mark.parametrize("measure", ["contribution", "frequency"])
def test_the_query_to_copy_finds_the_means(store: Store, measure: str) -> None:
    """For every component that has a row."""
    found = compare(
        store, Cohort(TINY, IOI), Cohort(TINY, words.rest(IOI)), measure=measure
    )
    due = {
        (row["layer"], row["component"], row["index"]): row for row in found.to_pylist()
    }
    rows = store.table(means_query(about(found))).to_pylist()
    assert rows
    for row in rows:
        of = due[row["layer"], row["component"], row["index"]]
        for name in ("mean_a", "mean_b", "difference"):
            assert row[name] == pytest.approx(of[name], abs=1e-6)


def test_colours_tell_which_cohort_does_more(store: Store) -> None:
    """The largest difference of heads is full colour, and that of FFNs."""
    found = compare(store, Cohort(TINY, IOI), Cohort(TINY, words.rest(IOI)))
    rows = found.to_pylist()
    cells = words.cells_of(rows)
    for row in rows:
        cell = cells[row["layer"], row["component"], row["index"]]
        assert cell.ink == ("plus" if row["difference"] >= 0 else "minus")
    for component in ("head", "ffn"):
        assert max(c.strength for k, c in cells.items() if k[1] == component) == 1


def test_a_comparison_in_chromium(viewer: str, browser: BrowserContext) -> None:
    """Choose, compare, follow a head, come back; in the dark too."""
    tab = Tab(browser.new_page(), viewer)
    try:
        tab.load(f"?run={TINY}&view=compare")
        page = tab.page
        page.get_by_label("Choose a condition for A").select_option(IOI)
        page.get_by_role("button", name="Compare").click()
        table = page.get_by_role("table", name="components")
        expect(table).to_be_visible()
        expect(page).to_have_url(re.compile("a=dataset"))
        page.get_by_role("button", name="Toggle theme").click()
        expect(table).to_be_visible()
        width = page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= page.viewport_size["width"]
    finally:
        tab.page.close()
    assert not tab.foreign
    assert not tab.errors
