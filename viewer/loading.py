"""A bar along the page's head while something is read that takes its time.

It is there at once and seen after 200 ms: what is done sooner shows no sign of work,
and nothing on the page moves for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import panel as pn

STYLE = """
  :host { position: fixed; top: 52px; left: 0; right: 0; height: 0; z-index: 1300;
    margin: 0 !important; pointer-events: none }
  .bar { position: absolute; inset: 0 0 auto; height: 3px; overflow: hidden;
    animation: appear 0.2s step-end }
  .bar::after { content: ""; position: absolute; inset: 0 70% 0 0;
    background: var(--fg-accent); animation: pass 1.1s infinite ease-in-out }
  @keyframes appear { from { visibility: hidden } to { visibility: visible } }
  @keyframes pass { from { left: -30%; right: 100% } to { left: 100%; right: -30% } }
  @media (prefers-reduced-motion: reduce) {
    .bar::after { inset: 0; animation: none; opacity: .7 } }
"""
BAR = '<div class="bar" role="progressbar" aria-label="Loading"></div>'


class LoadingBar:
    """`with bar.shown():` while one waits."""

    def __init__(self) -> None:
        self._waiting = 0
        self._lock = Lock()
        self.root = pn.pane.HTML(
            BAR,
            stylesheets=[STYLE],
            sizing_mode="stretch_width",
            visible=False,
            margin=0,
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it meanwhile; it stays until all who wait have what they wait for."""
        self._wait(1)
        try:
            yield
        finally:
            self._wait(-1)

    def _wait(self, more: int) -> None:
        with self._lock:
            self._waiting += more
            self.root.visible = self._waiting > 0
