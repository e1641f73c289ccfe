"""The demo's store in Chromium, from the list to a neuron.

Every step shows what `trace` says of the same prompt, nothing leaves the machine, and
nothing sticks out of the page.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from flowglass.pipeline import trace
from flowglass.pipeline.tracing import Trace
from flowglass.store import open_store
from flowglass.viewer.theme import show_whitespace

from .test_browser import Tab, drawn, graph_of, wait_for_shades

MODEL = "tiny-gpt2"
SIZES = ((1280, 800), (1920, 1080))
LIVE = "The capital of France is"

STICKING_OUT = """() => {
    const found = []
    const look = (element) => {
        const style = getComputedStyle(element)
        const box = element.getBoundingClientRect()
        if (style.display === "none" || style.clipPath !== "none") return
        const isPage = element.matches("html, body, main, .main-content")
        if (isPage && element.scrollWidth > element.clientWidth) found.push(
            `${element.className || element.tagName} scrolls`)
        if (box.width && (box.left < -1 || box.right > innerWidth + 1)) found.push(
            `${element.tagName}.${element.className} ${box.left} ${box.right}`)
        // What scrolls or clips by itself has been measured whole.
        if (!isPage && style.overflowX !== "visible") return
        for (const inner of (element.shadowRoot ?? element).children) look(inner)
    }
    look(document.documentElement)
    return found
}"""


@pytest.fixture(scope="module")
def traced(demo_path: Path) -> Trace:
    """The demo's first prompt, traced."""
    with open_store(demo_path) as store:
        row = store.table("SELECT * FROM prompts ORDER BY prompt_id LIMIT 1")
    (prompt,) = row.to_pylist()
    asked = {name: prompt[name] for name in ("answer", "distractor")}
    return trace(MODEL, prompt["text"], targets="answer", tensors="dense", **asked)


@pytest.fixture
def tab(demo: str, browser: BrowserContext) -> Iterator[Tab]:
    """A tab on the demo; nothing foreign is asked for, and nothing goes wrong."""
    opened = Tab(browser.new_page(), demo)
    yield opened
    opened.page.close()
    assert not opened.foreign
    assert not opened.errors


def fits(page: Page) -> None:
    """Nothing sticks out to the side, in a small window and in a large one."""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(f"innerWidth === {width}")
        page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => "
            "requestAnimationFrame(done)))"
        )
        assert page.evaluate(STICKING_OUT) == [], width


def rows_of(table: Any, **where: object) -> list[dict[str, Any]]:
    """Rows of a traced table."""
    return [r for r in table.to_pylist() if all(r[k] == v for k, v in where.items())]


def cells(table: Locator) -> list[list[str]]:
    """What a table shows."""
    return [row.split("\t") for row in table.locator("tbody").inner_text().split("\n")]


def click(page: Page, name: str) -> None:
    """Select something in the graph with the mouse."""
    graph_of(page).scroll_into_view_if_needed()
    x, y = graph_of(page).evaluate("(graph, name) => graph.placeOf(name)", name)
    page.mouse.click(x, y)
    expect(graph_of(page)).to_have_attribute("data-selected", name)


def table(page: Page, name: str) -> Locator:
    """A table by the beginning of its caption."""
    return page.get_by_role("table", name=re.compile("^" + re.escape(name)))


def promoted(rows: list[dict[str, Any]]) -> list[str]:
    """The promoted tokens of a write, as the page shows them."""
    up = sorted((r for r in rows if r["sign"] > 0), key=lambda row: row["rank"])
    return [show_whitespace(row["token"]) for row in up]


def test_a_reader_goes_from_the_list_to_a_neuron(
    tab: Tab, traced: Trace, browser: BrowserContext
) -> None:
    """Select, slide, edge, head, dot, square, neuron; the link opens the same again."""
    tab.load("")
    page = tab.page
    prompts = page.get_by_role("table", name="Prompts").locator("tbody tr")
    expect(prompts).to_have_count(8)
    fits(page)
    prompts.first.get_by_role("link").first.click()
    target = rows_of(traced.targets)[0]["target"]
    expect(graph_of(page)).to_have_attribute("data-target", str(target))
    assert drawn(page) == traced.route(target, threshold=0.04).num_rows
    fits(page)

    slider = page.get_by_role("slider", name="Threshold")
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    expect(graph_of(page)).to_have_attribute("data-threshold", "0.03")
    route = traced.route(target, threshold=0.03)
    assert drawn(page) == route.num_rows

    edge = max(rows_of(route, kind="attn"), key=lambda row: float(row["contribution"]))
    layer, query, key = (edge[name] for name in ("layer", "query", "key"))
    click(page, f"attn-{layer}-{query}-{key}")
    place = {"layer": layer, "query": query, "key": key}
    heads = rows_of(traced.edges, kind="attn", **place)
    chips = page.get_by_role("radiogroup", name=re.compile("Heads")).get_by_role(
        "radio"
    )
    expect(chips).to_have_count(len(heads))
    for row in heads:
        said = f"{row['contribution']:.3f}"
        expect(page.get_by_test_id(f"head-{row['head']}")).to_contain_text(said)
    fits(page)

    head = heads[-1]["head"]
    page.get_by_test_id(f"head-{head}").click()
    expect(page).to_have_url(re.compile(f"head={head}"))
    written = {"component": "head", "layer": layer, "index": head, "position": query}
    shown = cells(table(page, f"Head {head}, all it writes"))
    assert [row[0] for row in shown] == promoted(rows_of(traced.writes, **written))

    click(page, f"mid-{layer}-{query}")
    lens = rows_of(traced.lens, layer=layer, state="mid", position=query)
    shown = cells(table(page, "Logit lens"))
    assert [row[1] for row in shown] == [show_whitespace(r["token"]) for r in lens]
    fits(page)

    click(page, f"ffn-{layer}-{query}")
    neurons = rows_of(traced.neurons, layer=layer, position=query)
    for row in neurons:
        expect(page.get_by_test_id(f"neuron-{row['neuron']}")).to_be_visible()
    neuron = neurons[1]["neuron"]
    page.get_by_test_id(f"neuron-{neuron}").click()
    expect(page).to_have_url(re.compile(f"neuron={neuron}"))
    written = {"component": "neuron", "layer": layer, "index": neuron}
    written["position"] = query
    shown = cells(table(page, f"Neuron {neuron} here"))
    assert [row[0] for row in shown] == promoted(rows_of(traced.writes, **written))
    fits(page)

    page.get_by_role("button", name="Toggle theme").click()
    wait_for_shades(page, ["dark", "dark"])
    other = Tab(browser.new_page(), tab.address)
    other.load(page.url.removeprefix(tab.address))
    assert seen(other.page) == seen(page)
    wait_for_shades(other.page, ["dark", "dark"])
    other.page.close()
    assert not other.foreign
    assert not other.errors


def seen(page: Page) -> list[object]:
    """What a view consists of: the graph's settings, and all that is told beside it."""
    graph = graph_of(page)
    expect(page.get_by_role("button", name="Close")).to_be_visible()
    settings = ("edges", "target", "threshold", "selected")
    regions = ("What is chosen", "Logit attribution")
    return [
        page.title(),
        page.get_by_role("heading", level=1).inner_text(),
        *(graph.get_attribute(f"data-{name}") for name in settings),
        *(page.get_by_role("region", name=name).inner_text() for name in regions),
        page.get_by_role("radio", checked=True).inner_text(),
    ]


def test_a_reader_types_a_prompt(tab: Tab) -> None:
    """It is traced, shown as `trace` gives it, and listed as live."""
    tab.load("")
    page = tab.page
    page.get_by_label("Prompt", exact=True).fill(LIVE)
    page.get_by_label("Answer").fill("Paris")
    page.get_by_role("button", name="Trace").click()
    expect(page).to_have_title("prompt 0 · flowglass", timeout=120_000)

    found = trace(MODEL, LIVE, answer="Paris", targets="answer")
    target = rows_of(found.targets)[0]["target"]
    expect(graph_of(page)).to_have_attribute("data-target", str(target))
    assert drawn(page) == found.route(target, threshold=0.04).num_rows
    expect(page.get_by_text("gone when this server ends")).to_be_visible()
    fits(page)

    page.get_by_role("link", name="flowglass").click()
    expect(page.get_by_role("table", name="Runs")).to_contain_text("live")
    fits(page)
