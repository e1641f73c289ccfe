"""The head of a part of a page: its title, what is shown of how much, what can be done,
a download. One component and not five: every part of every page has one, and to make a
component is most of what a page costs."""

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import param
import pyarrow as pa

from .component_map import SCALE_STYLE
from .downloads import DownloadMenu, Extract
from .trouble import as_html

HERE = Path(__file__).parent
NOTE_STYLE = f"""
  .note {{ color: var(--fg-muted) }}
  .note .missing {{ background: var(--fg-raised); border-radius: 6px;
    padding: 8px 10px }}
  .note code {{ font: 12.5px var(--fg-monospace); color: var(--fg-text);
    border: 1px solid var(--fg-line); border-radius: 4px; padding: 1px 5px }}
  .note .n {{ color: var(--fg-text); font-variant-numeric: tabular-nums }}
  {SCALE_STYLE}
"""
NOTHING = Extract("nothing", pa.table({}), "")


class SectionHead(DownloadMenu):
    """Title, note and menu; `tell` and `miss` fill them, or whoever knows better."""

    title = param.String("", doc="The heading; empty: none.")
    note = param.String("", doc="What is shown of how much, as HTML.")
    beside = param.Boolean(False, doc="Whether the note stands beside the title.")
    actions = param.List([], doc="Key, label and whether it is offered, of buttons.")
    can_download = param.Boolean(False, doc="Whether there is anything to download.")

    _esm = "\n".join(
        (HERE / source).read_text("utf-8")
        for source in ("download_menu.js", "section_head.js")
    )

    def __init__(
        self,
        title: str,
        *,
        above: int = 0,
        extract: Callable[[], Extract] | None = None,
        acts: Mapping[str, Callable[[], None]] | None = None,
        **params: Any,
    ) -> None:
        """`above` is the room over it, in pixels; `extract` makes the rows to take
        away, unless `tell` gives them; `acts` are what the keys of its actions do."""
        params.setdefault("label", title)
        params.setdefault("margin", (above, 0, 0, 0))
        super().__init__(
            extract or (lambda: self._extract),
            title=title,
            stylesheets=[NOTE_STYLE],
            sizing_mode="stretch_width",
            **params,
        )
        self._extract = NOTHING
        self._acts = dict(acts or {})

    def tell(self, title: str, note: str, extract: Extract) -> None:
        """What is shown, and the rows that can be taken away."""
        self._extract = extract
        self.param.update(
            title=title,
            label=title,
            note=escape(note, quote=False),
            sql=extract.sql,
            can_download=True,
        )

    def miss(self, title: str, why: str) -> None:
        """Nothing is shown; why, and what to do. `Backticks` make it code."""
        self._extract = NOTHING
        missing = f'<div class="missing">{as_html(why)}</div>'
        self.param.update(title=title, note=missing, can_download=False)

    def offer(self, key: str, offered: bool) -> None:
        """Offer one of the actions, or do not."""
        self.actions = [
            [each, label, offered if each == key else shown]
            for each, label, shown in self.actions
        ]

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        if "act" in msg:
            self._acts[str(msg["act"])]()
        else:
            super()._handle_msg(msg)
