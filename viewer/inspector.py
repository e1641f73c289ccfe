"""The panel beside the graph: what is chosen in it, or else the strongest edges."""

from typing import Any

import panel as pn

from flowglass.store.errors import StoreError
from flowglass.store.store import Store

from .edge_panel import EdgePanel, edge_panel
from .examples import given
from .ffn_panel import ffn_sections
from .head_maps import HeadMaps
from .places import Attention, Ffn, Place, State, exists, place_of
from .prediction import Prediction
from .sections import Note, Section, Title
from .selection import Selection
from .sheet import Sheet
from .state_panel import state_sections
from .strongest_panel import strongest_sections
from .trouble import told


class Inspector:
    """Shows `selected`, `head`, `neuron` of the Selection, when told to."""

    def __init__(self, store: Store, selection: Selection) -> None:
        self._store = store
        self._selection = selection
        self._maps: HeadMaps | None = None
        self._dark = False
        self.above = Sheet(
            self._choose,
            label="What is chosen",
            sizing_mode="stretch_width",
            margin=0,
        )
        self.below = Sheet(self._choose, sizing_mode="stretch_width", margin=0)
        self.root = pn.Column(
            self.above,
            self.below,
            css_classes=["inspector"],
            sizing_mode="stretch_width",
            margin=0,
        )

    @property
    def maps(self) -> HeadMaps:
        """Made when the first edge is chosen: figures are dear."""
        if self._maps is None:
            self._maps = HeadMaps(self._choose_pair)
            self._maps.set_dark(self._dark)
            self.root.insert(1, self._maps.root)
        return self._maps

    def set_dark(self, dark: bool) -> None:
        """Repaint what is no CSS."""
        self._dark = dark
        if self._maps is not None:
            self._maps.set_dark(dark)

    def show(self, prediction: Prediction, target: int, threshold: float) -> None:
        """Show what the Selection says of a prediction."""
        try:
            panel = self._panel(prediction, target, threshold)
        except StoreError as error:
            run_id, prompt_id = prediction.key
            said = told(self._store, error, run_id, prompt_id=prompt_id)
            panel = EdgePanel([Note(said, "missing")], None, [])
        self._fill(prediction, panel)

    def _fill(self, prediction: Prediction, panel: EdgePanel) -> None:
        self.above.fill(panel.above)
        self.below.fill(panel.below)
        place = place_of(self._selection.selected)
        if panel.maps is not None and isinstance(place, Attention):
            pair = (place.query, place.key)
            self.maps.show(panel.maps, prediction.shown_tokens, pair=pair)
        if self._maps is not None:
            self._maps.root.visible = panel.maps is not None

    def _panel(
        self, prediction: Prediction, target: int, threshold: float
    ) -> EdgePanel:
        place = place_of(self._selection.selected)
        if place is None:
            return EdgePanel(
                strongest_sections(prediction, target, threshold), None, []
            )
        if not exists(
            place,
            layers=int(prediction.run["n_layers"]),
            positions=len(prediction.tokens),
            parallel=prediction.run["block_kind"] == "parallel",
        ):
            return EdgePanel(nowhere(self._selection.selected), None, [])
        if isinstance(place, Attention):
            return edge_panel(self._store, prediction, place, head=self._selection.head)
        return EdgePanel(self._sections(prediction, place), None, [])

    def _sections(self, prediction: Prediction, place: Ffn | State) -> list[Section]:
        if isinstance(place, Ffn):
            neuron, expert = self._selection.neuron, self._selection.expert
            return ffn_sections(
                self._store, prediction, place, neuron=neuron, expert=expert
            )
        return state_sections(self._store, prediction, place)

    def _choose(self, changes: dict[str, Any]) -> None:
        """A chip, a row or the close button: what changes of the Selection."""
        choose(self._selection, changes)

    def _choose_pair(self, query: int, key: int) -> None:
        place: Place | None = place_of(self._selection.selected)
        if isinstance(place, Attention):
            self._selection.selected = f"attn-{place.layer}-{query}-{key}"


def choose(selection: Selection, changes: dict[str, Any]) -> None:
    """Change the Selection; a new place forgets the head and neuron of the last, and a
    page about the run the whole prompt."""
    if changes.get("view"):
        selection.go(**given(changes))
        return
    known = {k: v for k, v in changes.items() if k in ("selected", "head", "neuron")}
    if isinstance(known.get("neuron"), str):  # of an expert
        expert, neuron = map(int, known["neuron"].split(":"))
        known |= {"neuron": neuron, "expert": expert}
    if "selected" in known:
        known = {"head": None, "neuron": None, "expert": None, **known}
    selection.param.update(**known)


def nowhere(selected: str) -> list[Section]:
    """What to say of a place that this prompt does not have."""
    return [
        Title("Nothing to show", closes=True),
        Note(f"`{selected}` is no place in this prompt.", "missing"),
    ]
