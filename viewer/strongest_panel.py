"""The strongest edges of a target's route: what is shown while nothing is chosen."""

import numpy as np
import pyarrow as pa

from flowglass.store import prediction_queries as ask

from .downloads import Extract
from .prediction import Prediction, StrongEdge, strongest_edges
from .sections import Column, Note, Section, Table

N_ATTENTION, N_FFN = 8, 5
STRENGTH = (
    Column("Contrib.", "number", width="66px"),
    Column(
        "Survives",
        "number",
        width="70px",
        hint="survives_at: it is in the route at every threshold below this",
    ),
)
ATTENTION_COLUMNS = (
    Column("Layer", "number", digits=0, width="50px"),
    Column("Head", "number", digits=0, width="50px"),
    Column("From", "token"),
    Column("To", "token"),
    *STRENGTH,
)
FFN_COLUMNS = (
    Column("Layer", "number", digits=0, width="50px"),
    Column("At", "token"),
    *STRENGTH,
)
EMPTY = "None above this threshold."


def strongest_sections(
    prediction: Prediction, target: int, threshold: float
) -> list[Section]:
    """The strongest attention edges, and the strongest FFN edges."""
    attention = strongest_edges(
        prediction, target, kind="attn", threshold=threshold, limit=N_ATTENTION
    )
    ffn = strongest_edges(
        prediction, target, kind="ffn", threshold=threshold, limit=N_FFN
    )
    return [
        Table(
            "Strongest attention edges",
            ATTENTION_COLUMNS,
            [
                [edge.layer, edge.head, edge.source, edge.destination, *strength(edge)]
                for edge in attention
            ],
            extract_of(prediction, target, "attn", threshold),
            opens=[
                {
                    "selected": f"attn-{edge.layer}-{edge.query}-{edge.key}",
                    "head": edge.head,
                }
                for edge in attention
            ],
            empty=EMPTY,
        ),
        Table(
            "Strongest FFN edges",
            FFN_COLUMNS,
            [[edge.layer, edge.destination, *strength(edge)] for edge in ffn],
            extract_of(prediction, target, "ffn", threshold),
            opens=[{"selected": f"ffn-{edge.layer}-{edge.query}"} for edge in ffn],
            empty=EMPTY,
        ),
        Note("Click a row, or an edge, dot or square of the graph, to look into it."),
    ]


def strength(edge: StrongEdge) -> list[float]:
    """The last columns of either table."""
    return [edge.contribution, edge.survives_at]


def extract_of(
    prediction: Prediction, target: int, kind: str, threshold: float
) -> Extract:
    """All edges of a kind in the route, of which the table shows the first."""
    survives = prediction.survives_at(target)
    edges = prediction.edges.append_column("survives_at", pa.array(survives))
    kept = edges.filter(
        pa.compute.and_(
            pa.compute.equal(edges["kind"], kind), pa.array(survives > threshold)
        )
    )
    order = np.lexsort(
        (
            *(kept[name].to_numpy() for name in ("key", "query")),
            kept["head"].fill_null(-1).to_numpy(),
            kept["layer"].to_numpy(),
            -kept["contribution"].to_numpy(),
            -kept["survives_at"].to_numpy(),
        )
    )
    run_id, prompt_id = prediction.key
    if prediction.stored_target(target):
        sql = ask.route_sql(run_id, prompt_id, target, kind, threshold)
    else:
        sql = ask.edges_sql(run_id, prompt_id, kind)
    return Extract(
        f"prompt-{prompt_id}-route-of-{target}-{kind}",
        kept.take(order).select(ask.ROUTE_COLUMNS),
        sql,
    )
