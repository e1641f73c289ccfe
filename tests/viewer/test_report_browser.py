"""A saved page in Chromium: from disk it shows the same, and asks for nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from flowglass.viewer.theme import DARK, LIGHT

from .conftest import FULL
from .test_browser import Tab, graph_of
from .test_hostile import IMAGE, SCRIPT, root, served  # noqa: F401  # a fixture
from .test_pages_browser import DRAWN

WORDS = """(root) => {
    const found = []
    const read = (node) => {
        if (node.nodeType === Node.TEXT_NODE) found.push(node.data)
        if (["STYLE", "SCRIPT", "TEMPLATE"].includes(node.nodeName)) return
        if (node.nodeType === Node.ELEMENT_NODE
            && getComputedStyle(node).display === "none") return
        for (const child of node.shadowRoot?.childNodes ?? []) read(child)
        for (const child of node.childNodes) read(child)
    }
    read(root)
    return found.join(" ").split(/\\s+/).filter(Boolean)
}"""
"""All text in sight, in order."""
FONTS_LOADED = """() => document.fonts.ready.then(() => [...document.fonts]
    .filter((face) => face.status === "loaded").map((face) => face.weight))"""
SHOWN = """(name) => Bokeh.index.find_one(Bokeh.documents.map(
    (d) => d.get_model_by_name(name)).find(Boolean)).el"""


@pytest.fixture(scope="module")
def tab(corpus: str, browser: BrowserContext) -> Iterator[Tab]:
    """A tab on a run with everything."""
    opened = Tab(browser.new_page(), corpus)
    opened.load(f"?run={FULL}&view=head&layer=2&head=1")
    yield opened
    opened.page.close()
    assert not opened.foreign
    assert not opened.errors


def saved(page: Page, path: Path) -> Path:
    """The page that is shown, as a file."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save this page").click()
    download.value.save_as(path)
    return path


class Opened:
    """A file opened from disk, without a network, and what it did."""

    def __init__(self, browser: BrowserContext, path: Path) -> None:
        self.page = browser.new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("console", lambda m: self.said.append(m.text))
        self.page.on("pageerror", lambda e: self.said.append(str(e)))
        self.page.goto(path.as_uri())
        self.page.wait_for_timeout(300)

    def quiet(self, path: Path) -> None:
        """It asked for itself and for what it holds, and said nothing."""
        asked = [url for url in self.requests if not url.startswith("data:")]
        assert asked == [path.as_uri()]
        assert self.said == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_saved_page_shows_the_same_without_a_server(
    tab: Tab, browser: BrowserContext, tmp_path: Path, theme: str
) -> None:
    """The same words in order, its plots as images, the colours of its theme."""
    page = tab.page
    dark = "&theme=dark" if theme == "dark" else ""
    tab.visit(f"?run={FULL}&view=head&layer=2&head=1&role=previous{dark}")
    palette = DARK if dark else LIGHT
    surface = f"rgb{tuple(bytes.fromhex(palette.surface.removeprefix('#')))}"
    expect(page.locator("main")).to_have_css("background-color", surface)
    expect(page.get_by_role("heading", name="Top examples · Prev")).to_be_visible()
    expect(page).to_have_title("layer 2 head 1 · flowglass")
    page.wait_for_function(DRAWN, arg="spreads")
    page.wait_for_timeout(500)  # the plots are painted in the frame after
    shown = page.evaluate(WORDS, page.evaluate_handle(SHOWN, "page-head"))

    path = saved(page, tmp_path / "head.html")
    file = Opened(browser, path)

    file.quiet(path)
    assert file.page.evaluate(WORDS, file.page.query_selector("main")) == shown
    assert len(shown) > 300
    assert file.page.locator("body").evaluate(
        "e => getComputedStyle(e).backgroundColor"
    ) == surface.replace(",", ", ").replace("  ", " ")
    assert file.page.locator("main img").count() >= 3
    assert file.page.evaluate(FONTS_LOADED) == ["400", "700"]
    assert file.page.evaluate("document.scripts.length") == 0
    about = file.page.locator(".about")
    expect(about).to_contain_text("model_hash")
    expect(about).to_contain_text("head_queries.examples")
    about.locator("summary").first.click()
    expect(about.locator("details pre").first).to_contain_text('"role"')
    assert file.page.evaluate("document.scrollingElement.scrollWidth") <= 1500
    file.page.close()


def test_a_saved_prediction_has_its_graph(
    tab: Tab, browser: BrowserContext, tmp_path: Path
) -> None:
    """The three canvases of the graph lie over one another, as they did."""
    page = tab.page
    tab.visit(f"?run={FULL}&prompt=0")
    graph_of(page)
    page.wait_for_timeout(300)
    path = saved(page, tmp_path / "prediction.html")

    file = Opened(browser, path)

    file.quiet(path)
    large = [
        box
        for image in file.page.locator("main img").all()
        if (box := image.bounding_box()) and box["width"] > 300 and box["height"] > 200
    ]
    assert len(large) == 3
    assert len({(box["x"], box["y"]) for box in large}) == 1
    file.page.close()


def test_what_a_reader_typed_is_saved(
    tab: Tab, browser: BrowserContext, tmp_path: Path
) -> None:
    """The condition of a comparison and the chosen measure."""
    page = tab.page
    tab.visit(f"?run={FULL}&view=compare&a=dataset+%3D+%27ioi%27&measure=logit")
    expect(page.get_by_role("table", name="components")).to_be_visible()
    expect(page.get_by_label("Measure")).to_have_value("logit")
    path = saved(page, tmp_path / "compare.html")

    file = Opened(browser, path)

    file.quiet(path)
    expect(file.page.get_by_label("Condition of A")).to_have_value("dataset = 'ioi'")
    expect(file.page.get_by_label("Measure")).to_have_value("logit")
    file.page.close()


def test_hostile_tokens_are_text_in_the_file_too(
    root: Path,  # noqa: F811
    browser: BrowserContext,
    tmp_path: Path,
) -> None:
    """Nothing of them runs, and nothing is made of them."""
    with served(root, tmp_path / "hostile.log") as address:
        tab = Tab(browser.new_page(), address)
        tab.load("?prompt=0")
        graph_of(tab.page)
        path = saved(tab.page, tmp_path / "hostile.html")
        tab.page.close()

    file = Opened(browser, path)

    file.quiet(path)
    assert file.page.evaluate("window.hacked") is None
    assert file.page.evaluate("document.scripts.length") == 0
    assert file.page.locator("img[src=x]").count() == 0
    words = " ".join(file.page.evaluate(WORDS, file.page.query_selector("body")))
    assert SCRIPT in re.sub(r"[·\s]", "", words)
    assert IMAGE.replace(" ", "") in re.sub(r"[·\s]", "", words)
    file.page.close()
