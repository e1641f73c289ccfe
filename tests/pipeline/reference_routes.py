"""Routes (DESIGN 2.4) on a plain dictionary of edges, by literal graph search.

Nodes: ("mid", l, i) and ("post", l, i), where ("post", -1, i) is `resid_pre` of
layer 0. Edges: the parts, with their contributions. Works for any such dictionary,
be it of a model, of a store, or drawn by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

Node = tuple[str, int, int]


class Edge(NamedTuple):
    """The key of the table `edges`: `head` is None and `key` = `query` unless attn."""

    layer: int
    step: str  # attn, ffn, block
    kind: str  # attn, resid, ffn
    head: int | None
    query: int
    key: int


def destination(edge: Edge) -> Node:
    """The state that an edge writes to."""
    return ("mid" if edge.step == "attn" else "post", edge.layer, edge.query)


def origin(edge: Edge) -> Node:
    """The state that an edge reads from."""
    if edge.step == "ffn":
        return ("mid", edge.layer, edge.key)
    return ("post", edge.layer - 1, edge.key)


def route(
    edges: Mapping[Edge, float], target: int, *, n_layers: int, tau: float
) -> set[Edge]:
    """Every edge that a walk down from the target reaches over contributions > tau.

    >>> stay = Edge(0, "attn", "resid", None, 1, 1)
    >>> copy = Edge(0, "attn", "attn", 3, 1, 0)
    >>> up = Edge(0, "ffn", "resid", None, 1, 1)
    >>> graph = {stay: 0.96, copy: 0.04, up: 1.0}
    >>> route(graph, 1, n_layers=1, tau=0.04) == {stay, up}
    True
    """
    into: dict[Node, list[Edge]] = {}
    for edge, contribution in edges.items():
        if contribution > tau:
            into.setdefault(destination(edge), []).append(edge)
    found: set[Edge] = set()
    reached: set[Node] = set()
    waiting: list[Node] = [("post", n_layers - 1, target)]
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            found.update(into.get(node, []))
            waiting.extend(origin(edge) for edge in into.get(node, []))
    return found


def survives_at(
    edges: Mapping[Edge, float], target: int, *, n_layers: int
) -> dict[Edge, float]:
    """The largest s such that the edge is in the route for every tau < s; 0 if none.

    The route can change only where tau passes a contribution, so it is searched anew
    at 0 and at every distinct contribution: an edge in the route at one of these is
    in it for every tau up to the next.
    """
    steps = sorted({0.0, *edges.values()})
    survives = dict.fromkeys(edges, 0.0)
    for tau, following in pairwise(steps):
        in_route = route(edges, target, n_layers=n_layers, tau=tau)
        if not in_route:  # a higher threshold finds no more
            break
        for edge in in_route:
            survives[edge] = following
    return survives


def importance(
    edges: Mapping[Edge, float], survives: Mapping[Edge, float], *, tau: float
) -> dict[tuple[int, str, int], tuple[float, float]]:
    """(layer, component, index) -> (sum of contributions, largest survives_at).

    Over the edges of heads (component "head", index h) and FFNs ("ffn", 0) with
    survives_at > tau; the table `importance` has the store's cutoff for tau.
    """
    rows: dict[tuple[int, str, int], tuple[float, float]] = {}
    for edge, contribution in edges.items():
        if edge.kind == "resid" or survives[edge] <= tau:
            continue
        if edge.kind == "ffn":
            component = (edge.layer, "ffn", 0)
        else:
            assert edge.head is not None
            component = (edge.layer, "head", edge.head)
        total, highest = rows.get(component, (0.0, 0.0))
        rows[component] = (total + contribution, max(highest, survives[edge]))
    return rows
