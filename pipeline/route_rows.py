"""The routes of a batch's targets as rows of `routes` and `importance`.

All prompts of a batch are one graph for the pass of store/routes.py: the positions of
a prompt are shifted by its row, and each prompt has one target a pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flowglass.store.routes import RouteEdges, survives_at
from flowglass.store.schema import DEFAULT_TAU, STEPS, TABLES

from .batch import Batch
from .rows import Columns, EdgeColumns, Rounding


@dataclass(frozen=True, eq=False)
class RouteRows:
    """The parts of both tables, and every target's number of edges."""

    routes: list[Columns]
    importance: list[Columns]
    n_edges: list[int]
    """At the default tau; one entry a target, prompt by prompt."""


@dataclass(frozen=True, eq=False)
class Graph:
    """The stored edges of a whole batch, as parallel arrays."""

    row: NDArray[np.int64]
    kind: NDArray[np.int8]
    """Index into KINDS."""
    head: NDArray[np.int16]
    """-1 where the kind has none."""
    query: NDArray[np.int32]
    key: NDArray[np.int32]
    edges: RouteEdges


KINDS = ("attn", "resid", "ffn")


def join(parts: Sequence[EdgeColumns], *, width: int) -> Graph:
    """The edges of all steps as one graph; positions are shifted by row * width."""

    def constant(values: Sequence[int]) -> NDArray[np.int8]:
        return np.repeat(np.array(values, np.int8), [len(part) for part in parts])

    def column(name: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(part, name) for part in parts])

    row, query, key = column("row"), column("query"), column("key")
    edges = RouteEdges(
        layer=np.repeat([part.layer for part in parts], [len(part) for part in parts]),
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
    importance: list[Columns] = []
    n_edges = [np.zeros(len(p.targets), np.int64) for p in batch.prompts]
    nth_targets = zip_longest(*([t.position for t in p.targets] for p in batch.prompts))
    for nth, positions in enumerate(nth_targets):
        target = np.array([-1 if p is None else p for p in positions])
        rows = np.flatnonzero(target >= 0)
        survives = survives_at(
            graph.edges,
            rows * width + target[rows],
            n_layers=n_layers,
            n_positions=n_rows * width,
        )
        kept = np.flatnonzero(survives > cutoff)
        counts = np.bincount(graph.row[survives > DEFAULT_TAU], minlength=n_rows)
        for row in rows:
            n_edges[row][nth] = counts[row]
        here = _Kept(graph, batch, kept, target, survives[kept], round_)
        routes.append(here.routes())
        importance.append(here.importance(n_layers))
    return RouteRows(routes, importance, [n for counts in n_edges for n in counts.tolist()])


@dataclass(frozen=True, eq=False)
class _Kept:
    """The edges of one pass that are in a route at the cutoff."""

    graph: Graph
    batch: Batch
    kept: NDArray[np.int64]
    target: NDArray[np.int64]
    """[batch]"""
    survives: NDArray[np.float64]
    """[kept]"""
    round_: Rounding

    def routes(self) -> Columns:
        graph, kept = self.graph, self.kept
        row, kind = graph.row[kept], graph.kind[kept]
        return {
            "prompt_id": self.batch.frame.prompt_ids[row],
            "target": self.target[row].astype(np.int32),
            "layer": graph.edges.layer[kept].astype(np.int16),
            "step": pa.array(STEPS).take(pa.array(graph.edges.step[kept])),
            "kind": pa.array(KINDS).take(pa.array(kind)),
            "head": np.ma.masked_array(graph.head[kept], mask=kind != KINDS.index("attn")),
            "query": graph.query[kept],
            "key": graph.key[kept],
            "contribution": graph.edges.contribution[kept].astype(np.float32),
            "survives_at": self.survives.astype(np.float32),
        }

    def importance(self, n_layers: int) -> Columns:
        """Heads and FFNs: the sum of their edges' contributions, the best survival."""
        graph, n_prompts = self.graph, len(self.batch.prompts)
        write = graph.kind[self.kept] != KINDS.index("resid")
        some, survives = self.kept[write], self.survives[write]
        n_heads = int(graph.head.max(initial=-1)) + 1
        # Components of a layer: its heads, then its FFN.
        unit = np.where(graph.head[some] >= 0, graph.head[some], n_heads)
        shape = (n_prompts, n_layers, n_heads + 1)
        place = np.ravel_multi_index(
            (graph.row[some], graph.edges.layer[some], unit), shape
        )
        present, which = np.unique(place, return_inverse=True)
        total = np.bincount(which, graph.edges.contribution[some], len(present))
        best = np.zeros(len(present))
        np.maximum.at(best, which, survives)
        row, layer, unit = np.unravel_index(present, shape)
        is_ffn = unit == n_heads
        return {
            "prompt_id": self.batch.frame.prompt_ids[row],
            "target": self.target[row].astype(np.int32),
            "layer": layer.astype(np.int16),
            "component": pa.array(["head", "ffn"]).take(pa.array(is_ffn.astype(np.int8))),
            "index": np.where(is_ffn, 0, unit).astype(np.int32),
            "contribution": self.round_(total.astype(np.float32)),
            "survives_at": best.astype(np.float32),
        }


def route_of(
    edges: pa.Table, target: int, threshold: float, *, n_layers: int
) -> pa.Table:
    """Rows of `routes` for any target of one prompt, from its `edges`."""
    step = pc.index_in(edges["step"], pa.array(STEPS)).to_numpy()
    key = edges["key"].to_numpy()
    graph = RouteEdges(
        layer=edges["layer"].to_numpy(),
        step=step,
        query=edges["query"].to_numpy(),
        key=key,
        contribution=edges["contribution"].to_numpy().astype(np.float64),
    )
    survives = survives_at(
        graph,
        np.array([target]),
        n_layers=n_layers,
        n_positions=1 + max(target, int(graph.query.max(initial=0))),
    )
    kept = pa.array(np.flatnonzero(survives > threshold))
    schema = TABLES["routes"].schema
    columns = {
        **{name: edges[name] for name in edges.schema.names},
        "target": pa.repeat(target, edges.num_rows),
        "survives_at": pa.array(survives),
    }
    return pa.table(
        [columns[field.name].cast(field.type) for field in schema], schema=schema
    ).take(kept)
