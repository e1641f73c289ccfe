"""A bar along the page's head while something is read that takes its time.

It is there at once and seen after 200 ms: what is done sooner shows no sign of work,
and nothing on the page moves for it. It is a component of its own that is always
there: whatever becomes visible or hidden has Bokeh lay out the whole page anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import param
from panel.custom import JSComponent

STYLE = """
  :host { position: fixed; top: 52px; left: 0; right: 0; height: 0; z-index: 1300;
    margin: 0 !important; pointer-events: none }
  .wait { position: absolute; inset: 0 0 auto; height: 3px; overflow: hidden;
    animation: appear 0.2s step-end }
  .wait[hidden] { display: none }
  .wait::after { content: ""; position: absolute; inset: 0 70% 0 0;
    background: var(--fg-accent); animation: pass 1.1s infinite ease-in-out }
  @keyframes appear { from { visibility: hidden } to { visibility: visible } }
  @keyframes pass { from { left: -30%; right: 100% } to { left: 100%; right: -30% } }
  @media (prefers-reduced-motion: reduce) {
    .wait::after { inset: 0; animation: none; opacity: .7 } }
"""


class Bar(JSComponent):
    """The bar itself."""

    shown = param.Boolean(False, doc="Whether one waits.")

    _esm = """
    export function render({ model, el }) {
      const bar = document.createElement("div")
      bar.className = "wait" // Panel calls what is around it `bar`
      bar.setAttribute("role", "progressbar")
      bar.setAttribute("aria-label", "Loading")
      const draw = () => { bar.hidden = !model.shown }
      model.on("shown", draw)
      draw()
      el.replaceChildren(bar)
    }"""


class LoadingBar:
    """`with bar.shown():` while one waits."""

    def __init__(self) -> None:
        self._waiting = 0
        self._lock = Lock()
        self.root = Bar(  # type: ignore[no-untyped-call]  # Panel's
            stylesheets=[STYLE], sizing_mode="stretch_width", margin=0
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
            self.root.shown = self._waiting > 0
