"""The address bar follows the Selection, whatever else goes on."""

from threading import Event, Thread
from typing import Any

import pytest

from flowglass.viewer.selection import Selection
from flowglass.viewer.url_state import UrlState


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the browser is told."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(UrlState, "_send_msg", lambda self, msg: told.append(msg))
    return told


def test_what_the_browser_said_is_not_said_back(sent: list[dict[str, Any]]) -> None:
    """Back leads the Selection; a change of the reader's leads the address."""
    selection = Selection()
    url = UrlState(selection)

    url._handle_msg({"query": "?prompt=1"})
    assert selection.prompt == 1
    assert sent == []

    selection.threshold = 0.1
    assert sent == [{"query": "?prompt=1&threshold=0.1", "replace": True}]


def test_a_click_while_back_is_still_at_work_reaches_the_address(
    sent: list[dict[str, Any]],
) -> None:
    """Events of a session run in several threads, and a page may take its time."""
    selection = Selection()
    url = UrlState(selection)
    begun, end = Event(), Event()

    def show_slowly(_: object) -> None:
        begun.set()
        assert end.wait(30)

    selection.param.watch(show_slowly, "prompt")
    back = Thread(target=url._handle_msg, args=({"query": "?prompt=1"},))
    back.start()
    assert begun.wait(30)

    selection.selected = "mid-0-1"
    end.set()
    back.join()

    assert [each["query"] for each in sent] == ["?prompt=1&selected=mid-0-1"]
