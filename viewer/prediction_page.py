"""One prediction: the prompt's tokens, the route graph, the target in words, what
pushes its logits, and whatever is chosen in the graph."""

from functools import partial
from threading import RLock
from typing import Any

import panel as pn
from param.parameterized import Event

from flowglass.store.errors import StoreError
from flowglass.store.store import Store

from .attribution_panel import attribution_sections
from .inspector import Inspector, choose
from .loading import LoadingBar
from .prediction import Prediction, Row, read_prediction
from .route_graph import RouteGraph, pack_edges
from .sections import Note
from .selection import MAX_THRESHOLD, MIN_THRESHOLD, Selection
from .sheet import Sheet
from .target_words import target_words
from .theme import NOTE_STYLE
from .token_strip import TokenStrip, strip_values
from .trouble import as_html, told

INSPECTED = frozenset({"selected", "head", "neuron", "expert"})
"""What of the Selection decides what the panel beside the graph shows."""

DRAWN = ("renormalise", "strongest", "layers", "positions")
"""What of the Selection is the graph's alone."""

FOLLOWED = ["target", "threshold", *INSPECTED, *DRAWN]

LEFT = {"flex": "1 1 640px", "min-width": "0"}
RIGHT = {"flex": "1 1 412px", "min-width": "0", "max-width": "720px"}
"""Beside each other, or below; neither moves when the other fills."""

MISSING = (
    "This run holds no prompt {}. If it was set aside, the table "
    "<code>quarantine</code> says why; the run's name above leads to the prompts "
    "there are."
)

WORDS_STYLE = """
  :host { font-size: 13.5px; line-height: 1.5; color: var(--fg-text) }
  p { margin: 0 0 6px } .where { color: var(--fg-muted) }
  code { font: 0.95em var(--fg-monospace); background: var(--fg-raised);
    border: 1px solid var(--fg-line); border-radius: 4px; padding: 1px 5px;
    white-space: pre-wrap; overflow-wrap: anywhere }
  .top { font-size: 20px; margin: 2px 0 10px }
  .share { margin-left: 12px; font-variant-numeric: tabular-nums }
  .good { color: var(--fg-good) } .bad { color: var(--fg-bad) }
  .good code, .bad code { color: var(--fg-text) }
"""


class PredictionPage:
    """The components of the page, and what of the Selection each follows."""

    def __init__(self, store: Store, selection: Selection, loading: LoadingBar) -> None:
        self._loading = loading
        self._store = store
        self._selection = selection
        self._shown: Prediction | None = None
        self._lock = RLock()  # a session's events run in several threads
        self._strip = TokenStrip(sizing_mode="stretch_width", margin=(0, 0, 14, 0))
        self._graph = RouteGraph(sizing_mode="stretch_width", margin=0)
        self._words = pn.pane.HTML(stylesheets=[WORDS_STYLE], margin=(0, 0, 14, 0))
        self._inspector = Inspector(store, selection)
        self._attribution = Sheet(
            partial(choose, selection),
            label="Logit attribution",
            sizing_mode="stretch_width",
            margin=(26, 0, 0, 0),
        )
        self._body = pn.Column(
            self._strip,
            pn.FlexBox(
                pn.Column(self._graph, self._attribution, styles=LEFT, margin=0),
                pn.Column(self._words, self._inspector.root, styles=RIGHT, margin=0),
                flex_wrap="wrap",
                gap="28px",
                align_items="flex-start",
                sizing_mode="stretch_width",
                margin=0,
            ),
            sizing_mode="stretch_width",
            margin=0,
        )
        self._missing = pn.pane.HTML(stylesheets=[NOTE_STYLE], visible=False, margin=0)
        self.root = pn.Column(
            self._missing,
            self._body,
            sizing_mode="stretch_width",
            margin=(18, 24, 24, 24),
        )
        self._strip.param.watch(self._retarget, "target")
        self._graph.param.watch(self._retarget, "target")
        self._graph.param.watch(self._rethreshold, "threshold")
        self._graph.param.watch(self._chosen, "selected")
        self._graph.param.watch(self._redrawn, list(DRAWN))
        selection.param.watch(self._follow, FOLLOWED)

    def set_dark(self, dark: bool) -> None:
        """Repaint in the other colours what is no CSS."""
        self._graph.dark = dark
        self._inspector.set_dark(dark)

    @property
    def is_missing(self) -> bool:
        """Whether the page is open on a prompt that it cannot show."""
        return bool(self.root.visible and self._missing.visible)

    def show(self, run: Row, prompt_id: int) -> Row | None:
        """Show a prompt; its row, or None if the run does not hold it whole."""
        with self._lock:
            try:
                shown = read_prediction(self._store, run, prompt_id)
            except LookupError:
                self._miss(MISSING.format(prompt_id))
                return None
            except StoreError as error:
                said = told(self._store, error, run["run_id"], prompt_id=prompt_id)
                self._miss(f"Prompt {prompt_id} cannot be read: {as_html(said)}.")
                return None
            self._shown = shown
            target = shown.target_or_default(self._selection.target)
            threshold = max(self._selection.threshold, lowest_threshold(run))
            self._strip.param.update(**strip_values(shown), target=target)
            self._graph.param.update(
                edges=pack_edges(shown.edges),
                tokens=shown.shown_tokens,
                predictions=shown.shown_predictions,
                probabilities=[row["top_prob"] for row in shown.tokens],
                stored_targets=[int(row["target"]) for row in shown.targets],
                n_layers=int(run["n_layers"]),
                file_name=f"{run['run_id']}-prompt-{prompt_id}",
                parallel=run["block_kind"] == "parallel",
                lowest=lowest_threshold(run),
                target=target,
                threshold=threshold,
                **self._drawn(),
            )
            self._tell(target)
            self._inspect(target, threshold)
            self._missing.visible = False
            self._body.visible = True
            return shown.prompt

    def _miss(self, html: str) -> None:
        """Say why there is no prediction to show."""
        self._shown = None
        self._body.visible = False
        self._missing.object = html
        self._missing.visible = True

    def _retarget(self, event: Event) -> None:
        """A click in the strip or the graph chose a target."""
        chosen = event.new
        shown = self._shown
        if shown and chosen != shown.target_or_default(self._selection.target):
            self._selection.target = chosen

    def _rethreshold(self, event: Event) -> None:
        self._selection.threshold = event.new

    def _chosen(self, event: Event) -> None:
        """A click in the graph chose a place, or none."""
        if event.new != self._selection.selected:
            choose(self._selection, {"selected": event.new})

    def _redrawn(self, *events: Event) -> None:
        """The graph's own controls changed what of it is drawn."""
        self._selection.param.update(**{event.name: event.new for event in events})

    def _drawn(self) -> dict[str, Any]:
        """What the graph takes from the Selection as it is."""
        return {name: getattr(self._selection, name) for name in ("selected", *DRAWN)}

    def _follow(self, *events: Event) -> None:
        if not self.root.visible:
            return  # what it turns to, `show` will bring
        with self._loading.shown(), self._lock:
            shown = self._shown
            if shown is None or shown.prompt["prompt_id"] != self._selection.prompt:
                return  # another page, or another prompt, which `show` will bring
            changed = {event.name for event in events}
            target = shown.target_or_default(self._selection.target)
            threshold = max(self._selection.threshold, lowest_threshold(shown.run))
            self._graph.param.update(
                target=target, threshold=threshold, **self._drawn()
            )
            if "target" in changed:
                self._strip.target = target
                self._tell(target)
            if changed & INSPECTED or not self._selection.selected:
                self._inspect(target, threshold)

    def _tell(self, target: int) -> None:
        """What a target predicted, and why."""
        assert self._shown is not None
        self._words.object = target_words(self._shown, target)
        try:
            sections = attribution_sections(self._store, self._shown, target)
        except StoreError as error:
            run_id, prompt_id = self._shown.key
            said = told(self._store, error, run_id, prompt_id=prompt_id)
            sections = [Note(said, "missing")]
        self._attribution.fill(sections)

    def _inspect(self, target: int, threshold: float) -> None:
        assert self._shown is not None
        self._inspector.show(self._shown, target, threshold)


def lowest_threshold(run: Row) -> float:
    """Where the slider starts: below its cutoff a run stores nothing."""
    return min(max(MIN_THRESHOLD, float(run["cutoff"])), MAX_THRESHOLD)
