"""A session makes the components of the page that it opens with, and others later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowglass.store import open_store
from flowglass.viewer.app import MOUNTED_AFTER, App
from flowglass.viewer.pulse import Pulse

from .conftest import TINY


@pytest.fixture
def pulse(store_path: Path) -> Iterator[Pulse]:
    with open_store(store_path) as store, Pulse(store) as pulse:
        yield pulse


def mounted(app: App) -> list[Any]:
    """The pages that have components, in the order in which they came."""
    pages: list[Any] = app._pages.root.objects
    return pages


@pytest.mark.parametrize("query", ["", f"?run={TINY}&prompt=3"])
def test_a_session_begins_with_one_page(pulse: Pulse, query: str) -> None:
    """That which is asked for."""
    app = App(pulse, path="runs/", query=query)
    asked = app._prediction if query else app._front
    assert mounted(app) == [asked.root]
    assert asked.root.visible


def test_a_page_comes_when_it_is_turned_to(pulse: Pulse) -> None:
    """Once; it stays mounted when the reader goes back."""
    app = App(pulse, path="runs/")
    app.selection.param.update(run=TINY, prompt=3)
    both = [app._front.root, app._prediction.root]
    assert mounted(app) == both
    assert [root.visible for root in both] == [False, True]

    app.selection.prompt = None

    assert mounted(app) == both
    assert [root.visible for root in both] == [True, False]


def test_the_other_page_comes_by_itself(pulse: Pulse) -> None:
    """A few seconds after the first was opened, hidden: so it opens fast."""
    app = App(pulse, path="runs/", query=f"?run={TINY}&prompt=3")
    for _ in range(MOUNTED_AFTER - 1):
        app._tick_if_loaded()
    assert mounted(app) == [app._prediction.root]

    app._tick_if_loaded()

    assert mounted(app) == [app._prediction.root, app._front.root]
    assert not app._front.root.visible
