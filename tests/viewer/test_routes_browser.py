"""The page of routes in aggregate in Chromium."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from flowglass.store import open_store
from flowglass.store.store import Store
from flowglass.viewer.theme import Palette

from .test_accessibility import THEMES, faults, turn_to
from .test_browser import Tab
from .test_routes_page import IOI, graph_of, strongest


@pytest.fixture(scope="module")
def store(demo_path: Path) -> Iterator[Store]:
    """The store that the tab shows."""
    with open_store(demo_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def tab(demo: str, browser: BrowserContext) -> Iterator[Tab]:
    """A tab in which nothing foreign or wrong may happen."""
    opened = Tab(browser.new_page(), demo)
    opened.load(IOI)
    yield opened
    opened.page.close()
    assert not opened.foreign
    assert not opened.errors


def drawn(page: Page) -> Locator:
    """The graph, once it is there."""
    graph = page.locator("[data-testid=route-graph][data-edges]:visible")
    expect(graph).to_have_count(1)
    return graph


def test_the_slider_asks_how_often_and_an_edge_leads_to_a_prompt(
    tab: Tab, store: Store
) -> None:
    """More edges below; the tooltip's words; a click; a prompt's own route."""
    tab.visit(IOI)
    page, graph = tab.page, graph_of(store, dataset="ioi")
    row, name = strongest(graph)
    frequency = np.array(graph.edges["frequency"])
    expect(drawn(page)).to_have_attribute("data-edges", str((frequency >= 0.3).sum()))

    page.keyboard.press("[")
    expect(page.locator(".number:visible")).to_have_text("25 %")
    expect(drawn(page)).to_have_attribute("data-edges", str((frequency >= 0.25).sum()))

    x, y = drawn(page).evaluate("(graph, name) => graph.placeOf(name)", name)
    page.mouse.move(x, y)
    tip = page.locator(".tip:visible")
    expect(tip).to_contain_text(f"{row['key_role']} → target")
    share = f"{100 * row['frequency']:.0f} % of {row['n_targets']} targets"
    expect(tip).to_contain_text(share)
    page.mouse.click(x, y)
    for told in (f"selected={name}", "least=0.25"):
        expect(page).to_have_url(re.compile(told))
    table = page.get_by_role("table", name="Prompts where it brings most")
    table.locator("tbody tr").first.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(r"\?prompt=\d+&target=\d+"))
    expect(drawn(page)).to_have_attribute("data-selected", re.compile("attn-"))


def test_an_edge_from_the_right_is_found_too(tab: Tab, store: Store) -> None:
    """What a role reads may stand left of it in some prompts, right of it in most."""
    graph = graph_of(store, dataset="ioi")
    roles = graph.roles["role"].to_pylist()
    row, query, key = max(
        (
            (row, *(roles.index(row[end]) for end in ("query_role", "key_role")))
            for row in graph.edges.to_pylist()
        ),
        key=lambda found: (found[1] < found[2], found[0]["frequency"]),
    )
    assert query < key
    only = f"{row['layer']}-{row['layer']}"
    tab.visit(f"{IOI}&least={row['frequency']}&layers={only}")
    alone = drawn(tab.page)
    told = re.compile(re.escape(str(row["frequency"])[:6]))
    expect(alone).to_have_attribute("data-threshold", told)
    name = f"attn-{row['layer']}-{query}-{key}"
    tab.page.mouse.click(*alone.evaluate("(graph, name) => graph.placeOf(name)", name))
    expect(alone).to_have_attribute("data-selected", name)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_the_page_is_accessible(tab: Tab, store: Store, theme: Palette) -> None:
    """With an edge chosen, light and dark."""
    _, name = strongest(graph_of(store, dataset="ioi"))
    page = turn_to(tab, f"{IOI}&selected={name}", theme)
    drawn(page)
    expect(page.get_by_role("table", name="Heads")).to_be_visible()
    assert faults(page) == []
