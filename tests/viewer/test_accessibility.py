"""axe-core finds nothing wrong with any page, light or dark."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from flowglass.viewer.theme import DARK, LIGHT, Palette

from .test_browser import Tab, graph_of

CHOSEN = {
    "edge": "&selected=attn-3-24-5",
    "dot": "&selected=mid-3-24",
    "square": "&selected=ffn-3-24",
}
THEMES = {"light": LIGHT, "dark": DARK}


@pytest.fixture(scope="module")
def tab(demo: str, browser: BrowserContext) -> Iterator[Tab]:
    """A tab on the demo's store, where every panel has something to show."""
    opened = Tab(browser.new_page(), demo)
    opened.load("")
    yield opened
    opened.page.close()


def turn_to(tab: Tab, query: str, theme: Palette) -> Page:
    """Visit a page and wait until its colours have changed, which fades."""
    tab.visit(query + ("&theme=dark" if theme is DARK else ""))
    surface = tuple(bytes.fromhex(theme.surface.removeprefix("#")))
    for part in ("body", ".MuiAppBar-root", "main"):
        expect(tab.page.locator(part)).to_have_css("background-color", f"rgb{surface}")
    return tab.page


def faults(page: Page) -> list[str]:
    """Whatever axe finds wrong, the serious and the small, with where it is; it looks
    again after a moment, for colours fade when the theme changes."""
    for _ in range(4):
        if not looked(page):
            return []
        page.wait_for_timeout(500)
    return looked(page)


def looked(page: Page) -> list[str]:
    return [
        f"{fault['impact']} {fault['id']}: {node['html'][:200]}"
        for fault in Axe().run(page).response["violations"]
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_the_front_page_and_its_form_are_accessible(tab: Tab, theme: Palette) -> None:
    """Runs, map, prompts, a menu, and the form with a complaint."""
    page = turn_to(tab, "?page=1", theme)
    expect(page.get_by_role("table", name="Prompts").get_by_role("row")).to_have_count(
        9
    )
    page.get_by_role("button", name="Trace").click()
    expect(page.get_by_role("form").get_by_role("status")).not_to_be_empty()
    page.get_by_role("button", name="Download: Prompts").click()

    assert faults(page) == []


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
@pytest.mark.parametrize("chosen", CHOSEN.values(), ids=CHOSEN)
def test_a_prediction_is_accessible_whatever_is_chosen(
    tab: Tab, chosen: str, theme: Palette
) -> None:
    """Strip, graph, words, attribution, and what is said of the chosen."""
    page = turn_to(tab, f"?prompt=0{chosen}", theme)
    graph_of(page)
    panel = page.get_by_role("region", name="What is chosen")
    expect(panel.get_by_role("heading", level=2)).to_contain_text("Layer 3")

    assert faults(page) == []


def test_a_page_without_anything_is_accessible(tab: Tab) -> None:
    """A prompt that is not there; its heading says where one is."""
    page = turn_to(tab, "?prompt=999", LIGHT)
    expect(page.get_by_role("heading", level=1)).to_have_text("prompt 999")

    assert faults(page) == []
