"""The route graph in Chromium: select, hover, brush, zoom, save, by hand and by key."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from flowglass.viewer import route_graph

from .graph_stand import edge_table, stand, told
from .synthetic_flow import Shape

TOKENS = ["<s>", "·When", "·Mary", "·met", "·<b>John</b>", "·&", "\x1b[31m", "·gave"]
LAYERS, TARGET = 4, 7
SHAPE = Shape(layers=LAYERS, heads=4)
EDGES = edge_table(SHAPE, positions=len(TOKENS), seed=3)
GRAPH = "[data-testid=route-graph]"
SOURCE = "".join(
    Path(route_graph.__file__).with_name(name).read_text()
    for name in ("routes.js", "graph_names.js")
)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def opened(browser: BrowserContext) -> Iterator[Page]:
    """The page that all tests here use."""
    page = browser.new_page()
    page.set_viewport_size({"width": 820, "height": 800})
    yield page
    page.close()


@pytest.fixture
def page(opened: Page) -> Iterator[Page]:
    """A page with a graph of its own, failing the test if anything goes wrong."""
    errors: list[str] = []
    hear = lambda error: errors.append(str(error))  # noqa: E731  # to be unhooked
    opened.on("pageerror", hear)
    stand(opened, EDGES, TOKENS, n_layers=LAYERS, threshold=0.02)
    yield opened
    opened.remove_listener("pageerror", hear)
    assert not errors


def place(page: Page, name: str) -> tuple[float, float]:
    """Where in the window something is drawn."""
    x, y = page.evaluate(
        "(name) => document.querySelector('.graph').placeOf(name)", name
    )
    return x, y


def strongest(page: Page, layer: int, query: int) -> str:
    """The name of the strongest attention edge into a state."""
    rows = [
        (row["contribution"], f"attn-{layer}-{query}-{row['key']}")
        for row in EDGES.to_pylist()
        if (row["layer"], row["query"], row["kind"]) == (layer, query, "attn")
    ]
    return max(rows)[1]


@pytest.mark.parametrize("name", ["mid-3-7", "ffn-3-7", "embed-7"])
def test_a_click_selects(page: Page, name: str) -> None:
    """A dot or a square; a click on nothing clears."""
    page.mouse.click(*place(page, name))
    assert told(page, "selected") == name
    expect(page.locator(GRAPH)).to_have_attribute("data-selected", name)

    x, y = place(page, "mid-3-1")
    page.mouse.click(x + 30, y + 12)
    assert told(page, "selected") == ""


def test_a_residual_line_selects_the_state_it_leads_to(page: Page) -> None:
    """It has no name of its own."""
    (x, low), (_, high) = place(page, "embed-7"), place(page, "mid-0-7")

    page.mouse.click(x, (low + high) / 2)

    assert told(page, "selected") == "mid-0-7"


def test_hovering_dims_the_rest_and_names_the_heads(page: Page) -> None:
    """Until the pointer is gone; what is selected stays marked."""
    name = strongest(page, 3, TARGET)
    page.mouse.move(*place(page, name))

    expect(page.locator(GRAPH)).to_have_class(re.compile("dim"))
    expect(page.locator(".tip")).to_contain_text("share of what is left here")
    expect(page.locator(".tip")).to_contain_text("head")
    page.mouse.move(1, 1)
    expect(page.locator(GRAPH)).not_to_have_class(re.compile("dim"))


def test_the_keyboard_selects_an_edge_and_makes_a_target(page: Page) -> None:
    """Arrows walk, E enters the edges, Enter selects, T targets, Escape clears."""
    name = strongest(page, 3, TARGET)
    page.locator(".scroll").focus()
    for key in ("ArrowUp", "ArrowDown", "e", "Enter"):
        page.keyboard.press(key)
    assert told(page, "selected") == name
    expect(page.locator(".spoken")).to_contain_text("Selected: Layer 3 · attention")

    page.keyboard.press("ArrowDown")
    page.keyboard.press("t")
    assert told(page, "target") == int(name.split("-")[-1])
    page.keyboard.press("Escape")
    assert told(page, "selected") == ""


def test_controls_tell_python(page: Page) -> None:
    """Renormalise at once, the number of edges when the hand rests."""
    page.get_by_role("switch", name="Renormalise").click()
    assert told(page, "renormalise") is True

    page.get_by_label("Strongest").fill("12")
    expect(page.locator(GRAPH)).to_have_attribute("data-edges", "12")
    page.wait_for_function("() => model.strongest === 12")
    page.get_by_label("Strongest").fill("")
    page.wait_for_function("() => model.strongest === null")


def test_python_tells_the_controls(page: Page) -> None:
    """As after Back: what the address says is shown."""
    page.evaluate("Object.assign(model, {strongest: 9, renormalise: true})")

    expect(page.locator(GRAPH)).to_have_attribute("data-edges", "9")
    expect(page.get_by_label("Strongest")).to_have_value("9")
    expect(page.get_by_role("switch", name="Renormalise")).to_be_checked()


def test_brushes_choose_what_is_drawn(page: Page) -> None:
    """By keyboard or hand; a double click draws all again."""
    first = page.get_by_role("slider", name="First position drawn")
    for _ in range(3):
        first.press("ArrowRight")
    page.get_by_role("slider", name="Last layer drawn").press("ArrowDown")
    page.wait_for_function("() => model.positions === '3-7' && model.layers === '0-2'")
    expect(first).to_have_attribute("aria-valuetext", "3 ·met")

    strip = page.locator(".along")
    box = strip.bounding_box()
    assert box is not None
    y, step = box["y"] + 6, box["width"] / len(TOKENS)
    page.mouse.move(box["x"] + 4.5 * step, y)  # all of it by one to the left
    page.mouse.down()
    page.mouse.move(box["x"] + 3.5 * step, y, steps=3)
    page.mouse.up()
    page.wait_for_function("() => model.positions === '2-6'")
    strip.dblclick()
    page.wait_for_function("() => model.positions === ''")


def test_zoom_keeps_its_place_and_a_drag_pans(page: Page) -> None:
    """What was under the pointer stays there; a drag selects nothing."""
    before = place(page, "mid-1-4")
    page.mouse.move(*before)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    page.wait_for_function("() => document.querySelector('.graph').dataset.zoom > 1.2")
    x, y = place(page, "mid-1-4")
    assert (x, y) == pytest.approx(before, abs=3)

    page.mouse.down()
    page.mouse.move(x - 60, y - 30, steps=4)
    page.mouse.up()
    assert place(page, "mid-1-4") == pytest.approx((x - 60, y - 30), abs=2)
    assert told(page, "selected") == ""


def test_the_graph_is_saved_as_svg(page: Page, tmp_path: Path) -> None:
    """Well-formed whatever the tokens hold, with every line and word."""
    page.evaluate("model.selected = 'ffn-3-7'")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as SVG").click()
    download.value.save_as(tmp_path / "graph.svg")

    drawing = ET.parse(tmp_path / "graph.svg").getroot()
    assert download.value.suggested_filename == "graph.svg"
    words = {element.text for element in drawing.iter(f"{SVG}text")}
    assert {"·<b>John</b>", "·&", "\ufffd[31m", "L3", "embed"} <= words
    attn = "#0c8f78"
    curves = "".join(
        path.get("d", "")
        for path in drawing.iter(f"{SVG}path")
        if path.get("stroke") == attn
    )
    drawn = page.evaluate(
        "() => Number(document.querySelector('.graph').dataset.attention)"
    )
    assert curves.count("C") == drawn > 0


def test_the_graph_is_saved_as_png(page: Page, tmp_path: Path) -> None:
    """Twice as large as it is on the screen."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as PNG").click()
    download.value.save_as(tmp_path / "graph.png")

    head = (tmp_path / "graph.png").read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    shown = page.locator(".scroll").evaluate("e => [e.scrollWidth, e.clientHeight]")
    width, height = (int.from_bytes(head[i : i + 4]) for i in (16, 20))
    assert height == pytest.approx(2 * shown[1], abs=4)
    assert 0 < width <= 2 * shown[0]


def test_a_large_model_fits_the_window(opened: Page) -> None:
    """80 layers and 200 tokens scroll both ways, and fit when zoomed out."""
    edges = edge_table(Shape(layers=80, heads=1), positions=200, seed=1)
    stand(opened, edges, ["·a"] * 200, n_layers=80, threshold=0.15, strongest=500)
    scroll = opened.locator(".scroll")
    room = "e => [e.scrollWidth > e.clientWidth, e.scrollHeight > e.clientHeight]"
    assert scroll.evaluate(room) == [True, True]
    assert scroll.evaluate("e => e.scrollLeft") > 0  # at the target

    opened.get_by_role("button", name="All of it").click()
    opened.wait_for_function(
        "() => document.querySelector('.graph').dataset.zoom < 0.9"
    )

    assert scroll.evaluate(room) == [False, False]


@pytest.mark.parametrize(
    ("name", "parallel"),
    [
        ("attn-2-5-3", False),
        ("ffn-0-4", False),
        ("mid-2-5", False),
        ("post-0-0", False),
        ("embed-5", False),
        ("post-1-3", True),
        ("attn-1-3-3", True),
    ],
)
def test_a_name_is_one_thing(opened: Page, name: str, parallel: bool) -> None:
    """What the address calls selected is found, and called the same again."""
    assert named(opened, name, parallel=parallel) == name


@pytest.mark.parametrize(
    "name", ["", "attn-3-5-3", "attn-2-3-5", "ffn-0-6", "mid-9-0", "embed-6"]
)
def test_a_name_of_nothing_selects_nothing(opened: Page, name: str) -> None:
    """An old link may name what this prompt or this model does not have."""
    assert named(opened, name) == ""


def test_a_model_of_parallel_blocks_has_no_state_in_between(opened: Page) -> None:
    """Attention and FFN write at once."""
    assert named(opened, "mid-1-1", parallel=True) == ""


def named(page: Page, name: str, *, parallel: bool = False) -> Any:
    """The name of what a name stands for."""
    return page.evaluate(
        """([name, parallel]) => { SOURCE
        const shape = { layers: 3, positions: 6, parallel }
        return nameOf(shape, thingOf(shape, name, Array(6).fill([]))) }""".replace(
            "SOURCE", SOURCE
        ),
        [name, parallel],
    )
