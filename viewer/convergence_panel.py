"""How many prompts it takes until the heads that rank first are known.

The numbers are `store.convergence`'s, which takes seconds: a button asks for them.
"""

from typing import Any

import holoviews as hv
import holoviews.plotting.bokeh  # registers what draws
import panel as pn
import panel_material_ui as pmu
from bokeh.models import FixedTicker, NumeralTickFormatter

from flowglass.store.certainty import FEWEST_PROMPTS, TooFewPrompts
from flowglass.store.convergence import BEYOND, ENOUGH, Convergence

from .component_map import palette_of
from .component_plots import finished, hover
from .downloads import Extract
from .head_sections import python
from .prediction import Row
from .section_head import SectionHead
from .theme import LIGHT, Palette
from .views import Desk

ASK = "How many prompts does a ranking of heads take?"
TITLE = "How many prompts a ranking of heads takes"
MOST_FIRST = 20
SIZE = (620, 240)


class ConvergencePanel:
    """The button, or the curve of the run; `show` says of which run."""

    def __init__(self, desk: Desk) -> None:
        self._store = desk.store
        self._loading = desk.loading
        self._run: Row | None = None
        self._found: Convergence | TooFewPrompts | None = None
        self._palette = LIGHT
        self.ask = pmu.Button(
            label=ASK, variant="outlined", size="small", margin=0, on_click=self._ask
        )
        self.head = SectionHead(TITLE)
        self.plot = pn.pane.Bokeh(None, margin=0)
        self._answer = pn.Column(
            self.head,
            # Bokeh lays out the figures in its columns together, and would no longer
            # see those that are in a FlexBox on the page.
            pn.FlexBox(self.plot, margin=0),
            sizing_mode="stretch_width",
            visible=False,
            margin=0,
        )
        self.root = pn.Column(
            self.ask, self._answer, sizing_mode="stretch_width", margin=(24, 0, 0, 0)
        )

    def show(self, run: Row) -> None:
        """Of this run; what is known of another is forgotten."""
        known = self._run
        same = known and known["run_id"] == run["run_id"]
        self._run = run
        if not same or (known and known["n_prompts"] != run["n_prompts"]):
            self._found = None
            self._answer.visible = False
            self.ask.visible = True

    def set_dark(self, dark: bool) -> None:
        """Repaint in the other colours."""
        self._palette = palette_of(dark)
        pn.state.execute(self._draw)

    def _ask(self, *_: object) -> None:
        run = self._run
        assert run is not None
        top = ranked_first(run)
        with self._loading.shown():
            self._found = found = self._store.convergence(run["run_id"], top=top)
        said = sentence(found, run)
        if isinstance(found, Convergence):
            call = python(f"store.convergence({run['run_id']!r}, top={top}).curve")
            extract = Extract(f"{run['run_id']}-convergence", found.curve, call)
            self.head.tell(TITLE, said, extract)
        else:
            self.head.miss(TITLE, said)
        self.ask.visible = False
        self._answer.visible = True
        pn.state.execute(self._draw)

    def _draw(self) -> None:
        found = self._found
        self.plot.visible = isinstance(found, Convergence)
        if isinstance(found, Convergence):
            self.plot.object = curve_of(found, self._palette)


def ranked_first(run: Row) -> int:
    """How many heads are looked for: 20, or a quarter of a small model's.

    >>> ranked_first({"n_layers": 12, "n_heads": 12})
    20
    >>> ranked_first({"n_layers": 4, "n_heads": 4})
    4
    """
    n_heads: int = run["n_layers"] * run["n_heads"]
    return max(1, min(MOST_FIRST, n_heads // 4))


def sentence(found: Convergence | TooFewPrompts, run: Row) -> str:
    """Whether the ranking is stable, and if not, what it would take."""
    if isinstance(found, TooFewPrompts):
        return (
            f"{found.n_traced:,} prompts with a target are too few to say: that takes "
            f"{FEWEST_PROMPTS}."
        )
    n_heads = run["n_layers"] * run["n_heads"]
    what = (
        f"The {found.top} of {n_heads:,} heads with the largest mean contribution, had "
        f"endless prompts like these been traced: "
    )
    there = f"the {found.n_prompts:,} prompts there are find {found.now:.0%} of them"
    if found.is_stable:
        return (
            f"{what}{ENOUGH:.0%} are found with {found.needed:,} prompts, and {there}. "
            "The ranking is stable."
        )
    if found.needed is None:
        takes = f"more than {BEYOND} times as many"
    else:
        takes = f"about {found.needed:,}"
    return f"{what}{there}. Not yet stable: {ENOUGH:.0%} take {takes}."


def curve_of(found: Convergence, palette: Palette) -> Any:
    """The share that is found by the number of prompts, with its interval, as a Bokeh
    figure; vertical: the prompts there are."""
    rows = found.curve.to_pylist()
    n, expected, low, high = (
        [row[key] for row in rows] for key in ("n", "expected", "low", "high")
    )
    told = [
        f"{e:.0%} ({lo:.0%} to {hi:.0%})"
        for e, lo, hi in zip(expected, low, high, strict=True)
    ]
    points = hv.Scatter((n, expected, told), "n", ["expected", "told"])
    tip = hover("<div>@n{0,0} prompts</div><div><b>@told</b></div>", palette)
    line: dict[str, Any] = {"color": palette.muted, "line_width": 1}
    element = hv.Overlay(
        [
            hv.Area((n, low, high), "n", ["low", "high"]).opts(
                color=palette.attn, alpha=0.18, line_alpha=0
            ),
            hv.Curve((n, expected), "n", "expected").opts(color=palette.attn),
            points.opts(color=palette.attn, size=5, default_tools=[], tools=[tip]),
            hv.HLine(ENOUGH).opts(line_dash="dotted", **line),
            hv.VLine(found.n_prompts).opts(**line),
        ]
    ).opts(
        width=SIZE[0],
        height=SIZE[1],
        logx=True,
        ylim=(0, 1.03),
        xlabel="prompts (vertical line: those there are)",
        ylabel="share found",
        toolbar=None,
        show_legend=False,
    )
    figure = finished(element, "convergence", palette)
    marks = [10**power for power in range(1, 9) if n[0] <= 10**power <= n[-1]]
    figure.xaxis.ticker = FixedTicker(ticks=marks)
    figure.xaxis.major_label_overrides = {mark: f"{mark:,}" for mark in marks}
    figure.yaxis.formatter = NumeralTickFormatter(format="0 %")
    return figure
