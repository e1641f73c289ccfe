"""Prompts, tokens and names that are other people's do nothing to the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from flowglass.store import open_store
from flowglass.viewer.prediction import read_prediction

from .conftest import served
from .synthetic import write_run
from .synthetic_corpus import MadeUpPrompt
from .synthetic_flow import Shape
from .test_browser import Tab, graph_of
from .test_end_to_end import fits

IMAGE = "<img src=x onerror=window.hacked=1>"
SCRIPT = "<script>window.hacked=1</script>"
TOKENS = (
    "<s>",
    f" {SCRIPT}",
    IMAGE,
    "\x1b[31m red\x1b[0m\x07",
    " \u202etxet",
    "x" * 10_000,
    "'\"><b>bold</b>&lt;",
    " end",
)
PROMPT = MadeUpPrompt(0, f"data{IMAGE}", f"kind{IMAGE}", TOKENS, SCRIPT)
ACTING = ("\x1b", "\x07", "\u202e")
"""What would turn, colour or ring elsewhere."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one prompt."""
    root = tmp_path_factory.mktemp("hostile") / "runs"
    write_run(root, "hostile", [PROMPT], Shape())
    return root


@pytest.fixture(scope="module")
def tab(
    root: Path, browser: BrowserContext, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Tab]:
    """A tab on it, in which nothing foreign is asked for and nothing goes wrong."""
    with served(root, tmp_path_factory.mktemp("log") / "hostile.log") as address:
        tab = Tab(browser.new_page(), address)
        tab.load("")
        yield tab
        tab.page.close()
        assert not tab.foreign
        assert not tab.errors


def unharmed(page: Page) -> None:
    """Nothing was made of the text but text, and it is no wider than the window."""
    assert page.evaluate("window.hacked") is None
    for made in ("img[src=x]", "b:text('bold')", "script:text('hacked')"):
        assert page.locator(made).count() == 0
    shown = page.locator("main").inner_text() + page.title()
    assert not [sign for sign in ACTING if sign in shown]
    fits(page)


def test_a_list_of_hostile_prompts_is_text(tab: Tab) -> None:
    """Prompt, dataset, category, answer and prediction."""
    table = tab.page.get_by_role("table", name="Prompts")
    for said in (SCRIPT, f"data{IMAGE}", f"kind{IMAGE}", "⟨1b⟩[31m"):
        expect(table).to_contain_text(said)

    unharmed(tab.page)


def test_a_prediction_of_hostile_tokens_is_text(tab: Tab) -> None:
    """Strip, words and head; the strip's line and the graph's tip for every token."""
    page = tab.page
    page.get_by_role("table", name="Prompts").locator("tbody tr a").first.click()
    graph = graph_of(page)
    for position, token in enumerate(TOKENS):
        shown = page.get_by_test_id(f"token-{position}")
        shown.hover()
        name = token.split()[0][:8]
        name = name.replace("\x1b", "⟨1b⟩").replace("\u202e", "⟨202e⟩")
        expect(shown).to_contain_text(name)
        expect(page.get_by_test_id("token-told")).to_contain_text(name)
        place = graph.evaluate(
            "(graph, name) => graph.placeOf(name)", f"embed-{position}"
        )
        page.mouse.move(*place)
        expect(graph.locator(".tip")).to_contain_text(name)
    expect(page.get_by_role("navigation", name="Where you are")).to_contain_text(IMAGE)

    unharmed(page)


def test_a_panel_about_hostile_tokens_is_text(tab: Tab, root: Path) -> None:
    """A head's maps with the names on their axes, and the place chosen."""
    with open_store(root) as store:
        (run,) = store.runs().to_pylist()
        edges = read_prediction(store, run, 0).edges.to_pylist()
    row = max(
        (row for row in edges if row["kind"] == "attn" and row["query"] == 5),
        key=lambda row: float(row["contribution"]),
    )
    tab.visit(f"?prompt=0&selected=attn-{row['layer']}-5-{row['key']}")
    page = tab.page
    panel = page.get_by_role("region", name="What is chosen")
    expect(panel).to_contain_text("xxx…(+9,880)")
    expect(page.get_by_role("radiogroup").get_by_role("radio").first).to_be_visible()

    unharmed(page)
