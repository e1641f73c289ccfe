"""Whoever waits for a slow store sees that something is going on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from .conftest import FLOWGLASS, TINY, served
from .test_browser import Tab, graph_of

SLOW = f"""
import time
from flowglass.store import queries

def slowed(ask):
    def wait(*given, **named):
        time.sleep(2)
        return ask(*given, **named)
    return wait

queries.edges = slowed(queries.edges)
queries.prompts = slowed(queries.prompts)
{FLOWGLASS}
"""
"""A viewer whose store takes two seconds for a prompt, or for the list of prompts."""


@pytest.fixture(scope="module")
def page(
    store_path: Path, browser: BrowserContext, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A tab on the slow viewer."""
    log = tmp_path_factory.mktemp("log") / "slow.log"
    with served(store_path, log, SLOW) as address:
        tab = Tab(browser.new_page(), address)
        tab.load(f"?run={TINY}&prompt=0")
        graph_of(tab.page)
        yield tab.page
        tab.page.close()


def bar(page: Page) -> Locator:
    """What says that something is being read."""
    return page.get_by_role("progressbar", name="Loading")


def test_another_prompt_and_the_list_show_a_bar_until_they_are_there(
    page: Page,
) -> None:
    """On Back, on the trail, and on a row."""
    expect(bar(page)).to_be_hidden()
    page.get_by_role("link", name=TINY).click()
    expect(bar(page)).to_be_visible()
    rows = page.get_by_role("table", name="Prompts").locator("tbody tr")
    expect(rows).to_have_count(25)
    expect(bar(page)).to_be_hidden()

    rows.nth(3).get_by_role("link").first.click()
    expect(bar(page)).to_be_visible()
    expect(page).to_have_title("prompt 3 · flowglass")
    expect(bar(page)).to_be_hidden()

    page.go_back()
    expect(bar(page)).to_be_visible()
    expect(rows).to_have_count(25)
    expect(bar(page)).to_be_hidden()
