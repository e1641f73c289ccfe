"""The head of a part of a page: its title, what is shown of how much, a download."""

from html import escape

import panel as pn
import panel_material_ui as pmu
import pyarrow as pa

from .downloads import DownloadMenu, Extract
from .theme import HEADING
from .trouble import as_html

NOTE_STYLE = """
  :host { color: var(--fg-muted); font-size: 13px; line-height: 1.5; max-width: 860px }
  .missing { background: var(--fg-raised); border-radius: 6px; padding: 8px 10px }
  code { font: 12.5px var(--fg-monospace); color: var(--fg-text);
    border: 1px solid var(--fg-line); border-radius: 4px; padding: 1px 5px }
"""
NOTHING = Extract("nothing", pa.table({}), "")


class SectionHead:
    """Title and note; `show` fills them."""

    def __init__(self, title: str, *, above: int = 0) -> None:
        """`above` is the room over it, in pixels."""
        self._title = pmu.Typography(title, margin=0, **HEADING)
        self._extract = NOTHING
        self._menu = DownloadMenu(lambda: self._extract, label=title, margin=0)
        self.note = pn.pane.HTML(stylesheets=[NOTE_STYLE], margin=(2, 0, 6, 0))
        self.root = pn.Column(
            pn.FlexBox(
                self._title,
                self._menu,
                align_items="center",
                gap="12px",
                sizing_mode="stretch_width",
                margin=0,
            ),
            self.note,
            sizing_mode="stretch_width",
            margin=(above, 0, 0, 0),
        )

    def show(self, title: str, note: str, extract: Extract) -> None:
        """What is shown, and the rows that can be taken away."""
        self._title.object = title
        self._extract = extract
        self._menu.param.update(label=title, sql=extract.sql, visible=True)
        self.note.object = escape(note, quote=False)

    def miss(self, title: str, why: str) -> None:
        """Nothing is shown; why, and what to do. `Backticks` make it code."""
        self._title.object = title
        self._menu.visible = False
        self.note.object = f'<div class="missing">{as_html(why)}</div>'
