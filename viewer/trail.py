"""Where one is, in the page's head: flowglass / run / prompt."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent


class Trail(JSComponent):
    """A label for each step of the way; those with a link lead back."""

    labels = param.List([], item_type=str)
    links = param.List([], item_type=str, doc="Query strings; empty: here.")
    note = param.String("", doc="What else there is to know, after the last label.")

    _esm = Path(__file__).parent / "trail.js"

    def __init__(self, on_open: Callable[[int], None], **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self._on_open = on_open

    def _handle_msg(self, msg: dict[str, int]) -> None:
        self._on_open(int(msg["open"]))
