"""The viewer in Chromium: what a reader does, and that nothing leaves the machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from flowglass.store import open_store

from .conftest import PARALLEL, TINY

HERE = re.compile(r"(https?|ws)://127\.0\.0\.1[:/]|data:|blob:")
GRAPH = "[data-testid=route-graph]"
PATIENCE = 40_000  # ms; the machine may be busy with a sweep
expect.set_options(timeout=PATIENCE)


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """A tab that fails its test if anything foreign is asked for or goes wrong."""
    tab = browser.new_page()
    tab.set_default_timeout(PATIENCE)
    foreign: list[str] = []
    wrong: list[str] = []
    tab.on("request", lambda r: HERE.match(r.url) or foreign.append(r.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda m: m.type == "error" and wrong.append(m.text))
    yield tab
    tab.close()
    assert not foreign
    assert not wrong


def graph_of(page: Page) -> Locator:
    """The route graph, once it is drawn."""
    graph = page.locator(f"{GRAPH}[data-edges]")
    graph.wait_for()
    return graph


def drawn(page: Page) -> int:
    """How many edges the graph draws."""
    return int(graph_of(page).get_attribute("data-edges") or -1)


def prompt_address(viewer: str, run: str, prompt: int, more: str = "") -> str:
    return f"{viewer}?run={run}&prompt={prompt}{more}"


def stored_edges(store_path: Path, prompt: int, threshold: float) -> int:
    """How many edges of a stored target's route survive a threshold, by SQL."""
    query = """
        SELECT count(*) FROM routes
        WHERE run_id = ? AND prompt_id = ? AND survives_at > ?
    """
    with open_store(store_path) as store:
        ((count,),) = store.sql(query, [TINY, prompt, threshold]).fetchall()
    return int(count)


def column(page: Page, position: int) -> tuple[float, float]:
    """Where a token's label under the graph is on the screen."""
    graph = graph_of(page)
    box = graph.locator(".scroll").bounding_box()
    assert box is not None
    width = float(graph.get_attribute("data-column-width") or 0)
    return box["x"] + 62 + (position + 0.5) * width, box["y"] + box["height"] - 22


def test_a_reader_finds_a_prompt_and_sees_its_route(viewer: str, page: Page) -> None:
    """From the front page: search, open, look; Back leads to the list as it was."""
    page.goto(viewer)
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


def test_the_slider_filters_as_sql_does(
    viewer: str, page: Page, store_path: Path
) -> None:
    """At every step the browser draws what `survives_at > threshold` counts."""
    page.goto(prompt_address(viewer, TINY, 0))
    slider = page.get_by_role("slider", name="Threshold")
    assert drawn(page) == stored_edges(store_path, 0, 0.04)

    seen = {drawn(page)}
    slider.focus()
    for _ in range(4):
        before = graph_of(page).get_attribute("data-threshold")
        slider.press("ArrowLeft")
        expect(graph_of(page)).not_to_have_attribute("data-threshold", before or "")
        threshold = float(graph_of(page).get_attribute("data-threshold") or 0)
        assert drawn(page) == stored_edges(store_path, 0, threshold)
        seen.add(drawn(page))

    assert len(seen) > 2
    expect(page).to_have_url(re.compile("threshold=0.02"))


def test_a_click_on_a_token_makes_it_the_target(viewer: str, page: Page) -> None:
    """In the strip or in the graph; Back takes it back."""
    page.goto(prompt_address(viewer, TINY, 0))
    graph = graph_of(page)
    expect(graph).to_have_attribute("data-target", "14")

    page.get_by_test_id("token-9").click()
    expect(graph).to_have_attribute("data-target", "9")
    expect(page).to_have_url(re.compile("target=9"))
    expect(page.get_by_text("at position 9")).to_be_visible()

    page.mouse.click(*column(page, 4))
    expect(graph).to_have_attribute("data-target", "4")
    expect(page.get_by_test_id("token-4")).to_have_attribute("aria-selected", "true")

    page.go_back()
    expect(graph).to_have_attribute("data-target", "9")


def test_keys_walk_the_graph(viewer: str, page: Page) -> None:
    """Brackets move the threshold, arrows the cursor, Enter makes a target."""
    page.goto(prompt_address(viewer, TINY, 0))
    graph = graph_of(page)

    page.keyboard.press("]")
    expect(graph).to_have_attribute("data-threshold", "0.045")
    graph.locator(".scroll").focus()
    for key in ("ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowDown"):
        page.keyboard.press(key)
    expect(graph.locator(".tip")).to_contain_text("Layer 3 · after attention")
    expect(graph.locator(".tip")).to_contain_text("(12)")
    page.keyboard.press("Enter")

    expect(graph).to_have_attribute("data-target", "12")


def test_hovering_tells_what_an_edge_is(viewer: str, page: Page) -> None:
    """The FFN square of the target's last layer names layer, kind and contribution."""
    page.goto(prompt_address(viewer, TINY, 0))
    box = graph_of(page).locator(".scroll").bounding_box()
    assert box is not None
    x, _ = column(page, 14)
    tip = graph_of(page).locator(".tip")

    for y in range(int(box["y"]) + 40, int(box["y"] + box["height"]), 4):
        page.mouse.move(x + 17, y)
        if tip.is_visible() and "FFN" in (tip.text_content() or ""):
            break

    expect(tip).to_contain_text("Layer 3 · FFN")
    expect(tip).to_contain_text(re.compile(r"contribution0\.\d{3}"))
    expect(tip).to_contain_text("·to (14)")


def test_a_link_reopens_the_same_view(viewer: str, page: Page) -> None:
    """Run, prompt, target and threshold are in the address."""
    more = "&target=6&threshold=0.015"
    page.goto(prompt_address(viewer, TINY, 3, more))

    expect(graph_of(page)).to_have_attribute("data-target", "6")
    expect(graph_of(page)).to_have_attribute("data-threshold", "0.015")
    expect(page.get_by_test_id("token-6")).to_have_attribute("aria-selected", "true")


def test_a_long_prompt_scrolls_to_its_target(viewer: str, page: Page) -> None:
    """A hundred tokens, parallel blocks: the target's column is in view."""
    page.goto(prompt_address(viewer, PARALLEL, 2))

    assert drawn(page) > 0
    scroll = graph_of(page).locator(".scroll")
    assert scroll.evaluate("e => e.scrollLeft") > 0


def test_the_theme_turns_everything(viewer: str, page: Page) -> None:
    """Page, tables and canvas change colour, and the address remembers."""
    page.goto(prompt_address(viewer, TINY, 0))
    ground = "e => getComputedStyle(e.closest('body')).backgroundColor"
    corner = """e => { const c = e.querySelector('canvas')
        return [...c.getContext('2d').getImageData(c.width - 4, 80, 1, 1).data] }"""
    graph_of(page)
    light = page.locator("body").evaluate(ground), graph_of(page).evaluate(corner)

    page.get_by_role("button", name="Toggle theme").click()
    expect(page).to_have_url(re.compile("theme=dark"))
    page.wait_for_timeout(400)

    dark = page.locator("body").evaluate(ground), graph_of(page).evaluate(corner)
    assert dark[0] != light[0]
    assert dark[1] != light[1]
    assert sum(dark[1][:3]) < 200 < sum(light[1][:3])
    page.reload()
    graph_of(page)
    assert page.locator("body").evaluate(ground) == dark[0]


def test_rows_are_links(viewer: str, page: Page) -> None:
    """A row can be opened in another tab, and its address is that prediction."""
    page.goto(viewer)
    rows = page.get_by_role("table", name="Prompts").locator("tbody tr")
    href = rows.nth(3).get_by_role("link").first.get_attribute("href")
    assert href

    page.goto(viewer + href)

    assert drawn(page) > 0
    expect(page).to_have_title("prompt 3 · flowglass")
