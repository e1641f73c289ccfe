"""The panels in Chromium: what only a browser can tell."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from flowglass.store import open_store
from flowglass.store import prediction_queries as ask

from .conftest import TINY
from .test_browser import Tab, graph_of

CENTRE_OF_CELL = """([name, query, key]) => {
    const model = Bokeh.documents[0].get_model_by_name(name)
    const view = model && Bokeh.index.find_one(model)
    if (!view?.el || !(model.y_range.start > query)) return null
    const { el, frame } = view
    el.scrollIntoView({ block: "center" })
    const box = el.getBoundingClientRect()
    const [x, y] = [frame.x_scale.compute(key), frame.y_scale.compute(query)]
    const place = [box.left + x, box.top + y]
    const before = window.placeBefore
    if (String(place) !== String(before?.place))
        window.placeBefore = { place, since: performance.now() }
    else if (performance.now() - before.since > 500) return place
    return null
}"""
"""Where it is on the screen, once it has been there for half a second."""


@pytest.fixture(scope="module")
def opened(viewer: str, browser: BrowserContext) -> Iterator[Tab]:
    """A tab that all tests here use, in which nothing foreign or wrong may happen."""
    tab = Tab(browser.new_page(), viewer)
    tab.load(f"?run={TINY}&prompt=0")
    yield tab
    tab.page.close()
    assert not tab.foreign
    assert not tab.errors


def visit(tab: Tab, query: str) -> Page:
    """A prompt of the run, with its graph."""
    tab.visit(f"?run={TINY}&{query}")
    graph_of(tab.page)
    return tab.page


def first_row(page: Page) -> Locator:
    """The strongest attention edge's link."""
    table = page.get_by_role("table", name="Strongest attention edges")
    return table.locator("tbody tr").first.get_by_role("link")


def heads(page: Page) -> Locator:
    """The chips of an edge's heads."""
    return page.get_by_role("radiogroup", name=re.compile("Heads")).get_by_role("radio")


def test_an_edge_opens_its_heads_and_a_cell_opens_another(opened: Tab) -> None:
    """A row, then a cell of the map; Back; Close."""
    page = visit(opened, "prompt=0")
    first_row(page).click()
    expect(page).to_have_url(re.compile(r"selected=attn-\d+-\d+-\d+&head=\d"))
    expect(heads(page).first).to_be_visible()
    expect(page.get_by_role("progressbar", name="Loading")).to_be_hidden()
    layer, query, key = re.findall(r"attn-(\d+)-(\d+)-(\d+)", page.url)[0]
    sought = ["head-contribution", int(query), 0]
    cell = page.wait_for_function(CENTRE_OF_CELL, arg=sought)
    place = cell.json_value()
    page.mouse.click(*place)

    expect(page).to_have_url(re.compile(f"selected=attn-{layer}-{query}-0"))
    page.go_back()
    expect(page).to_have_url(re.compile(f"selected=attn-{layer}-{query}-{key}"))
    page.get_by_role("button", name="Close").click()
    expect(first_row(page)).to_be_visible()
    expect(page).not_to_have_url(re.compile("selected"))


def test_a_table_can_be_taken_away(
    opened: Tab, store_path: Path, tmp_path: Path
) -> None:
    """The CSV that the browser saves holds what the store's query finds."""
    page = visit(opened, "prompt=0")
    first_row(page).click()
    menu = page.get_by_role("button", name=re.compile("Download: Heads ·"))
    menu.click()
    with page.expect_download() as download:
        page.keyboard.press("Enter")  # the first entry has the focus
    saved = tmp_path / "heads.csv"
    download.value.save_as(saved)

    layer, query, key = map(int, re.findall(r"attn-(\d+)-(\d+)-(\d+)", page.url)[0])
    with open_store(store_path) as store:
        place = {"layer": layer, "query": query, "key": key}
        rows = ask.edge_heads(store, TINY, 0, **place).table.num_rows
    assert download.value.suggested_filename.endswith(".csv")
    assert len(saved.read_text().splitlines()) == rows + 1
    expect(menu).to_have_attribute("aria-expanded", "false")
