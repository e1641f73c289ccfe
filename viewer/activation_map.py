"""How often each head, and each FFN, is in the routes of a run so far: a map."""

from typing import Any

import panel as pn
import pyarrow as pa

from flowglass.store.rollup import TAUS
from flowglass.store.schema import DEFAULT_TAU
from flowglass.store.throughput import Progress

from .component_map import (
    Cell,
    ComponentMap,
    Key,
    height_of,
    palette_of,
    scale,
)
from .prediction import Row
from .pulse import Frequency, Pulse
from .section_head import SectionHead
from .theme import LIGHT

ROOM = (860, 190)
TITLE = "Activation frequency"


class ActivationMap:
    """The map of one run; `tick` fills it when there is something new.

    The figure is made at the first tick: the page is there a good deal sooner without.
    """

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._run: Row | None = None
        self._shown: object = None
        self._palette = LIGHT
        self.map: ComponentMap | None = None
        self.head = SectionHead(TITLE, beside=True, margin=(22, 0, 6, 0))
        self._place = pn.Column(sizing_mode="stretch_width", margin=0)
        self.root = pn.Column(
            self.head,
            self._place,
            sizing_mode="stretch_width",
            visible=False,
            margin=0,
        )

    def turn_to(self, run: Row | None) -> None:
        """Look at another run, or at none."""
        tau = None if run is None else tau_of(run)
        self.root.visible = tau is not None
        if run is None or tau is None:
            self._run = None
            return
        before, self._run = self._run, run
        if before is None or before["run_id"] != run["run_id"]:
            self._shown = None
            self._place.height = height_of(run["n_layers"], run["n_heads"], ROOM)
            if self.map is not None:
                pn.state.execute(self._fill)

    def set_dark(self, dark: bool) -> None:
        """Change the colours."""
        self._palette = palette_of(dark)
        if (map := self.map) is not None:
            pn.state.execute(lambda: map.set_colours(self._palette))

    def tick(self) -> None:
        """Show what is new; only where the document may be changed."""
        if self._run is None:
            return
        if self.map is None:
            self.map = ComponentMap("activation-map", room=ROOM)
            self.map.set_colours(self._palette)
            self._fill()
            self._place.append(self.map.root)
        else:
            self._fill()

    def _fill(self) -> None:
        run, map = self._run, self.map
        tau = None if run is None else tau_of(run)
        if run is None or map is None or tau is None:
            return
        found = self._pulse.frequency(run["run_id"], tau)
        progress = self._pulse.runs.get(run["run_id"])
        if progress is None or self._shown == (run["run_id"], found):
            return
        if self._shown is None:
            map.shape(int(run["n_layers"]), int(run["n_heads"]))
        self._shown = (run["run_id"], found)
        self.head.note = note_of(found, progress, tau)
        cells = cells_of(found.table) if found else {}
        map.fill(cells, missing="no targets yet")


def tau_of(run: Row) -> float | None:
    """The threshold to count routes at: the default, or the next that is known."""
    allowed = (tau for tau in TAUS.values() if tau >= max(DEFAULT_TAU, run["cutoff"]))
    return min(allowed, default=None)


def note_of(found: Frequency | None, run: Progress, tau: float) -> str:
    """What the map shows, and of how much."""
    if found is not None and found.trouble:
        return "The activation frequencies cannot be read just now."
    n = found.table["n_targets"][0].as_py() if found and found.table.num_rows else 0
    scales = scale("attn", "heads", "0", "100%") + scale("ffn", "FFN", "0", "100%")
    return (
        f'Share of targets whose route at threshold {tau:g} holds it: <span class="n">'
        f"{so_far(n, found.run if found else run)}</span>{scales}"
    )


def so_far(n_targets: int, run: Progress) -> str:
    """How much the shares are of: `1,234 targets so far, 37% of the prompts`."""
    targets = f"{n_targets:,} target{'' if n_targets == 1 else 's'}"
    if run.status == "complete":
        return f"{targets}, all prompts"
    # Rounded down: it is not all of them before it is.
    return f"{targets} so far, {100 * run.n_done // max(1, run.n_all)}% of the prompts"


def cells_of(table: pa.Table) -> dict[Key, Cell]:
    """Shares as cells, by component."""
    return {
        (row["layer"], row["component"], row["index"]): cell_of(row)
        for row in table.to_pylist()
    }


def cell_of(row: dict[str, Any]) -> Cell:
    """A share of targets, heads in the colour of attention."""
    return Cell(
        "attn" if row["component"] == "head" else "ffn",
        row["share"],
        f"{100 * row['share']:.1f} %",
        f"± {100 * row['standard_error']:.1f} % (standard error)",
    )
