"""Routes: at which threshold each edge leaves a target's route.

Nodes are the residual states of every position; edges are the parts of the steps, from
the state they read to the state they write. The route of a target at tau is every edge
that a walk down from the target's last state reaches over contributions > tau, so

    survives_at(edge) = min(contribution, reach(destination))
    reach(target) = inf, reach(node) = max of survives_at over the edges it feeds

and the route is the filter `survives_at > tau`, strictly and in double: one widest-path
pass from the last layer down answers every tau. Source: Ferrando & Voita 2024, with the
threshold search turned into a max-min.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .schema import STEPS

ATTN_STEP, FFN_STEP, BLOCK_STEP = (STEPS.index(s) for s in ("attn", "ffn", "block"))
"""Codes of the steps: their places in `schema.STEPS`."""

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RouteEdges:
    """Edges as parallel arrays, in any order; zero contributions survive nowhere."""

    layer: Ints
    step: Ints
    """Places in `schema.STEPS`."""
    query: Ints
    key: Ints
    contribution: Floats


def survives_at(
    edges: RouteEdges, targets: Ints, *, n_layers: int, n_positions: int
) -> Floats:
    """The largest s such that the edge is in the route for every tau < s; 0 if in none.

    `targets` are positions, at the last layer. Shape [edge], in the order given.
    Several prompts share one pass when their positions are offset so that they do not
    overlap, with one target each; several targets of one prompt in one pass give the
    largest over the targets.

    "Mary met John", one layer, target 2 (John). Head 3 of John reads Mary with 0.3 and
    John's own state keeps 0.7; behind it the FFN writes 0.4 and the state keeps 0.6:

    >>> edges = RouteEdges(
    ...     layer=np.array([0, 0, 0, 0, 0]),
    ...     step=np.array([FFN_STEP, FFN_STEP, ATTN_STEP, ATTN_STEP, ATTN_STEP]),
    ...     query=np.array([2, 2, 2, 2, 1]),
    ...     key=np.array([2, 2, 2, 0, 0]),
    ...     contribution=np.array([0.6, 0.4, 0.7, 0.3, 0.9]),
    ... )
    >>> survives_at(edges, np.array([2]), n_layers=1, n_positions=3).tolist()
    [0.6, 0.4, 0.6, 0.3, 0.0]

    Mary -> John is in the route at every tau below 0.3. John's residual brings 0.7 but
    is only reached while tau < 0.6, the widest way from the middle state to the target.
    What "met" read (the last edge) is in no route: nothing of it flows to John.
    """
    assert edges.contribution.dtype == np.float64, "survives_at is taken in double"
    level = edges.layer.astype(np.int64) * len(STEPS) + edges.step
    order = np.lexsort((edges.key, level))
    level, query, key = level[order], edges.query[order], edges.key[order]
    contribution = edges.contribution[order]
    ends = np.searchsorted(level, np.arange(n_layers * len(STEPS) + 1))
    survives = np.zeros(len(level))

    def below(layer: int, step: int, above: Floats) -> Floats:
        """Reach of the states that this step reads, given that of those it writes."""
        start = layer * len(STEPS) + step
        at = slice(ends[start], ends[start + 1])
        reach = np.zeros(n_positions)
        if at.start < at.stop:
            survives[at] = np.minimum(contribution[at], above[query[at]])
            keys = key[at]
            first = np.flatnonzero(np.diff(keys, prepend=-1))
            reach[keys[first]] = np.maximum.reduceat(survives[at], first)
        return reach

    reach = np.zeros(n_positions)
    reach[targets] = np.inf
    for layer in reversed(range(n_layers)):
        middle = below(layer, FFN_STEP, reach)
        through_middle = below(layer, ATTN_STEP, middle)
        reach = np.maximum(through_middle, below(layer, BLOCK_STEP, reach))

    unsorted = np.empty_like(survives)
    unsorted[order] = survives
    return unsorted
