"""Made-up edges with plausible contributions, and the routes through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flowglass.store.precision import round_mantissa
from flowglass.store.routes import RouteEdges, survives_at
from flowglass.store.schema import STEPS

Row = dict[str, Any]
CUTOFF = 0.01


@dataclass(frozen=True)
class Shape:
    """The made-up model's shape."""

    layers: int = 4
    heads: int = 4
    parallel: bool = False
    cutoff: float = CUTOFF
    started_at: str = "2026-03-01T09:05:00.000000+00:00"


def make_edges(n_positions: int, shape: Shape, *, seed: int) -> list[Row]:
    """Edges at or above the cutoff; the parts of each (layer, step, query) sum to 1."""
    rng = np.random.default_rng(seed)
    busy = rng.gamma(0.7, 1.0, n_positions)  # some positions are written to a lot
    rows = []
    for layer in range(shape.layers):
        for query in range(n_positions):
            attended = min(0.7, 0.1 + 0.4 * busy[query] * rng.beta(2, 3))
            pattern, attn = make_attention(rng, query, shape.heads, attended)
            ffn = min(0.8, rng.beta(1.4, 6) * (2 if layer == 0 else 1))
            if shape.parallel:
                parts = {"block": (attn * (1 - ffn), ffn)}
            else:
                parts = {"attn": (attn, 0.0), "ffn": (0 * attn, ffn)}
            for step, (heads, pushed) in parts.items():
                at = {"layer": layer, "step": step, "query": query}
                rows += step_rows(at, pattern, heads, ffn=pushed)
    exact = np.array([row["contribution"] for row in rows], dtype=np.float32)
    for row, stored in zip(rows, round_mantissa(exact).tolist(), strict=True):
        row["contribution"] = stored  # rounded as a sweep does
    return [row for row in rows if row["contribution"] >= shape.cutoff]


def make_attention(
    rng: np.random.Generator, query: int, heads: int, attended: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities and contributions, [head, key]; the latter sum to `attended`."""
    logits = rng.normal(0, 3.2, (heads, query + 1))
    logits -= 0.02 * np.arange(query, -1, -1)
    pattern = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pattern, attended * pattern * rng.dirichlet(np.full(heads, 0.4))[:, None]


def step_rows(
    at: Row,
    pattern: NDArray[np.float64],
    heads: NDArray[np.float64],
    *,
    ffn: float,
) -> list[Row]:
    """The edges into one state; the residual stream brings the rest."""
    resid = 1 - ffn - heads.sum()
    own = {**at, "head": None, "key": at["query"], "attention": None}
    rows = [{**own, "kind": "resid", "contribution": resid}]
    if ffn:
        rows.append({**own, "kind": "ffn", "contribution": ffn})
    for head, key in np.argwhere(heads > 0.9 * CUTOFF).tolist():
        part = {"kind": "attn", "head": head, "key": key}
        measured = {"contribution": heads[head, key], "attention": pattern[head, key]}
        rows.append({**at, **part, **measured})
    return rows


def make_routes(
    edges: list[Row], target: int, n_positions: int, shape: Shape
) -> list[Row]:
    """The rows of `routes` but for prompt_id, by the store's own pass."""
    survives = survives_at(
        RouteEdges(
            layer=np.array([row["layer"] for row in edges]),
            step=np.array([STEPS.index(row["step"]) for row in edges]),
            query=np.array([row["query"] for row in edges]),
            key=np.array([row["key"] for row in edges]),
            contribution=np.array([row["contribution"] for row in edges]),
        ),
        np.array([target]),
        n_layers=shape.layers,
        n_positions=n_positions,
    )
    return [
        {
            **{key: value for key, value in row.items() if key != "attention"},
            "target": target,
            "survives_at": float(value),
        }
        for row, value in zip(edges, survives, strict=True)
        if value > shape.cutoff
    ]
