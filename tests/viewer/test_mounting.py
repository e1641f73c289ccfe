"""A session makes the components of the page that it opens with, others when due."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowglass.store import open_store
from flowglass.viewer.app import App
from flowglass.viewer.pulse import Pulse

from .conftest import TINY


@pytest.fixture
def pulse(store_path: Path) -> Iterator[Pulse]:
    with open_store(store_path) as store, Pulse(store) as pulse:
        yield pulse


def mounted(app: App) -> list[Any]:
    """The pages that have components, in the order in which they came."""
    return list(app._pages.root.objects)


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
