"""One prediction: the prompt's tokens, the route graph, and the target in words."""

from threading import RLock

import panel as pn
from param.parameterized import Event

from flowglass.store.store import Store

from .data_table import Column, DataTable
from .prediction import Prediction, Row, StrongEdge, read_prediction, strongest_edges
from .route_graph import RouteGraph, pack_edges
from .selection import MAX_THRESHOLD, MIN_THRESHOLD, Selection
from .target_words import target_words
from .theme import NOTE_STYLE
from .token_strip import TokenStrip

STRENGTH = (
    Column("contribution", "Contrib.", width="64px", align="right"),
    Column(
        "survives_at",
        "Survives",
        width="68px",
        align="right",
        hint="survives_at: it is in the route at every threshold below this",
    ),
)
ATTENTION_COLUMNS = (
    Column("layer", "Layer", width="52px", align="right"),
    Column("head", "Head", width="52px", align="right"),
    Column("source", "From", kind="token"),
    Column("destination", "To", kind="token"),
    *STRENGTH,
)
FFN_COLUMNS = (
    Column("layer", "Layer", width="52px", align="right"),
    Column("destination", "At", kind="token"),
    *STRENGTH,
)
N_ATTENTION, N_FFN = 8, 5

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

    def __init__(self, store: Store, selection: Selection) -> None:
        self._store = store
        self._selection = selection
        self._shown: Prediction | None = None
        self._lock = RLock()  # a session's events run in several threads
        self._strip = TokenStrip(sizing_mode="stretch_width", margin=(0, 0, 14, 0))
        self._graph = RouteGraph(
            styles={"flex": "1 1 600px", "min-width": "0"}, margin=0
        )
        self._words = pn.pane.HTML(stylesheets=[WORDS_STYLE], margin=0)
        self._attention = DataTable(
            ATTENTION_COLUMNS,
            caption="Strongest attention edges",
            empty="None above this threshold.",
            margin=(14, 0, 0, 0),
        )
        self._ffn = DataTable(
            FFN_COLUMNS,
            caption="Strongest FFN edges",
            empty="None above this threshold.",
            margin=(18, 0, 0, 0),
        )
        side = pn.Column(
            self._words,
            self._attention,
            self._ffn,
            styles={"flex": "0 0 412px", "min-width": "0"},
            margin=0,
        )
        self._body = pn.Column(
            self._strip,
            pn.FlexBox(
                self._graph,
                side,
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
        selection.param.watch(self._follow, ["target", "threshold"])

    def set_dark(self, dark: bool) -> None:
        """Repaint the canvas in the other colours."""
        self._graph.dark = dark

    def show(self, run: Row, prompt_id: int) -> Row | None:
        """Show a prompt; its row, or None if the run does not hold it."""
        with self._lock:
            try:
                shown = read_prediction(self._store, run, prompt_id)
            except LookupError:
                self._shown = None
                self._body.visible = False
                self._missing.visible = True
                self._missing.object = MISSING.format(prompt_id)
                return None
            self._shown = shown
            target = shown.target_or_default(self._selection.target)
            names, predictions = shown.shown_tokens, shown.shown_predictions
            stored = [int(row["target"]) for row in shown.targets]
            self._strip.param.update(
                tokens=names,
                predictions=predictions,
                stored_targets=stored,
                special=[i for i, r in enumerate(shown.tokens) if r["is_special"]],
                target=target,
            )
            self._graph.param.update(
                edges=pack_edges(shown.edges),
                tokens=names,
                predictions=predictions,
                probabilities=[row["top_prob"] for row in shown.tokens],
                stored_targets=stored,
                layers=int(run["n_layers"]),
                parallel=run["block_kind"] == "parallel",
                lowest=lowest_threshold(run),
                target=target,
                threshold=max(self._selection.threshold, lowest_threshold(run)),
            )
            self._tell(target)
            self._missing.visible = False
            self._body.visible = True
            return shown.prompt

    def _retarget(self, event: Event) -> None:
        """A click in the strip or the graph chose a target."""
        chosen = event.new
        shown = self._shown
        if shown and chosen != shown.target_or_default(self._selection.target):
            self._selection.target = chosen

    def _rethreshold(self, event: Event) -> None:
        self._selection.threshold = event.new

    def _follow(self, *_: object) -> None:
        with self._lock:
            shown = self._shown
            if shown is None or shown.prompt["prompt_id"] != self._selection.prompt:
                return  # another page, or another prompt, which `show` will bring
            target = shown.target_or_default(self._selection.target)
            threshold = max(self._selection.threshold, lowest_threshold(shown.run))
            self._strip.target = target
            self._graph.param.update(target=target, threshold=threshold)
            self._tell(target)

    def _tell(self, target: int) -> None:
        """The side panel for a target."""
        assert self._shown is not None
        self._words.object = target_words(self._shown, target)
        threshold = self._graph.threshold
        attention = strongest_edges(
            self._shown, target, kind="attn", threshold=threshold, limit=N_ATTENTION
        )
        ffn = strongest_edges(
            self._shown, target, kind="ffn", threshold=threshold, limit=N_FFN
        )
        self._attention.rows = [
            [str(edge.layer), str(edge.head), edge.source, *_ends(edge)]
            for edge in attention
        ]
        self._ffn.rows = [[str(edge.layer), *_ends(edge)] for edge in ffn]


def lowest_threshold(run: Row) -> float:
    """Where the slider starts: below its cutoff a run stores nothing."""
    return min(max(MIN_THRESHOLD, float(run["cutoff"])), MAX_THRESHOLD)


def _ends(edge: StrongEdge) -> list[str]:
    return [edge.destination, f"{edge.contribution:.3f}", f"{edge.survives_at:.3f}"]
