"""Sections one below the other, in one component: a new selection is one message, and
one change on the screen."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import param
from panel.custom import JSComponent

from .downloads import Extract, file_message
from .sections import Section, for_browser

HERE = Path(__file__).parent
SOURCES = (
    "download_menu.js",
    "sheet_table.js",
    "sheet_chips.js",
    "sheet_examples.js",
    "sheet.js",
)


class Sheet(JSComponent):
    """Shows sections; says what of the Selection a click would change."""

    shown = param.List([], doc="The sections, as `sections.for_browser` gives them.")
    label = param.String("", doc="What the sheet is, for a screen reader.")

    _esm = "\n".join((HERE / source).read_text("utf-8") for source in SOURCES)

    def __init__(
        self, on_choose: Callable[[dict[str, Any]], None], **params: Any
    ) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self._on_choose = on_choose
        self.extracts: list[Extract | None] = []
        """By section."""
        self.sections: Sequence[Section] = ()

    def fill(self, sections: Sequence[Section]) -> None:
        """Show these sections instead."""
        found = for_browser(sections)
        self.sections = sections
        self.extracts = found.extracts
        self.shown = found.shown

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        if "choose" in msg:
            self._on_choose(dict(msg["choose"]))
        if "download" in msg:
            place, kind = msg["download"]
            extract = self.extracts[place] if place < len(self.extracts) else None
            if extract is not None:
                self._send_msg(file_message(lambda: extract, kind))
