"""What is known of one FFN, the FFN of a layer, over a run: how much it brings, where.

Its share of a state is known at every position, from `steps`. When it is in routes is
`head_queries.importance_by_category` with component="ffn" and index=0, its neurons are
`neuron_queries.strongest`, what it promotes is `write_queries.promoted`.
"""

from typing import Any

import pyarrow as pa

from .contexts import AROUND, with_context
from .ratio import SUMS, with_ratio
from .store import Store

# The step that holds the FFN: its own, or the one of a parallel block.
MINE = "run_id = $run_id AND layer = $layer AND step IN ('ffn', 'block')"


def summary(store: Store, run_id: str, *, layer: int) -> pa.Table:
    """One row: how much an FFN brings of the states that it writes to.

    `mean` is its share of a state, over all `n_positions` of `n_prompts`, between `low`
    and `high`, 95% by prompt. In a parallel block attention brings to the same states.
    Without rows in `steps`, `mean` is null and both counts are 0.
    """
    query = f"""
        WITH of_prompts AS (
            SELECT sum(ffn::DOUBLE) AS x, count(*)::DOUBLE AS y
            FROM steps WHERE {MINE} GROUP BY prompt_id
        )
        SELECT count(*) AS n_prompts, coalesce(sum(y), 0)::BIGINT AS n_positions, {SUMS}
        FROM of_prompts
    """
    found = store.table(query, _values(store, run_id, layer))
    return with_ratio(found, "mean", least=0)


def examples(
    store: Store, run_id: str, *, layer: int, n: int = 20, around: int = AROUND
) -> pa.Table:
    """The position of each of n prompts where an FFN brings most, the most first.

    `contribution` is its share of the state there. `tokens` at `positions` are what
    stands around, and `contributions` the FFN's there.
    """
    query = f"""
        WITH mine AS (
            SELECT prompt_id, query AS position, ffn AS contribution
            FROM steps WHERE {MINE} AND ffn > 0
        ), most AS (
            SELECT prompt_id FROM mine GROUP BY prompt_id
            ORDER BY max(contribution) DESC, prompt_id LIMIT $n
        )
        SELECT e.prompt_id, p.dataset, p.category, e.position, e.contribution
        FROM mine e SEMI JOIN most USING (prompt_id)
        JOIN (SELECT prompt_id, dataset, category FROM prompts WHERE run_id = $run_id) p
        USING (prompt_id)
        QUALIFY row_number() OVER (
            PARTITION BY e.prompt_id ORDER BY e.contribution DESC, e.position) = 1
        ORDER BY e.contribution DESC, e.prompt_id
    """
    asked = _values(store, run_id, layer)
    found = store.table(query, {**asked, "n": n})
    found = with_context(store, run_id, found, ["position"], around=around)
    ids = found["prompt_id"].to_pylist()
    of = _contributions(store, asked, ids)
    contributions = [
        [of[id, position] for position in positions]
        for id, positions in zip(ids, found["positions"].to_pylist(), strict=True)
    ]
    return found.append_column(
        "contributions", pa.array(contributions, pa.list_(pa.float32()))
    )


def _contributions(
    store: Store, asked: dict[str, Any], prompt_ids: list[int]
) -> dict[tuple[int, int], float]:
    """An FFN's share at every position of some prompts, by (prompt_id, position)."""
    query = f"""
        SELECT prompt_id, query AS position, ffn FROM steps
        WHERE {MINE} AND prompt_id IN (SELECT unnest($prompt_ids))
    """
    found = store.table(query, {**asked, "prompt_ids": prompt_ids})
    return {
        (row["prompt_id"], row["position"]): row["ffn"] for row in found.to_pylist()
    }


def _values(store: Store, run_id: str, layer: int) -> dict[str, Any]:
    store.files(run_id, "steps")  # says so if there is no such run
    return {"run_id": run_id, "layer": layer}
