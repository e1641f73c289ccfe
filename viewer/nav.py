"""The bar of pages below the page's head: prompts, components, compare and so on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent


class Nav(JSComponent):
    """A link for each page about a run; one of them is open."""

    keys = param.List([], item_type=str, doc="The pages, as the Selection calls them.")
    labels = param.List([], item_type=str)
    links = param.List([], item_type=str, doc="Query strings.")
    open = param.String("", doc="The key of the page that is open.")

    _esm = Path(__file__).parent / "nav.js"

    def __init__(self, on_open: Callable[[str], None], **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self._on_open = on_open

    def _handle_msg(self, msg: dict[str, str]) -> None:
        self._on_open(msg["open"])
