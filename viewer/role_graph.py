"""The graph of roles: many routes at once, drawn as the route graph draws one."""

from typing import Any

import numpy as np
import param
import pyarrow as pa
import pyarrow.compute as pc

from flowglass.store.aggregate_routes import AggregateRoutes

from .route_graph import RouteGraph, module_of, pack_edges
from .theme import show_whitespace

FIGURES = (
    "frequency",
    "frequency_low",
    "frequency_high",
    "n_targets",
    "contribution_low",
    "contribution_high",
)
"""What a tooltip tells of an edge besides its contribution, in this order."""


MOSTLY = 0.5
"""Share of a role's positions from which on its commonest token stands for it."""


class RoleGraph(RouteGraph):
    """The graph of many routes; `threshold` is the least frequency drawn.

    `tokens` are the names of the roles; `predictions` the token that most positions of
    a role have, if most have the same.
    """

    figures = param.Bytes(b"", doc="FIGURES of every edge, a column after the other.")
    notes = param.List([], doc="For each role, what its tooltip says: name and value.")

    _esm = module_of("role_graph.js")


def graph_values(graph: AggregateRoutes) -> dict[str, Any]:
    """What the component shows of a graph."""
    roles = graph.roles.to_pylist()
    return {
        "edges": pack_edges(edges_between_columns(graph)),
        "figures": b"".join(
            graph.edges[name].cast(pa.float64()).fill_null(np.nan).to_numpy().tobytes()
            for name in FIGURES
        ),
        "tokens": [row["role"] for row in roles],
        "predictions": [
            show_whitespace(row["token"]) if row["token_share"] >= MOSTLY else ""
            for row in roles
        ],
        "probabilities": [row["token_share"] for row in roles],
        "notes": [
            [
                ["targets with it", f"{row['n_targets']:,} of {graph.n_targets:,}"],
                ["tokens a target", f"{row['n_positions'] / row['n_targets']:.1f}"],
                [
                    "commonest token",
                    f"{show_whitespace(row['token'])}  {row['token_share']:.0%}",
                ],
            ]
            for row in roles
        ],
        "target": len(roles) - 1,
    }


def edges_between_columns(graph: AggregateRoutes) -> pa.Table:
    """The edges as the drawing takes them: a role is the place of its column."""
    edges, names = graph.edges, graph.roles["role"].combine_chunks()
    return pa.table(
        {
            **{name: edges[name] for name in ("layer", "step", "kind", "contribution")},
            "query": pc.index_in(edges["query_role"], value_set=names),
            "key": pc.index_in(edges["key_role"], value_set=names),
            "head": pa.nulls(edges.num_rows, pa.int16()),
        }
    )
