"""survives_at is what searching the graph at every threshold finds."""

from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowglass.store.importance import importance
from flowglass.store.routes import RouteEdges, survives_at
from flowglass.store.schema import KINDS, STEPS

Edge = tuple[int, str, int, int, float]
"""layer, step, query, key, contribution"""

# Ties, and zeros that survive nowhere, are where a search and a pass could differ.
CONTRIBUTIONS = st.sampled_from([0.0, 0.01, 0.04, 0.1, 0.3, 1.0]) | st.floats(0, 1)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Edge], int, int, list[int]]:
    """Edges of a small model, its layers, its positions and some targets."""
    n_layers, n_positions = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    steps = draw(st.sampled_from([("attn", "ffn"), ("block",)]))
    edges = []
    for _ in range(draw(st.integers(0, 24))):
        step = draw(st.sampled_from(steps))
        query = draw(st.integers(0, n_positions - 1))
        key = query if step == "ffn" else draw(st.integers(0, query))
        layer = draw(st.integers(0, n_layers - 1))
        edges.append((layer, step, query, key, draw(CONTRIBUTIONS)))
    targets = draw(st.lists(st.integers(0, n_positions - 1), min_size=1, unique=True))
    return edges, n_layers, n_positions, targets


def as_arrays(edges: list[Edge]) -> RouteEdges:
    return RouteEdges(
        layer=np.array([e[0] for e in edges], np.int16),
        step=np.array([STEPS.index(e[1]) for e in edges], np.int8),
        query=np.array([e[2] for e in edges], np.int32),
        key=np.array([e[3] for e in edges], np.int32),
        contribution=np.array([e[4] for e in edges], np.float64),
    )


def route(edges: list[Edge], n_layers: int, target: int, tau: float) -> set[int]:
    """Places of the edges that a walk down from the target reaches over > tau."""
    reads = {"attn": 0, "ffn": 1, "block": 0}
    writes = {"attn": 1, "ffn": 2, "block": 2}
    found: set[int] = set()
    waiting, seen = deque([(2 * n_layers, target)]), {(2 * n_layers, target)}
    while waiting:
        state, position = waiting.popleft()
        for place, (layer, step, query, key, contribution) in enumerate(edges):
            arrives = (2 * layer + writes[step], query) == (state, position)
            if arrives and contribution > tau:
                found.add(place)
                source = (2 * layer + reads[step], key)
                if source not in seen:
                    seen.add(source)
                    waiting.append(source)
    return found


@settings(deadline=None, max_examples=80)
@given(graphs())
def test_survival_is_membership_in_the_route_at_every_threshold(
    graph: tuple[list[Edge], int, int, list[int]],
) -> None:
    """Strictly: at, below and between all contributions, for one or more targets."""
    edges, n_layers, n_positions, targets = graph
    survives = survives_at(
        as_arrays(edges), np.array(targets), n_layers=n_layers, n_positions=n_positions
    )
    values = sorted({0.0, *(edge[4] for edge in edges)})
    for tau in [*values, *((a + b) / 2 for a, b in pairwise(values))]:
        searched = set().union(*(route(edges, n_layers, t, tau) for t in targets))
        assert set(np.flatnonzero(survives > tau)) == searched


@settings(deadline=None, max_examples=25)
@given(st.lists(graphs(), min_size=2, max_size=3))
def test_prompts_share_a_pass_without_touching(
    graphs: list[tuple[list[Edge], int, int, list[int]]],
) -> None:
    """With their positions offset, each prompt's edges survive as they do alone."""
    n_layers = 3
    alone, joined, targets, offset = [], [], [], 0
    for edges, _, n_positions, (target, *_) in graphs:
        alone += survives_at(
            as_arrays(edges),
            np.array([target]),
            n_layers=n_layers,
            n_positions=n_positions,
        ).tolist()
        joined += [(lay, s, q + offset, k + offset, c) for lay, s, q, k, c in edges]
        targets.append(target + offset)
        offset += n_positions
    together = survives_at(
        as_arrays(joined), np.array(targets), n_layers=n_layers, n_positions=offset
    )
    assert together.tolist() == alone


def test_survival_is_exact_in_double() -> None:
    """A stored float32 keeps its value: no threshold between it and its double."""
    contribution = np.float64(np.float32(0.1))
    edges = as_arrays([(0, "ffn", 0, 0, contribution)])
    survives = survives_at(edges, np.array([0]), n_layers=1, n_positions=1)
    assert survives[0] == contribution
    assert survives[0] > 0.1


def test_float32_contributions_are_refused() -> None:
    """They would be compared in float somewhere along the way."""
    edges = as_arrays([(0, "ffn", 0, 0, 0.5)])
    edges = RouteEdges(**{**vars(edges), "contribution": np.ones(1, np.float32)})
    with pytest.raises(AssertionError, match="double"):
        survives_at(edges, np.array([0]), n_layers=1, n_positions=1)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_importance_sums_a_components_edges_and_takes_the_widest(
    data: st.DataObject,
) -> None:
    """The same as adding edge by edge; residual edges are nobody's."""
    kinds, heads = st.sampled_from(KINDS), st.integers(0, 2)
    amounts = st.integers(0, 8).map(lambda eighths: eighths / 8)
    edge = st.tuples(
        st.integers(0, 2), st.integers(0, 1), kinds, heads, amounts, amounts
    )
    edges = data.draw(st.lists(edge, max_size=20))
    expected: dict[tuple[int, int, int, int], tuple[float, float]] = {}
    for target, layer, kind, head, contribution, survives in edges:
        if kind != "resid":
            key = (target, layer, *((0, head) if kind == "attn" else (1, 0)))
            total, widest = expected.get(key, (0.0, 0.0))
            expected[key] = (total + contribution, max(widest, survives))
    found = importance(
        target=np.array([e[0] for e in edges], int),
        layer=np.array([e[1] for e in edges], int),
        kind=np.array([KINDS.index(e[2]) for e in edges], int),
        head=np.array([e[3] for e in edges], int),
        contribution=np.array([e[4] for e in edges], float),
        survives_at=np.array([e[5] for e in edges], float),
    )
    keys = zip(found.target, found.layer, found.component, found.index, strict=True)
    values = zip(found.contribution, found.survives_at, strict=True)
    assert list(zip(keys, values, strict=True)) == sorted(expected.items())
