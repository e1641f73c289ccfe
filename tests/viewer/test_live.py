"""A store that grows while the page is open, in Chromium: what is new comes by itself,
and what the reader is at stays where it is."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from flowglass.store.run import RunWriter

from .conftest import FLOWGLASS, free_port, wait_until_served
from .synthetic import commit_shard, plan_of
from .synthetic_corpus import make_prompt
from .synthetic_flow import Shape
from .test_browser import Tab

PER_SHARD, N_SHARDS = 10, 12
RUN = "growing-0123456789ab"

SHIFTS = """() => {
    window.shifts = []
    const told = ({ node, previousRect: a, currentRect: b }) =>
        [node?.outerHTML?.slice(0, 160) ?? node?.data,
         a.x, a.y, a.width, a.height, "to", b.x, b.y, b.width, b.height].join(" ")
    new PerformanceObserver((list) => {
        for (const { sources } of list.getEntries())
            window.shifts.push(...sources.map(told))
    }).observe({ type: "layout-shift" })
}"""
"""Collects what moves without the reader's doing, and where to."""


class Sweep:
    """A made-up sweep, which goes on when a test says so."""

    def __init__(self, root: Path) -> None:
        n_prompts = PER_SHARD * N_SHARDS
        plan = plan_of(RUN, Shape(), n_prompts=n_prompts, n_shards=N_SHARDS)
        self._writer = RunWriter(root, plan)

    def commit(self, *shards: int) -> None:
        """Commit some shards of ten prompts each."""
        for shard in shards:
            ids = range(shard * PER_SHARD, (shard + 1) * PER_SHARD)
            commit_shard(self._writer, shard, [make_prompt(i) for i in ids], Shape())


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """A run that is planned, without a shard."""
    return Sweep(tmp_path / "runs")


@pytest.fixture
def tab(sweep: Sweep, tmp_path: Path, browser: BrowserContext) -> Iterator[Tab]:
    """A tab for a viewer of its own; fails if anything foreign is asked for."""
    port, log = free_port(), tmp_path / "viewer.log"
    command = [sys.executable, "-c", FLOWGLASS, "view", str(tmp_path / "runs")]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--no-browser", "--port", str(port)],
            stdout=output,
            stderr=output,
        )
    page = browser.new_page()
    try:
        wait_until_served(f"http://127.0.0.1:{port}/", process, log)
        tab = Tab(page, f"http://127.0.0.1:{port}/")
        yield tab
        assert not tab.foreign
        assert not tab.errors
        assert "Traceback" not in log.read_text()
    finally:
        page.close()
        process.terminate()
        process.wait(10)


def table(page: Page, name: str) -> Locator:
    """The rows of a table."""
    return page.get_by_role("table", name=name).locator("tbody tr")


def wait_until_still(part: Locator) -> None:
    """A part that is new on the page is laid out only after it was drawn."""
    expect(part).to_be_visible()
    before = None
    for _ in range(40):
        box = part.bounding_box()
        if box == before and box and box["x"] > 0:
            return
        before = box
        part.page.wait_for_timeout(700)
    raise AssertionError(f"it moves all the time: {before}")


def share_at(page: Page, layer: int, head: int) -> float:
    """What the map's figure holds of a head."""
    found = page.evaluate(
        """([layer, head]) => {
            const plot = Bokeh.documents[0].get_model_by_name("activation-map")
            const { x, y, value } = plot.renderers[0].data_source.data
            const at = [...x].findIndex((_, i) => x[i] === head && y[i] === layer)
            return value[at]
        }""",
        [layer, head],
    )
    return float(str(found).removesuffix(" %"))


def test_a_running_sweep_is_shown_as_it_comes(tab: Tab, sweep: Sweep) -> None:
    """From an empty run to a complete one without a reload, and without a jump."""
    tab.load("")
    page = tab.page
    run = table(page, "Runs").first
    expect(page.get_by_text("no finished prompts yet")).to_be_visible()

    sweep.commit(0, 1, 2)
    expect(run).to_contain_text("30 / 120")
    expect(page.get_by_text("30 targets so far, 25% of the prompts")).to_be_visible()
    expect(run).to_contain_text("running")
    wait_until_still(page.get_by_text("30 prompts", exact=True))
    before = share_at(page, 0, 0)
    page.evaluate(SHIFTS)

    sweep.commit(3, 4, 5)
    expect(run).to_contain_text("60 / 120")
    expect(page.get_by_text("60 targets so far, 50% of the prompts")).to_be_visible()
    expect(page.get_by_text("60 prompts", exact=True)).to_be_visible()
    assert share_at(page, 0, 0) != before

    sweep.commit(*range(6, 12))
    expect(run).to_contain_text("complete")
    expect(page.get_by_text("120 targets, all prompts")).to_be_visible()
    assert page.evaluate("window.shifts") == []


def test_what_the_reader_is_at_stays(tab: Tab, sweep: Sweep) -> None:
    """Page, filter, focus and scroll; rows that would come between are offered."""
    sweep.commit(0, 1, 2, 5, 6, 7)
    tab.load("?page=2&sort=-prompt_id")
    page = tab.page
    page.set_viewport_size({"width": 1280, "height": 800})
    rows = table(page, "Prompts")
    expect(rows).to_have_count(25)
    expect(rows.first).to_contain_text("54")
    expect(page.get_by_text("60 targets so far")).to_be_visible()
    rows.nth(20).get_by_role("link").first.focus()  # which scrolls there
    held, place = rows.first.element_handle(), rows.nth(20).bounding_box()
    assert place is not None
    assert place["y"] < 800

    sweep.commit(3, 8)

    offer = page.get_by_role("button", name="Show new prompts")
    expect(offer).to_be_visible()
    expect(page.get_by_text("80 prompts", exact=True)).to_be_visible()
    expect(rows.first).to_contain_text("54")
    assert held is not None
    assert held.evaluate("row => row.isConnected")
    assert rows.nth(20).bounding_box() == place
    focused = "row => row.getRootNode().activeElement === row.querySelector('a')"
    assert rows.nth(20).evaluate(focused)
    expect(page).to_have_url(f"{tab.address}?page=2&sort=-prompt_id")

    offer.click()
    expect(rows.first).to_contain_text("64")
    expect(offer).to_be_hidden()


def test_a_prediction_is_left_alone(tab: Tab, sweep: Sweep) -> None:
    """The list behind it is up to date when the reader comes back."""
    sweep.commit(0)
    tab.load(f"?run={RUN}&prompt=3")
    page = tab.page
    graph = page.locator("[data-testid=route-graph][data-edges]")
    graph.wait_for()
    held = graph.element_handle()

    sweep.commit(1)
    page.wait_for_timeout(8000)  # longer than a look takes to come round

    assert held is not None
    assert held.evaluate("graph => graph.isConnected")
    page.get_by_role("navigation").get_by_text(RUN).click()
    expect(table(page, "Runs").first).to_contain_text("20 / 120")
    expect(table(page, "Prompts")).to_have_count(20)


def test_a_new_run_does_not_take_the_readers_place(
    tab: Tab, sweep: Sweep, tmp_path: Path
) -> None:
    """It is listed above; the prompts stay those of the run that was open."""
    sweep.commit(0)
    tab.load("")
    page = tab.page
    expect(table(page, "Prompts")).to_have_count(10)

    later = Shape(started_at="2026-04-01T00:00:00.000000+00:00")
    plan = plan_of("later-0123456789ab", later, n_prompts=2, n_shards=1)
    commit_shard(
        RunWriter(tmp_path / "runs", plan), 0, [make_prompt(0), make_prompt(1)], later
    )

    expect(table(page, "Runs").first).to_contain_text("later-0123456789ab")
    expect(table(page, "Runs").nth(1)).to_have_attribute("aria-current", "true")
    expect(table(page, "Prompts")).to_have_count(10)
