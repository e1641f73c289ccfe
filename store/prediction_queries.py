"""What a prediction's parts mean: a question each, for one place of one prompt.

    >>> from flowglass.store import open_store            # doctest: +SKIP
    >>> found = lens(open_store("runs/"), run_id, 0, "mid", layer=2, position=10)
    ... # doctest: +SKIP
    >>> found.table, found.sql                            # doctest: +SKIP

Every answer brings the query that finds it again. What a run did not store is an answer
without rows: `prediction_queries` never guesses why.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .answer import Answer, rows_of_model, rows_of_prompt
from .store import Store
from .views import quote

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

TOKENS = "sign, rank, token_id, token, score"
ROUTE_COLUMNS = (
    "layer",
    "step",
    "head",
    "query",
    "key",
    "contribution",
    "survives_at",
)


def lens(
    store: Store, run_id: str, prompt_id: int, state: str, *, layer: int, position: int
) -> Answer:
    """The likeliest tokens of a residual state, likeliest first."""
    return rows_of_prompt(
        store,
        run_id,
        prompt_id,
        "lens",
        columns="rank, token_id, token, logit, prob, rank_before",
        order="rank",
        where={"layer": layer, "state": state, "position": position},
    )


def writes(
    store: Store,
    run_id: str,
    prompt_id: int,
    component: str,
    *,
    layer: int,
    position: int,
    index: int = 0,
    expert: int | None = None,
) -> Answer:
    """The tokens that a write promotes (sign 1), then those it suppresses (-1)."""
    return rows_of_prompt(
        store,
        run_id,
        prompt_id,
        "writes",
        columns=TOKENS,
        order="sign DESC, rank",
        where={
            "layer": layer,
            "component": component,
            "expert": expert,
            "index": index,
            "position": position,
        },
    )


def neuron_vocab(
    store: Store, model_hash: str, *, layer: int, neuron: int, expert: int | None = None
) -> Answer:
    """The tokens that a neuron's weights promote, then those they suppress."""
    return rows_of_model(
        store,
        model_hash,
        "neuron_vocab",
        columns=TOKENS,
        order="sign DESC, rank",
        where={"layer": layer, "expert": expert, "neuron": neuron},
    )


def neurons(
    store: Store, run_id: str, prompt_id: int, *, layer: int, position: int
) -> Answer:
    """The neurons stored at a place, the one that contributes most first."""
    return rows_of_prompt(
        store,
        run_id,
        prompt_id,
        "neurons",
        columns="rank, expert, neuron, contribution, activation",
        order="rank",
        where={"layer": layer, "position": position},
    )


def logit_attribution(
    store: Store, run_id: str, prompt_id: int, *, target: int
) -> Answer:
    """What every component adds to each asked token's logit at a target."""
    return rows_of_prompt(
        store,
        run_id,
        prompt_id,
        "logit_attribution",
        columns="role, token_id, layer, component, expert, index, value",
        order="role, layer, component, expert, index",
        where={"target": target},
    )


def step(
    store: Store, run_id: str, prompt_id: int, *, layer: int, step: str, query: int
) -> Answer:
    """The shares of all parts of one step at one position: a row, or none."""
    return rows_of_prompt(
        store,
        run_id,
        prompt_id,
        "steps",
        columns="resid, attn, ffn, bias, below_cutoff",
        order="query",
        where={"layer": layer, "step": step, "query": query},
    )


def head_mean(
    store: Store, run_id: str, prompt_id: int, *, layer: int, head: int
) -> Answer:
    """A head's exact mean contribution to a position: a row, or none."""
    return rows_of_prompt(
        store,
        run_id,
        prompt_id,
        "heads",
        columns="contribution",
        order="head",
        where={"layer": layer, "head": head},
    )


def edge_heads(
    store: Store, run_id: str, prompt_id: int, *, layer: int, query: int, key: int
) -> Answer:
    """The stored heads that read one position for another, strongest first."""
    return rows_of_prompt(
        store,
        run_id,
        prompt_id,
        "edges",
        columns="head, contribution, attention",
        order="contribution DESC, head",
        where={"layer": layer, "kind": "attn", "query": query, "key": key},
    )


def head_edges(
    store: Store, run_id: str, prompt_id: int, *, layer: int, head: int
) -> Answer:
    """The stored edges of a head: the part of its maps above the cutoff."""
    return rows_of_prompt(
        store,
        run_id,
        prompt_id,
        "edges",
        columns="query, key, attention, contribution",
        order="query, key",
        where={"layer": layer, "kind": "attn", "head": head},
    )


@dataclass(frozen=True)
class HeadMaps:
    """A head's whole maps [query, key], zero above the diagonal."""

    attention: "NDArray[np.float32]"
    contribution: "NDArray[np.float32]"

    @property
    def table(self) -> "pa.Table":
        """A row for every query and key at or before it."""
        import numpy as np
        import pyarrow as pa

        query, key = np.tril_indices(len(self.attention))
        return pa.table(
            {
                "query": query.astype(np.int32),
                "key": key.astype(np.int32),
                "attention": self.attention[query, key],
                "contribution": self.contribution[query, key],
            }
        )


def dense_head(
    store: Store, run_id: str, prompt_id: int, *, layer: int, head: int
) -> tuple[HeadMaps | None, str]:
    """A head's whole maps, if the run stored them, and the query for their bytes."""
    answer = rows_of_prompt(
        store,
        run_id,
        prompt_id,
        "tensors",
        columns="head, n, attention, contribution",
        order="head",
        where={"layer": layer, "head": head},
    )
    rows = answer.table.to_pylist()
    if not rows:
        return None, answer.sql
    (row,) = rows
    triangles = (row["attention"], row["contribution"])
    return HeadMaps(*(triangle(data, row["n"]) for data in triangles)), answer.sql


def triangle(data: bytes, n: int) -> "NDArray[np.float32]":
    """A lower triangle of `tensors` as a square [query, key], zero above the diagonal.

    >>> import numpy as np
    >>> triangle(np.array([1, 0.25, 0.75], np.float16).tobytes(), 2).tolist()
    [[1.0, 0.0], [0.25, 0.75]]
    """
    import numpy as np

    size = len(data) // (n * (n + 1) // 2)
    square = np.zeros((n, n), np.float32)
    square[np.tril_indices(n)] = np.frombuffer(
        data, {2: np.float16, 4: np.float32}[size]
    )
    return square


def route_sql(
    run_id: str, prompt_id: int, target: int, kind: str, threshold: float
) -> str:
    """The query for a stored target's route of one kind, strongest first."""
    return (
        f"SELECT {', '.join(ROUTE_COLUMNS)}\nFROM routes\n"
        f"WHERE run_id = {quote(run_id)}\n  AND prompt_id = {prompt_id}\n"
        f"  AND target = {target}\n  AND kind = {quote(kind)}\n"
        f"  AND survives_at > {threshold!r}\n"
        "ORDER BY survives_at DESC, contribution DESC, layer, head, query, key"
    )


def edges_sql(run_id: str, prompt_id: int, kind: str) -> str:
    """The query for what the route of any target is found in."""
    return (
        "-- This target was not stored: its survives_at follows from these edges\n"
        "-- (flowglass.store.routes.survives_at).\n"
        f"SELECT {', '.join(ROUTE_COLUMNS[:-1])}\nFROM edges\n"
        f"WHERE run_id = {quote(run_id)}\n  AND prompt_id = {prompt_id}\n"
        f"  AND kind = {quote(kind)}\n"
        "ORDER BY layer, head, query, key"
    )
