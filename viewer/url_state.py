"""Keeps the address bar and the Selection the same."""

from pathlib import Path
from threading import local
from typing import Any

import param
from panel.custom import JSComponent
from param.parameterized import Event

from .selection import KEYS, Selection

REPLACED = frozenset(
    {"threshold", "theme", "renormalise", "strongest", "layers", "positions"}
)
"""Changes that are no step one would want to take back with the Back button."""


class UrlState(JSComponent):
    """The address bar as a component: invisible, one per page."""

    title = param.String("", doc="Name of the browser's tab.")

    _esm = Path(__file__).parent / "url_state.js"

    def __init__(self, selection: Selection, **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self._selection = selection
        # Of a thread: while one hears of Back, another may hear of a click.
        self._heard = local()
        selection.param.watch(self._write, list(KEYS))

    def _handle_msg(self, msg: dict[str, str]) -> None:
        """The reader went back or forward: the address leads, the selection follows."""
        self._heard.now = True
        try:
            self._selection.load(msg["query"])
        finally:
            self._heard.now = False

    def _write(self, *events: Event) -> None:
        if getattr(self._heard, "now", False):
            return
        replace = all(event.name in REPLACED for event in events)
        self._send_msg({"query": self._selection.query(), "replace": replace})
