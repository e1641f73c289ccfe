"""The Components page in Chromium: a threshold, a split, a click, the other theme."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from flowglass.viewer.theme import Palette

from .conftest import TINY
from .test_accessibility import THEMES, faults, turn_to
from .test_browser import Tab

PAGE = f"?run={TINY}&view=components"
VALUES = """(name) => {
    const model = Bokeh.documents[0].get_model_by_name(name)
    return model ? [...model.renderers[0].data_source.data.value] : null
}"""
CENTRE = """([name, layer, head]) => {
    const model = Bokeh.documents[0].get_model_by_name(name)
    const view = model && Bokeh.index.find_one(model)
    if (!view?.el || !(model.y_range.end > layer)) return null
    view.el.scrollIntoView({ block: "center" })
    const { left, top, width } = view.el.getBoundingClientRect()
    if (!width) return null
    const { x_scale, y_scale } = view.frame
    const place = [left + x_scale.compute(head), top + y_scale.compute(layer)]
    const before = window.placeBefore
    if (String(place) !== String(before?.place))
        window.placeBefore = { place, since: performance.now() }
    else if (performance.now() - before.since > 500) return place
    return null
}"""
"""Where a cell is on the screen, once it has been there for half a second."""


@pytest.fixture(scope="module")
def opened(viewer: str, browser: BrowserContext) -> Iterator[Tab]:
    """A tab that all tests here use, in which nothing foreign or wrong may happen."""
    tab = Tab(browser.new_page(), viewer)
    tab.load(PAGE)
    yield tab
    tab.page.close()
    assert not tab.foreign
    assert not tab.errors


def visit(tab: Tab, query: str = "") -> Page:
    """The page, drawn."""
    tab.visit(PAGE + query)
    expect(tab.page).to_have_title("Components · flowglass")
    tab.page.wait_for_function(f"({VALUES})('components-0')?.length")
    return tab.page


def test_the_threshold_is_in_the_address_and_in_the_map(opened: Tab) -> None:
    """By keys, as a slider; Back undoes it."""
    page = visit(opened)
    before = page.evaluate(VALUES, "components-0")

    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")

    expect(page).to_have_url(re.compile(r"tau=0\.08"))
    changed = f"(before) => String(({VALUES})('components-0')) !== String(before)"
    page.wait_for_function(changed, arg=before)
    expect(page.get_by_text("route at threshold 0.08")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("route at threshold 0.04")).to_be_visible()
    page.wait_for_function(changed.replace("!==", "==="), arg=before)


def test_a_cell_of_a_group_opens_its_head(opened: Tab) -> None:
    """A split by category; a cell of its second map; Back leads to the split."""
    page = visit(opened, "&facet=category")
    expect(page.get_by_text("Activation frequency by category")).to_be_visible()
    where = page.wait_for_function(CENTRE, arg=["components-by-1", 2, 3]).json_value()

    page.mouse.move(*where)
    told = page.locator("div", has_text=re.compile("^Layer 2 · head 3$"))
    expect(told.last).to_be_visible()
    page.mouse.click(*where)

    expect(page).to_have_url(re.compile(r"view=head.*layer=2|layer=2.*view=head"))
    expect(page).to_have_url(re.compile("head=3"))
    page.go_back()
    expect(page.get_by_text("Activation frequency by category")).to_be_visible()


def test_a_row_of_the_strongest_is_a_link(opened: Tab) -> None:
    """With the keyboard, for who cannot click a cell."""
    page = visit(opened)
    table = page.get_by_role("region", name="Strongest heads")
    link = table.get_by_role("link").first
    name = re.fullmatch(r"Layer (\d) · head (\d)", link.inner_text())
    assert name is not None
    link.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"head={name[2]}"))
    expect(page).to_have_url(re.compile(f"layer={name[1]}"))


def test_the_corpus_opens_on_the_front_page(opened: Tab) -> None:
    """One row for each category."""
    opened.visit(f"?run={TINY}")
    page = opened.page
    page.get_by_role("button", name="By category", exact=True).click()
    rows = page.get_by_role("table", name="Datasets and categories").locator("tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Hide categories").click()
    expect(rows.first).not_to_be_visible()


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_the_page_is_accessible(opened: Tab, theme: Palette) -> None:
    """Controls, maps, table, and what is missing, in both themes."""
    visit(opened, "&facet=category")
    page = turn_to(opened, PAGE + "&facet=category", theme)
    expect(page.get_by_text("Activation frequency by category")).to_be_visible()

    assert faults(page) == []


DRAWN = """() => {
    const model = Bokeh.documents[0].get_model_by_name("shares-0")
    const view = model && Bokeh.index.find_one(model)
    return view?.frame.bbox.width > 0 && Bokeh.documents[0].is_idle
}"""


def test_a_link_to_a_split_is_drawn_whole(demo: str, browser: BrowserContext) -> None:
    """Shares by layer too: Bokeh lays out no figure beside one that is hidden."""
    tab = Tab(browser.new_page(), demo)
    tab.load("?view=components&facet=token+class")
    tab.page.wait_for_function(DRAWN)
    expect(tab.page.get_by_text("of all positions")).to_be_visible()
    tab.page.close()
    assert not tab.foreign
    assert not tab.errors
