"""The routes of a batch's targets as rows of `routes` and `importance`.

All prompts of a batch are one graph for the pass of store/routes.py: the positions of
a prompt are shifted by its row, and each prompt has one target a pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowglass.store.importance import importance
from flowglass.store.routes import RouteEdges, survives_at
from flowglass.store.schema import COMPONENTS, DEFAULT_TAU, KINDS, STEPS, TABLES

from .batch import Batch
from .rows import Columns, EdgeColumns, Rounding


@dataclass(frozen=True, eq=False)
class RouteRows:
    """The parts of both tables, and every target's number of edges."""

    routes: list[Columns]
    importance: list[Columns]
    n_edges: list[int]
    """At the default tau; one entry a target, prompt by prompt."""
    graph: "Graph"
    shown: NDArray[np.bool_]
    """The edges of the graph in some target's route at the default tau."""


@dataclass(frozen=True, eq=False)
class Graph:
    """The stored edges of a whole batch, as parallel arrays."""

    row: NDArray[np.int64]
    """The prompt's place in the batch."""
    kind: NDArray[np.int64]
    """Places in `schema.KINDS`."""
    head: NDArray[np.int16]
    """-1 where the kind has none."""
    query: NDArray[np.int32]
    key: NDArray[np.int32]
    edges: RouteEdges
    """With positions shifted by row * width."""


def join(parts: Sequence[EdgeColumns], *, width: int) -> Graph:
    """The edges of all steps as one graph."""
    lengths = [len(part) for part in parts]

    def constant(values: Sequence[int]) -> NDArray[np.int64]:
        return np.repeat(np.array(values, np.int64), lengths)

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    row, query, key = column("row"), column("query"), column("key")
    edges = RouteEdges(
        layer=constant([part.layer for part in parts]),
        step=constant([STEPS.index(part.step) for part in parts]),
        query=row * width + query,
        key=row * width + key,
        contribution=column("contribution").astype(np.float64),
    )
    kind = constant([KINDS.index(part.kind) for part in parts])
    return Graph(row, kind, column("head"), query, key, edges)


def route_rows(
    parts: Sequence[EdgeColumns],
    batch: Batch,
    *,
    n_layers: int,
    cutoff: float,
    round_: Rounding,
) -> RouteRows:
    """Rows of `routes` and `importance` for every target of every prompt."""
    n_rows, width = batch.ids.shape
    graph = join(parts, width=width)
    routes: list[Columns] = []
    importances: list[Columns] = []
    n_edges = [np.zeros(len(p.targets), np.int64) for p in batch.prompts]
    shown = np.zeros(len(graph.row), bool)
    # The first target of every prompt in one pass, then the second of those that have
    # one, and so on.
    passes = zip_longest(*([t.position for t in p.targets] for p in batch.prompts))
    for nth, positions in enumerate(passes):
        target = np.array([-1 if p is None else p for p in positions])
        rows = np.flatnonzero(target >= 0)
        survives = survives_at(
            graph.edges,
            rows * width + target[rows],
            n_layers=n_layers,
            n_positions=n_rows * width,
        )
        at_default = survives > DEFAULT_TAU
        shown |= at_default
        counts = np.bincount(graph.row[at_default], minlength=n_rows)
        for row in rows:
            n_edges[row][nth] = counts[row]
        kept = np.flatnonzero(survives > cutoff)
        ids = batch.frame.prompt_ids
        routes.append(_routes(graph, kept, survives[kept], target, ids))
        importances.append(
            _importance(graph, kept, survives[kept], target, ids, round_)
        )
    flat = [n for counts in n_edges for n in counts.tolist()]
    return RouteRows(routes, importances, flat, graph, shown)


def _routes(
    graph: Graph,
    kept: NDArray[np.int64],
    survives: NDArray[np.float64],
    target: NDArray[np.int64],
    prompt_ids: NDArray[np.int32],
) -> Columns:
    row, edges = graph.row[kept], graph.edges
    return {
        "prompt_id": prompt_ids[row],
        "target": target[row],
        "layer": edges.layer[kept],
        "step": pa.array(STEPS).take(pa.array(edges.step[kept])),
        "kind": pa.array(KINDS).take(pa.array(graph.kind[kept])),
        "head": np.ma.masked_array(graph.head[kept], mask=graph.head[kept] < 0),
        "query": graph.query[kept],
        "key": graph.key[kept],
        "contribution": edges.contribution[kept],
        "survives_at": survives,
    }


def _importance(
    graph: Graph,
    kept: NDArray[np.int64],
    survives: NDArray[np.float64],
    target: NDArray[np.int64],
    prompt_ids: NDArray[np.int32],
    round_: Rounding,
) -> Columns:
    edges = graph.edges
    found = importance(
        target=graph.row[kept],
        layer=edges.layer[kept],
        kind=graph.kind[kept],
        head=graph.head[kept],
        contribution=edges.contribution[kept],
        survives_at=survives,
    )
    return {
        "prompt_id": prompt_ids[found.target],
        "target": target[found.target],
        "layer": found.layer,
        "component": pa.array(COMPONENTS).take(pa.array(found.component)),
        "index": found.index,
        "contribution": round_(found.contribution.astype(np.float32)),
        "survives_at": found.survives_at,
    }


def route_of(
    edges: pa.Table, target: int, threshold: float, *, n_layers: int
) -> pa.Table:
    """Rows of `routes` for any target of one prompt, from its `edges`."""
    query = edges["query"].to_numpy()
    survives = survives_at(
        RouteEdges(
            layer=edges["layer"].to_numpy(),
            step=pc.index_in(edges["step"], pa.array(STEPS)).to_numpy(),
            query=query,
            key=edges["key"].to_numpy(),
            contribution=edges["contribution"].to_numpy().astype(np.float64),
        ),
        np.array([target]),
        n_layers=n_layers,
        n_positions=1 + max(target, int(query.max(initial=0))),
    )
    columns = {
        **{name: edges[name] for name in edges.schema.names},
        "target": pa.array(np.full(len(query), target)),
        "survives_at": pa.array(survives),
    }
    schema = TABLES["routes"].schema
    table = pa.table(
        [columns[field.name].cast(field.type) for field in schema], schema=schema
    )
    return table.filter(pa.array(survives > threshold))
