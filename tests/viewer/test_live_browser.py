"""A reader types a prompt in Chromium, sees its prediction, and saves it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from flowglass.pipeline import trace
from flowglass.store import open_store

from .conftest import TINY
from .live_server import MODEL, Viewer
from .test_browser import Tab


@pytest.fixture
def tab(tmp_path: Path, browser: BrowserContext) -> Iterator[Tab]:
    """On a viewer of its own; nothing foreign, no error, nothing left behind."""
    viewer = Viewer(tmp_path)
    page = browser.new_page()
    try:
        tab = Tab(page, viewer.address)
        yield tab
        assert not tab.foreign
        assert not tab.errors
    finally:
        page.close()
        viewer.end()
    assert "Traceback" not in viewer.log.read_text()
    assert not list((tmp_path / "tmp").glob("flowglass-*"))


def sources(page: Page) -> dict[str, str]:
    """What the graph says it draws."""
    graph = page.locator("[data-testid=route-graph][data-edges]")
    graph.wait_for()
    return {
        name: graph.get_attribute(f"data-{name}") or ""
        for name in ("edges", "target", "threshold")
    }


def test_a_reader_traces_a_prompt_and_saves_it(tab: Tab, tmp_path: Path) -> None:
    """Ctrl+Enter, the prediction as `trace` gives it, then into the store."""
    text = "The capital of <b>France</b> is"
    tab.load("")
    page = tab.page
    page.get_by_label("Prompt", exact=True).fill(text)
    page.get_by_label("Prompt", exact=True).press("Control+Enter")

    expect(page).to_have_title("prompt 0 · flowglass", timeout=120_000)
    found = trace(MODEL, text)
    target = found.tokens.num_rows - 1
    shown = sources(page)
    assert shown["target"] == str(target)
    assert int(shown["edges"]) == found.route(threshold=0.04).num_rows
    with open_store(tmp_path / "runs") as store:
        assert list(store.snapshot.runs) == [TINY]

    page.get_by_role("button", name="Save into the store").click()
    expect(page.get_by_text("Saved into")).to_be_visible(timeout=120_000)
    expect(page.get_by_role("button", name="Save into the store")).to_be_hidden()
    with open_store(tmp_path / "runs") as store:
        assert len(store.snapshot.runs) == 2

    page.go_back()
    expect(page.get_by_role("table", name="Runs")).to_contain_text("typed")
    page.get_by_label("Prompt", exact=True).fill("and " * 4000)
    page.get_by_role("button", name="Trace").click()
    expect(page.get_by_text(re.compile("context"))).to_be_visible()
