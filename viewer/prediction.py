"""What the prediction page shows of one prompt: read once, then asked of.

Pure reading and wording, no widgets; usable from a notebook.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowglass.store import queries
from flowglass.store.at_once import at_once
from flowglass.store.routes import RouteEdges, survives_at
from flowglass.store.schema import KINDS, STEPS
from flowglass.store.store import Store

from .theme import show_whitespace

Row = dict[str, Any]


@dataclass(frozen=True)
class Prediction:
    """One prompt of one run, as stored."""

    run: Row
    prompt: Row
    tokens: list[Row]
    targets: list[Row]
    """The stored targets; the one that stands for the prompt comes first."""
    edges: pa.Table

    @cached_property
    def shown_tokens(self) -> list[str]:
        """Every token with its white space visible."""
        return [show_whitespace(row["token"]) for row in self.tokens]

    @cached_property
    def shown_predictions(self) -> list[str]:
        """The likeliest next token at every position, white space visible."""
        return [show_whitespace(row["top_token"]) for row in self.tokens]

    @property
    def key(self) -> tuple[str, int]:
        """What its rows are found by: run_id and prompt_id."""
        return self.run["run_id"], int(self.prompt["prompt_id"])

    def name(self, position: int) -> str:
        """A position with its token."""
        return f"{position} {self.shown_tokens[position]}"

    @property
    def default_target(self) -> int:
        """The stored target that stands for the prompt; else its last position."""
        return int(self.targets[0]["target"]) if self.targets else len(self.tokens) - 1

    def target_or_default(self, wanted: int | None) -> int:
        """A position of this prompt: the wanted one if it has that."""
        fits = wanted is not None and wanted < len(self.tokens)
        return wanted if fits and wanted is not None else self.default_target

    def stored_target(self, position: int) -> Row | None:
        """The row of `targets` for a position, if the sweep traced it."""
        return next((row for row in self.targets if row["target"] == position), None)

    def survives_at(self, target: int) -> NDArray[np.float64]:
        """Where each row of `edges` leaves a target's route."""
        return survives_at(
            route_edges(self.edges),
            np.array([target]),
            n_layers=int(self.run["n_layers"]),
            n_positions=len(self.tokens),
        )


def read_prediction(store: Store, run: Row, prompt_id: int) -> Prediction:
    """Everything stored about one prompt; LookupError if the run does not hold it."""
    asks = (queries.prompt, queries.tokens, queries.targets, queries.edges)
    prompt, tokens, targets, edges = at_once(
        {ask.__name__: partial(ask, store, run["run_id"], prompt_id) for ask in asks}
    ).values()
    return Prediction(
        run=run,
        prompt=prompt.to_pylist()[0],
        tokens=tokens.to_pylist(),
        targets=targets.to_pylist(),
        edges=edges,
    )


def route_edges(edges: pa.Table) -> RouteEdges:
    """Rows of `edges` as `store.routes` takes them."""
    return RouteEdges(
        layer=edges["layer"].to_numpy(),
        step=codes(edges["step"], STEPS),
        query=edges["query"].to_numpy(),
        key=edges["key"].to_numpy(),
        contribution=edges["contribution"].to_numpy().astype(np.float64),
    )


def codes(column: pa.ChunkedArray, names: tuple[str, ...]) -> NDArray[np.uint8]:
    """Each value's place among `names`."""
    places = pa.compute.index_in(column.cast(pa.string()), value_set=pa.array(names))
    found: NDArray[np.uint8] = places.to_numpy().astype("u1")
    return found


@dataclass(frozen=True)
class StrongEdge:
    """An attention or FFN edge of a route, positions and all."""

    layer: int
    head: int | None
    """None: an FFN edge."""
    source: str
    """Position and token it reads."""
    destination: str
    """Position and token it writes to."""
    query: int
    key: int
    contribution: float
    survives_at: float


def strongest_edges(
    prediction: Prediction, target: int, *, kind: str, threshold: float, limit: int
) -> list[StrongEdge]:
    """The edges of a kind that stay longest in a target's route above a threshold."""
    edges, survives = prediction.edges, prediction.survives_at(target)
    is_kind = codes(edges["kind"], KINDS) == KINDS.index(kind)
    kept = np.flatnonzero((survives > threshold) & is_kind)
    contribution = edges["contribution"].to_numpy()
    order = np.lexsort((-contribution[kept], -survives[kept]))
    return [
        StrongEdge(
            layer=row["layer"],
            head=row["head"],
            source=prediction.name(row["key"]),
            destination=prediction.name(row["query"]),
            query=row["query"],
            key=row["key"],
            contribution=row["contribution"],
            survives_at=float(survives[i]),
        )
        for i in kept[order][:limit].tolist()
        for row in edges.slice(i, 1).to_pylist()
    ]
