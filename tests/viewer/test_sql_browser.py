"""The SQL page in Chromium: keys, completion, links, what the browser keeps, plots."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pyarrow.csv
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from flowglass.viewer.quick_plot import KINDS
from flowglass.viewer.theme import DARK, LIGHT

from .conftest import PARALLEL, TINY
from .sql_stand import ENDLESS
from .test_accessibility import THEMES, Palette, faults, turn_to
from .test_browser import Tab

COLOURS_OF_PLOTS = """(colour) => {
    const models = [...Bokeh.documents[0]._all_models.values()]
    const plots = models.filter((model) => model.name === "quick-plot")
    return plots.length === 1 && plots[0].below[0].major_label_text_color === colour
}"""
"""Whether there is one plot, and its labels have this colour."""

DRAWN = """() => {
    const models = [...Bokeh.documents[0]._all_models.values()]
    const plots = models.filter((model) => model.name === "quick-plot")
    return plots.length === 1 && Bokeh.index.find_one(plots[0])?.is_displayed
}"""
"""Whether there is one plot, and one sees it."""

STEPS = (
    "(from range(12) select (range // 2)::int as layer, "
    "if(range % 2 = 0, 'attn', 'ffn') as step, range * 0.5 as resid, 1 / (1 + range) "
    "as attn)"
)


@pytest.fixture(scope="module")
def opened(viewer: str, browser: BrowserContext) -> Iterator[Tab]:
    """A tab that all tests here use."""
    tab = Tab(browser.new_page(), viewer)
    tab.load(f"?run={TINY}&view=sql")
    yield tab
    settle(tab.page)
    tab.page.close()


def settle(page: Page) -> None:
    """Let the server say what it has to: it complains where nobody listens any more."""
    page.wait_for_function("() => Bokeh.documents[0]?.is_idle")
    page.wait_for_timeout(1000)


@pytest.fixture
def page(opened: Tab) -> Iterator[Page]:
    """The page with nothing typed, in which nothing foreign or wrong may happen."""
    opened.visit(f"?run={TINY}&view=sql")
    editor(opened.page).fill("")
    yield opened.page
    assert not opened.foreign
    assert not opened.errors


def editor(page: Page) -> Locator:
    return page.get_by_role("textbox", name="SQL", exact=True)


def options(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Completions").get_by_role("option")


def rows(page: Page) -> Locator:
    return page.get_by_role("table", name="Result").locator("tbody tr")


def shelf(page: Page, section: str) -> Locator:
    """What lies beside the editor, with one of its sections open."""
    region = page.get_by_role("region", name="Queries and tables")
    head = region.locator("summary", has_text=section)
    if head.locator("xpath=..").get_attribute("open") is None:
        head.click()
    return region


def run(page: Page, sql: str) -> None:
    """Type a query and run it with the keys."""
    editor(page).fill(sql)
    editor(page).press("Control+Enter")


def test_a_query_is_typed_completed_and_run_by_keys(page: Page) -> None:
    """Enter and Tab take a completion, Ctrl+Enter runs; then Enter ends a line."""
    editor(page).click()
    page.keyboard.type("from targ")
    expect(options(page).first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Enter")
    page.keyboard.type(" t")
    page.keyboard.press("Enter")
    page.keyboard.type("  select t.prom")
    page.keyboard.press("Tab")
    page.keyboard.type(", t.tar")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.type("where run")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.type(" order by all")
    page.keyboard.press("Escape")
    sql = f"from targets t\n  select t.prompt_id, t.target\n  where run_id = '{TINY}'"
    expect(editor(page)).to_have_value(f"{sql} order by all")

    page.keyboard.press("Control+Enter")

    expect(rows(page).first).to_have_text("014")
    expect(page).to_have_url(re.compile("view=sql&sql=from\\+targets"))
    expect(page.get_by_text("Answered in")).to_be_visible()
    page.keyboard.press("Control+z")
    expect(editor(page)).not_to_have_value(f"{sql} order by all")


def test_keys_leave_the_list_and_the_editor(page: Page) -> None:
    """Escape closes the list; without one, Tab goes on as everywhere."""
    editor(page).click()
    page.keyboard.type("from ed")
    expect(options(page)).to_have_count(2)
    page.keyboard.press("Escape")
    expect(options(page)).to_have_count(0)
    page.keyboard.press("Control+Space")
    expect(options(page)).to_have_count(2)
    options(page).nth(1).click()
    expect(editor(page)).to_have_value("from edge_tokens")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_focused()


def test_rows_are_links_into_the_viewer(page: Page) -> None:
    """And Back leads to the rows."""
    run(page, f"from targets select prompt_id, target where run_id = '{TINY}'")
    rows(page).first.get_by_role("link").first.click()
    expect(page).to_have_title(re.compile(r"prompt \d+"))
    page.go_back()
    expect(rows(page)).to_have_count(25)
    expect(editor(page)).to_have_value(re.compile("from targets"))


def test_a_complaint_is_read_out_and_rows_go(page: Page) -> None:
    """A status that screen readers hear; markup stays text."""
    run(page, "select 1 as one")
    expect(rows(page)).to_have_count(1)
    run(page, "select error('<i>no</i>')")
    expect(page.get_by_role("status").filter(has_text="<i>no</i>")).to_be_visible()
    expect(rows(page)).to_have_count(0)


def test_a_running_query_is_stopped(page: Page) -> None:
    """Its button is there only meanwhile."""
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_hidden()
    run(page, ENDLESS)
    stop.click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(stop).to_be_hidden()


def test_a_question_is_one_click_away_and_plotted(page: Page) -> None:
    """About the run in view; its plot is a map of heads."""
    shelf(page, "Questions").get_by_role("link", name="active most often").click()
    expect(editor(page)).to_have_value(re.compile(f"run_id = '{TINY}'"))
    expect(rows(page)).not_to_have_count(0)
    expect(page.get_by_role("combobox", name="Plot")).to_have_value("heat map")
    expect(page.locator(".quick-plot canvas").first).to_be_visible()


@pytest.mark.parametrize("columns", ["layer, step, resid, attn", "layer, attn, resid"])
def test_every_kind_of_plot_is_drawn(page: Page, columns: str) -> None:
    """With groups and without; Bokeh finds no fault with what HoloViews gives it."""
    run(page, f"from {STEPS} select {columns}")
    choose = page.get_by_role("combobox", name="Plot")
    for kind in KINDS:
        choose.select_option(kind)
        page.wait_for_function(DRAWN)


def test_queries_are_kept_and_forgotten(page: Page) -> None:
    """In this browser; a kept one is a link that anyone can open."""
    editor(page).fill("select 5 as kept")
    there = shelf(page, "Saved in this browser")
    there.get_by_label("Name of the query").fill("<b>five</b>")
    there.get_by_label("Name of the query").press("Enter")
    link = there.get_by_role("link", name="<b>five</b>")
    href = parse_qs(urlsplit(link.get_attribute("href") or "").query)
    assert href == {"run": [TINY], "view": ["sql"], "sql": ["select 5 as kept"]}
    editor(page).fill("")

    link.click()

    expect(editor(page)).to_have_value("select 5 as kept")
    expect(rows(page)).to_have_text(["5"])
    settle(page)
    page.reload()
    there = shelf(page, "Saved in this browser")
    expect(rows(page)).to_have_text(["5"])
    there.get_by_role("button", name="Forget <b>five</b>").click()
    expect(there.get_by_role("link", name="<b>five</b>")).to_have_count(0)


def test_a_broken_shelf_says_so(page: Page) -> None:
    """What something else has put there is not ours to lose silently."""
    page.evaluate("localStorage.setItem('flowglass-queries', '{')")
    settle(page)
    page.reload()
    there = shelf(page, "Saved in this browser")
    expect(there.get_by_text("cannot be read")).to_be_visible()
    page.evaluate("localStorage.removeItem('flowglass-queries')")


def test_a_link_to_a_query_is_copied(page: Page) -> None:
    """With the run; it opens the same rows."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    editor(page).fill("select 6 as copied")
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    settle(page)
    page.goto(copied)
    expect(rows(page)).to_have_text(["6"])


def test_names_are_inserted_at_the_caret(page: Page) -> None:
    """A column from the list of tables, and what keeps to the run in view."""
    editor(page).fill("from prompts select  where ")
    editor(page).press("End")
    page.get_by_role("button", name="This run:").click()
    for _ in range(len(f"where run_id = '{TINY}'") + 1):
        page.keyboard.press("ArrowLeft")
    there = shelf(page, "Tables and helpers")
    there.locator("summary", has_text=re.compile("^prompts$")).click()
    there.get_by_role("button", name="category", exact=True).click()
    expected = f"from prompts select category where run_id = '{TINY}'"
    expect(editor(page)).to_have_value(expected)


def test_another_run_has_its_own_questions(opened: Tab) -> None:
    """The shelf follows the run in view."""
    opened.visit(f"?run={PARALLEL}&view=sql")
    button = opened.page.get_by_role("button", name="This run:")
    expect(button).to_contain_text(PARALLEL)
    link = shelf(opened.page, "Questions").get_by_role("link", name="active most often")
    assert PARALLEL in (link.get_attribute("href") or "")


def test_a_sorted_page_is_downloaded_as_it_is(page: Page) -> None:
    """All rows that are here, in the order that is shown."""
    run(page, "from range(30) select range as n")
    expect(rows(page)).to_have_count(25)
    head = page.get_by_role("columnheader", name="n")
    head.get_by_role("button").click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    head.get_by_role("button").click()
    expect(rows(page).first).to_have_text("29")
    page.get_by_role("button", name="Download: the rows").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="CSV").click()
    assert download.value.suggested_filename == "flowglass-query.csv"
    read = pyarrow.csv.read_csv(download.value.path())
    assert read["n"].to_pylist() == list(range(29, -1, -1))


def test_the_plot_is_dark_in_the_dark(page: Page) -> None:
    """What is no CSS is drawn anew."""
    run(page, "from range(4) select 'g' || range as name, range + 0.5 as size")
    canvas = page.locator(".quick-plot canvas").first
    expect(canvas).to_be_visible()
    for palette in (LIGHT, DARK, LIGHT):
        page.wait_for_function(COLOURS_OF_PLOTS, arg=palette.muted)
        page.get_by_role("button", name="Toggle theme").click()


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_the_page_is_accessible(opened: Tab, theme: Palette) -> None:
    """With rows, a plot, a list of completions, and each section of the shelf."""
    opened.page.mouse.move(700, 600)  # off whatever tells its name in a tooltip
    for section in ("Questions", "Saved in this browser", "Tables and helpers"):
        page = turn_to(opened, f"?run={TINY}&view=sql", theme)
        run(page, "from range(4) select 'g' || range as name, range + 0.5 as size")
        expect(page.locator(".quick-plot canvas").first).to_be_visible()
        shelf(page, section)
        editor(page).fill("from ")
        editor(page).press("Control+Space")
        expect(options(page).first).to_be_visible()

        assert faults(page) == []
