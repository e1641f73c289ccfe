"""Any page as one HTML file: what is shown, its data, its queries, and the run.

The browser writes down what it shows (report.js); what stands around that is made here.
The file has no script and may load nothing, by a policy of its own.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

import panel_material_ui
from panel.custom import JSComponent

from .downloads import DownloadMenu, Extract, file_of
from .prediction import Row
from .sheet import Sheet
from .theme import MONOSPACE, stylesheet

MOST_ROWS = 5000
"""Rows of each table that the file holds; it says how many there are."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:"
FONTS = Path(panel_material_ui.__file__).parent / "dist"
WEIGHTS = (400, 700)
LATIN = "U+0-FF, U+131, U+152-153, U+2BB-2BC, U+2C6, U+2DA, U+2DC, U+2000-206F, U+2212"
STYLE = """
  body { margin: 0; background: var(--fg-surface); color: var(--fg-text);
    font: 14px/1.55 Roboto, system-ui, sans-serif }
  main > * { height: auto !important }
  .about { margin: 18px 24px 40px; border-top: 1px solid var(--fg-line) }
  .about h2 { font-size: 17px } .about h3 { font-size: 14px; margin-bottom: 4px }
  header { padding: 14px 24px; border-bottom: 1px solid var(--fg-line) }
  header b { font-size: 17px; margin-right: 12px }
  pre { font: 12px/1.5 var(--fg-monospace); background: var(--fg-raised); padding: 10px;
    border-radius: 6px; overflow: auto; max-height: 320px; white-space: pre-wrap }
  summary { cursor: pointer; color: var(--fg-accent) }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px }
  dt { color: var(--fg-muted) } dd { margin: 0; overflow-wrap: anywhere }
"""


@dataclass(frozen=True)
class Shown:
    """What is saved."""

    page: str
    """The name of its root, by which the browser finds it."""
    root: Any
    title: str
    run: Row | None
    dark: bool


class Report(JSComponent):
    """The button; `shown` says what is on the screen when it is pressed."""

    _esm = Path(__file__).parent / "report.js"

    def __init__(self, shown: Callable[[], Shown], **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self._shown = shown

    def _handle_msg(self, msg: dict[str, str]) -> None:
        shown = self._shown()
        before, after = around(shown, address=str(msg["report"]))
        name = file_name(shown)
        self._send_msg(
            {
                "page": shown.page,
                "before": before,
                "after": after,
                "file": f"{name}.html",
            }
        )


def file_name(shown: Shown) -> str:
    """The file's, without an ending: what is shown, of which run if it is only that.

    >>> run = {"run_id": "gpt2-ioi+8-31e"}
    >>> file_name(Shown("page-head", None, "layer 2 · head 1", run, False))
    'flowglass-layer-2-head-1'
    >>> file_name(Shown("page-front", None, "flowglass", run, False))
    'flowglass-gpt2-ioi-8-31e'
    """
    what = shown.title
    if shown.page == "page-front" and shown.run:
        what = shown.run["run_id"]
    return "-".join(["flowglass", *re.findall(r"\w+", what.lower())])


def around(shown: Shown, *, address: str) -> tuple[str, str]:
    """The file before and after what the browser shows."""
    theme = "mui-dark" if shown.dark else "mui-light"
    before = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(shown.title)}</title>"
        f"<style>{fonts()}{stylesheet()}\n:root{{--fg-monospace:{MONOSPACE}}}{STYLE}</style></head>"
        f'<body class="{theme}" data-theme="{theme}">'
        f"<header><b>flowglass</b>{escape(shown.title)}</header><main>"
    )
    parts = [_of_run(shown.run, address)] if shown.run else []
    parts += [_of_extract(extract) for extract in unlike(extracts(shown.root))]
    after = f'</main><section class="about">{"".join(parts)}</section></body></html>'
    return before, after


@cache
def fonts() -> str:
    """The page's font, with which its columns are as wide as its words, as CSS: its
    Latin letters and figures, as panel-material-ui ships them."""
    made = []
    for weight in WEIGHTS:
        (path,) = FONTS.glob(f"roboto-latin-{weight}-normal-*.woff2")
        data = base64.b64encode(path.read_bytes()).decode()
        made.append(
            f"@font-face{{font-family:Roboto;font-weight:{weight};"
            f"src:url(data:font/woff2;base64,{data});unicode-range:{LATIN}}}\n"
        )
    return "".join(made)


def extracts(root: Any) -> Iterator[Extract]:
    """Every table that a page shows with a download of its own."""
    for part in visible_parts(root):
        if isinstance(part, Sheet):
            yield from (extract for extract in part.extracts if extract is not None)
        elif isinstance(part, DownloadMenu):
            yield part.extract()


def visible_parts(part: Any) -> Iterator[Any]:
    """A part of a page and all that it holds, as far as it is visible."""
    if not part.visible:
        return
    yield part
    for each in getattr(part, "objects", ()):
        yield from visible_parts(each)


def unlike(found: Iterable[Extract]) -> list[Extract]:
    """Each extract once, without empty ones."""
    by_name = {extract.name: extract for extract in found if extract.table.num_columns}
    return list(by_name.values())


def _of_run(run: Row, address: str) -> str:
    """The run's manifest: everything needed to repeat it."""
    rows = "".join(
        f"<dt>{escape(key)}</dt><dd>{escape(_said(value))}</dd>"
        for key, value in run.items()
        if value is not None
    )
    return (
        f"<h2>Run</h2><dl>{rows}<dt>saved by</dt><dd>flowglass "
        f"{escape(version('flowglass'))}</dd><dt>address</dt>"
        f"<dd>{escape(address or '?')}</dd></dl>"
    )


def _said(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _of_extract(extract: Extract) -> str:
    """A table as CSV, and its query."""
    n = extract.table.num_rows
    first = replace(extract, table=extract.table.slice(0, MOST_ROWS))
    rows = file_of(first, "csv").decode()
    size = f"the first {MOST_ROWS:,} of {n:,} rows" if n > MOST_ROWS else f"{n:,} rows"
    size = "1 row" if n == 1 else size
    query = f"<pre>{escape(extract.sql)}</pre>" if extract.sql else ""
    return (
        f"<h3>{escape(extract.name)}</h3>{query}<details><summary>{size} as CSV"
        f"</summary><pre>{escape(rows)}</pre></details>"
    )
