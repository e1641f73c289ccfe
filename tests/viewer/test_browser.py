"""The viewer in Chromium: what a reader does, and that nothing leaves the machine."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, expect

from flowglass.store import open_store

from .conftest import PARALLEL, TINY

HERE = re.compile(r"(https?|ws)://127\.0\.0\.1[:/]|data:|blob:")
GRAPH = "[data-testid=route-graph]"
PATIENCE = 40_000  # ms; the machine may be busy with a sweep
expect.set_options(timeout=PATIENCE)


class Tab:
    """A browser tab on the viewer, and what went wrong in it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.foreign: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda r: HERE.match(r.url) or self.foreign.append(r.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._heard)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def load(self, query: str) -> None:
        """Open an address anew, as from a link."""
        self.page.goto(self.address + query)
        self.page.get_by_role("navigation", name="Where you are").wait_for()

    def visit(self, query: str) -> None:
        """Go to an address within the page, as Back does: a load takes seconds."""
        self.page.evaluate(
            """(query) => {
                history.pushState({}, "", location.pathname + query)
                dispatchEvent(new PopStateEvent("popstate"))
            }""",
            query,
        )


@pytest.fixture(scope="module")
def opened(viewer: str, browser: BrowserContext) -> Iterator[Tab]:
    """The tab that all tests here use."""
    tab = Tab(browser.new_page(), viewer)
    tab.load("")
    yield tab
    tab.page.close()


@pytest.fixture
def tab(opened: Tab) -> Iterator[Tab]:
    """The tab, failing the test if anything foreign is asked for or goes wrong."""
    yield opened
    foreign, errors = opened.foreign[:], opened.errors[:]
    opened.foreign.clear()
    opened.errors.clear()
    assert not foreign
    assert not errors


def open_prompt(
    tab: Tab, run: str, prompt: int, *, target: int, threshold: float = 0.04
) -> Page:
    """Visit a prediction, whose stored target is known, and wait for its graph."""
    tab.visit(f"?run={run}&prompt={prompt}&threshold={threshold}")
    expect(tab.page).to_have_title(f"prompt {prompt} · flowglass")
    expect(graph_of(tab.page)).to_have_attribute("data-target", str(target))
    expect(graph_of(tab.page)).to_have_attribute("data-threshold", str(threshold))
    return tab.page


def graph_of(page: Page) -> Locator:
    """The route graph, once it is drawn."""
    graph = page.locator(f"{GRAPH}[data-edges]")
    graph.wait_for()
    return graph


def drawn(page: Page) -> int:
    """How many edges the graph draws."""
    return int(graph_of(page).get_attribute("data-edges") or -1)


def column(page: Page, position: int) -> tuple[float, float]:
    """Where a token's label under the graph is on the screen."""
    graph = graph_of(page)
    box = graph.locator(".scroll").bounding_box()
    assert box is not None
    width = float(graph.get_attribute("data-column-width") or 0)
    return box["x"] + 62 + (position + 0.5) * width, box["y"] + box["height"] - 22


def test_a_reader_finds_a_prompt_and_sees_its_route(tab: Tab) -> None:
    """From the front page: search, open, look; Back leads to the list as it was."""
    page = tab.page
    rows = page.get_by_role("table", name="Prompts").locator("tbody tr")
    expect(rows).to_have_count(25)

    page.get_by_label("Search the text").fill("capital of")
    page.get_by_label("Search the text").press("Enter")
    expect(rows).to_have_count(13)
    page.get_by_role("button", name="Prob.").click()
    expect(page).to_have_url(re.compile("sort=predicted_prob"))
    rows.nth(0).get_by_role("link").first.click()

    assert drawn(page) > 0
    expect(page).to_have_url(re.compile(r"prompt=\d+"))
    expect(page).to_have_title(re.compile(r"prompt \d+ · flowglass"))
    page.go_back()
    expect(rows).to_have_count(13)
    page.go_forward()
    assert drawn(page) > 0


def test_the_slider_filters_as_sql_does(tab: Tab, store_path: Path) -> None:
    """At every step the browser draws what `survives_at > threshold` counts."""
    page = open_prompt(tab, TINY, 0, target=14)
    graph = graph_of(page)
    with open_store(store_path) as store:
        survives = store.table(
            "SELECT survives_at FROM routes WHERE run_id = ? AND prompt_id = 0", [TINY]
        )["survives_at"].to_numpy()
    slider = page.get_by_role("slider", name="Threshold")
    assert drawn(page) == (survives > 0.04).sum()

    slider.focus()
    for expected in (0.035, 0.03, 0.025, 0.02):
        slider.press("ArrowLeft")
        expect(graph).to_have_attribute("data-threshold", str(expected))
        assert drawn(page) == (survives > expected).sum()

    assert drawn(page) > (survives > 0.04).sum()
    expect(page).to_have_url(re.compile("threshold=0.02"))


def test_a_click_on_a_token_makes_it_the_target(tab: Tab) -> None:
    """In the strip or in the graph; Back takes it back."""
    page = open_prompt(tab, TINY, 0, target=14)
    graph = graph_of(page)

    page.get_by_test_id("token-9").click()
    expect(graph).to_have_attribute("data-target", "9")
    expect(page).to_have_url(re.compile("target=9"))
    expect(page.get_by_text("at position 9")).to_be_visible()

    page.mouse.click(*column(page, 4))
    expect(graph).to_have_attribute("data-target", "4")
    expect(page.get_by_test_id("token-4")).to_have_attribute("aria-selected", "true")
    expect(page).to_have_url(re.compile("target=4"))

    page.go_back()
    expect(graph).to_have_attribute("data-target", "9")
    expect(page.get_by_test_id("token-9")).to_have_attribute("aria-selected", "true")


def test_keys_walk_the_graph(tab: Tab) -> None:
    """Brackets move the threshold, arrows the cursor, T makes a target."""
    page = open_prompt(tab, TINY, 0, target=14)
    graph = graph_of(page)

    page.keyboard.press("]")
    expect(graph).to_have_attribute("data-threshold", "0.045")
    expect(page).to_have_url(re.compile("threshold=0.045"))
    graph.locator(".scroll").focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    expect(graph.locator(".tip")).to_contain_text("Layer 3 · after attention")
    expect(graph.locator(".tip")).to_contain_text("(12)")
    page.keyboard.press("t")

    expect(graph).to_have_attribute("data-target", "12")
    expect(page).to_have_url(re.compile("target=12"))


def test_hovering_tells_what_an_edge_is(tab: Tab) -> None:
    """An FFN square of the target's column names layer, kind and contribution."""
    page = open_prompt(tab, TINY, 0, target=14, threshold=0.01)
    box = graph_of(page).locator(".scroll").bounding_box()
    assert box is not None
    x, _ = column(page, 14)
    tip = graph_of(page).locator(".tip")

    for y in range(int(box["y"]) + 50, int(box["y"] + box["height"]), 8):
        page.mouse.move(x + 17, y)
        if "FFN" in (tip.text_content() or ""):
            break

    expect(tip).to_contain_text(re.compile(r"Layer \d · FFN"))
    expect(tip).to_contain_text(re.compile(r"contribution0\.\d{3}"))
    expect(tip).to_contain_text("·to (14)")


def test_a_long_prompt_scrolls_to_its_target(tab: Tab) -> None:
    """A hundred tokens, parallel blocks: the target's column is in view."""
    page = open_prompt(tab, PARALLEL, 2, target=99)

    assert drawn(page) > 0
    scroll = graph_of(page).locator(".scroll")
    assert scroll.evaluate("e => e.scrollLeft") > 0


def test_the_theme_turns_everything(tab: Tab) -> None:
    """Page and canvas change colour, and the address remembers."""
    page = open_prompt(tab, TINY, 0, target=14)
    assert shades(page) == ["light", "light"]

    page.get_by_role("button", name="Toggle theme").click()

    expect(page).to_have_url(re.compile("theme=dark"))
    wait_for_shades(page, ["dark", "dark"])


def test_a_link_reopens_the_same_view(tab: Tab) -> None:
    """Run, prompt, target, threshold and theme are in the address."""
    tab.load(f"?run={TINY}&prompt=3&target=6&threshold=0.015&theme=dark")

    page = tab.page
    expect(graph_of(page)).to_have_attribute("data-target", "6")
    expect(graph_of(page)).to_have_attribute("data-threshold", "0.015")
    expect(page.get_by_test_id("token-6")).to_have_attribute("aria-selected", "true")
    wait_for_shades(page, ["dark", "dark"])


def shades(page: Page) -> list[str]:
    """Whether the page's ground and the graph's uppermost layer are light or dark."""
    ground = page.locator("body").evaluate(
        "e => getComputedStyle(e).backgroundColor.match(/[0-9]+/g).map(Number)"
    )
    layer = graph_of(page).evaluate(
        """e => {
            const canvas = e.querySelector('canvas')
            const copy = document.createElement('canvas')
            const ink = copy.getContext('2d', { willReadFrequently: true })
            ink.drawImage(canvas, 4 - canvas.width, -80)
            return [...ink.getImageData(0, 0, 1, 1).data]
        }"""
    )
    return ["dark" if sum(c[:3]) < 3 * 128 else "light" for c in (ground, layer)]


def wait_for_shades(page: Page, wanted: list[str]) -> None:
    """Return once the page looks as wanted; fail if it never does."""
    deadline = time.monotonic() + PATIENCE / 1000
    while shades(page) != wanted and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert shades(page) == wanted


def test_rows_are_links(tab: Tab) -> None:
    """A row's address is its prediction, for another tab to open."""
    tab.visit("")
    rows = tab.page.get_by_role("table", name="Prompts").locator("tbody tr")

    href = rows.nth(3).get_by_role("link").first.get_attribute("href")

    assert href == f"?run={TINY}&prompt=3"


def test_the_keyboard_opens_a_row(tab: Tab) -> None:
    """Tab goes from row to row, one stop each; Enter opens."""
    tab.visit("")
    rows = tab.page.get_by_role("table", name="Prompts").locator("tbody tr")
    rows.nth(3).get_by_role("link").first.focus()

    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")

    expect(tab.page).to_have_title("prompt 4 · flowglass")


def test_runs_keep_their_names_in_a_narrow_window(tab: Tab) -> None:
    """The table scrolls instead of squeezing a column to nothing."""
    tab.visit("")
    size = tab.page.viewport_size
    assert size is not None
    tab.page.set_viewport_size({"width": 640, "height": 800})

    name = tab.page.get_by_role("table", name="Runs").get_by_text(TINY).bounding_box()

    tab.page.set_viewport_size(size)
    assert name is not None
    assert name["width"] > 100
