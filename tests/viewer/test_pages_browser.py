"""The pages of heads, neurons, tokens and comparisons in Chromium: ways between them,
accessibility, and that they fit."""

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from flowglass.viewer.theme import DARK, LIGHT, Palette

from .conftest import FULL
from .test_browser import Tab, graph_of
from .test_components_browser import CENTRE

HEAD = f"?run={FULL}&view=head&layer=2&head=1"
PAGES = {
    "head": (f"{HEAD}&role=previous", "Examples"),
    "ffn": (f"?run={FULL}&view=ffn&layer=2", "What it writes"),
    "neuron": (f"?run={FULL}&view=neuron&layer=2&neuron=17", "Where it matters"),
    "token": (f"?run={FULL}&view=token&token=the", "Tokens that fit"),
    "compare": (f"?run={FULL}&view=compare&a=dataset+%3D+%27ioi%27", "Differences"),
}
"""With the region that is filled last."""
THEMES = {"light": LIGHT, "dark": DARK}
SETTLED = """() => !document.getAnimations().some(
    (each) => each.effect.getTiming().iterations !== Infinity)"""
"""Nothing fades or moves any more."""
DRAWN = """(name) => [...Bokeh.documents[0].all_models].some((model) =>
    model.name === name && Bokeh.index.find_one(model)?.el?.isConnected)"""
"""A name alone may be that of a figure that is not shown."""
AXES = """(name) => [...Bokeh.documents[0].all_models]
    .filter((model) => model.name === name)
    .map((model) => Bokeh.index.find_one(model)).filter((view) => view?.el?.isConnected)
    .flatMap((view) => [view.frame, ...view.axis_views])
    .map((part) => String(part.bbox))"""
"""Where a figure's frame and axes lie in it."""
BARS = """(name) => {
    const made = [...Bokeh.documents[0].all_models].filter((m) => m.name === name);
    const views = made.map((model) => Bokeh.index.find_one(model));
    const view = views.find((each) => each?.el?.isConnected);
    const [{ glyph, data_source }] = view.model.renderers;
    return { ids: made.map((model) => model.id), colour: glyph.fill_color.value,
             bars: [...data_source.data.share].join() };
}"""
"""The figures of this name; colour and heights of the bars of the one in sight."""
SIZES = ((1280, 800), (1920, 1080))


@pytest.fixture(scope="module")
def tab(corpus: str, browser: BrowserContext) -> Iterator[Tab]:
    """A tab that all tests here use, in which nothing foreign or wrong may happen."""
    opened = Tab(browser.new_page(), corpus)
    opened.load(f"?run={FULL}&view=components")
    opened.page.wait_for_function(CENTRE, arg=["components-0", 0, 0])
    yield opened
    opened.page.close()
    assert not opened.foreign
    assert not opened.errors


def rgb(colour: str) -> str:
    """A colour of the theme, as a browser says it."""
    return f"rgb{tuple(bytes.fromhex(colour.removeprefix('#')))}"


def at_heading(page: Page, text: str | re.Pattern[str]) -> None:
    """The page about this is shown."""
    expect(page.get_by_role("heading", name=text).first).to_be_visible()


def test_from_a_cell_to_its_head_an_example_and_back(tab: Tab) -> None:
    """Map, head, role, evidence, prediction with that edge chosen; Back twice."""
    page = tab.page
    tab.visit(f"?run={FULL}&view=components")
    where = page.wait_for_function(CENTRE, arg=["components-0", 2, 1]).json_value()
    page.mouse.click(*where)
    at_heading(page, "Layer 2 · head 1")
    expect(page).to_have_title("layer 2 head 1 · flowglass")

    page.get_by_role("link", name="Previous token").click()
    examples = page.get_by_role("region", name="Examples")
    expect(examples.get_by_role("heading")).to_have_text(
        "Top examples · Previous token"
    )
    expect(page).to_have_url(re.compile("role=previous"))
    example = examples.get_by_role("listitem").first
    said = example.get_by_text(re.compile(r"^prompt \d+")).inner_text()
    example.get_by_role("link").click()

    chosen = page.get_by_role("region", name="What is chosen")
    expect(chosen.get_by_role("heading", level=2)).to_contain_text(
        "Layer 2 · attention"
    )
    expect(chosen.get_by_role("radio", checked=True)).to_contain_text("1")
    number = re.search(r"\d+", said)
    assert number is not None
    expect(page).to_have_title(f"prompt {number[0]} · flowglass")

    page.go_back()
    expect(examples.get_by_role("heading")).to_have_text(
        "Top examples · Previous token"
    )
    page.go_back()
    expect(examples.get_by_role("heading")).to_have_text("Top examples")


def test_from_an_edge_to_its_head_and_from_a_square_to_its_neuron(tab: Tab) -> None:
    """By the links at the end of what is said of them."""
    page = tab.page
    tab.visit(f"?run={FULL}&prompt=0")
    graph_of(page)
    strongest = page.get_by_role("region", name="What is chosen")
    row = strongest.get_by_role("table", name=re.compile("attention")).locator(
        "tbody tr"
    )
    row.first.get_by_role("link").first.click()
    page.get_by_role("link", name=re.compile(r"head \d over all prompts")).click()
    at_heading(page, re.compile(r"^Layer \d · head \d$"))
    page.wait_for_function(DRAWN, arg="offsets")

    page.go_back()
    graph_of(page)
    page.keyboard.press("Escape")
    tab.visit(f"?run={FULL}&prompt=0")
    row = strongest.get_by_role("table", name=re.compile("FFN")).locator("tbody tr")
    row.first.get_by_role("link").first.click()
    page.get_by_role("link", name="it over all prompts").click()
    at_heading(page, re.compile(r"^Layer \d · neuron \d+$"))
    page.wait_for_function(DRAWN, arg="activations")


def test_from_a_typed_token_to_a_head_that_reads_it(tab: Tab) -> None:
    """Type, Enter, choose; Back leads to the list."""
    page = tab.page
    tab.visit(f"?run={FULL}&view=token")
    page.get_by_label("Token", exact=True).fill("the")
    page.get_by_label("Token", exact=True).press("Enter")
    found = page.get_by_role("region", name="Tokens that fit")
    found.get_by_role("row").nth(1).get_by_role("link").first.click()

    at_heading(page, re.compile(r"token \d+$"))
    expect(page).to_have_url(re.compile("token=%23"))
    readers = page.get_by_role("region", name="Who reads from it")
    readers.get_by_role("row").nth(1).get_by_role("link").first.click()
    at_heading(page, re.compile(r"^Layer \d · head \d$"))

    page.go_back()
    page.go_back()
    expect(found.get_by_role("row").first).to_be_visible()


def test_a_ranking_of_heads_says_how_many_prompts_it_takes(tab: Tab) -> None:
    """Asked for by a button; a sentence and a curve; other plots stay as they are."""
    page = tab.page
    tab.visit(PAGES["compare"][0])
    page.wait_for_function(DRAWN, arg="volcano")
    page.wait_for_function(SETTLED)
    before = page.evaluate(AXES, "volcano")
    assert len(set(before)) == 3  # a frame and two axes
    page.get_by_role("button", name="How many prompts does a ranking").click()

    expect(page.get_by_text(re.compile("4 of 16 heads"))).to_be_visible()
    page.wait_for_function(DRAWN, arg="convergence")
    assert page.evaluate(AXES, "volcano") == before


def test_a_plot_is_kept_for_another_head_and_theme(tab: Tab) -> None:
    """One figure in the browser's document, and it is on the screen."""
    page = tab.page
    tab.visit(HEAD)
    page.wait_for_function(DRAWN, arg="sources")
    before = page.evaluate(BARS, "sources")
    other = HEAD.replace("layer=2", "layer=0")
    tab.visit(other)
    at_heading(page, "Layer 0 · head 1")
    page.wait_for_function(
        f"(bars) => ({BARS})('sources').bars !== bars", arg=before["bars"]
    )
    tab.visit(f"{other}&theme=dark")
    page.wait_for_function(
        f"(colour) => ({BARS})('sources').colour === colour", arg=DARK.attn
    )

    after = page.evaluate(BARS, "sources")
    assert (before["colour"], after["colour"]) == (LIGHT.attn, DARK.attn)
    assert after["ids"] == before["ids"]
    assert len(after["ids"]) == 1


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_fits(tab: Tab, name: str, theme: Palette) -> None:
    """axe finds nothing; nothing is wider than the window, small or large."""
    page = tab.page
    query, last = PAGES[name]
    tab.visit(query + ("&theme=dark" if theme is DARK else ""))
    for part in ("body", ".MuiAppBar-root", "main"):
        expect(page.locator(part)).to_have_css("background-color", rgb(theme.surface))
    region = page.get_by_role("region", name=last)
    heading = region.get_by_role("heading").first
    expect(heading).to_be_visible()
    # Material's colours and those of CSS properties do not change in the same frame.
    expect(heading).to_have_css("color", rgb(theme.text))

    for label in page.locator("label.MuiFormLabel-root:visible").all():
        expect(label).to_have_css("color", rgb(theme.muted))  # it fades
    page.wait_for_function(SETTLED)
    found = [
        f"{fault['id']}: {node['failureSummary']} {node['html']}"
        for fault in Axe().run(page).response["violations"]
        for node in fault["nodes"]
    ]
    assert found == []
    before = page.viewport_size
    assert before is not None
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width
        main = "document.querySelector('main') ?? document.body"
        for element in (main, "document.scrollingElement"):
            widths = page.evaluate(
                f"[({element}).scrollWidth, ({element}).clientWidth]"
            )
            assert widths[0] <= widths[1]
    page.set_viewport_size(before)
