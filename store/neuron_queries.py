"""What is known of one neuron over a run: where it matters, and how strongly; and which
neurons of a layer are the strongest.

Of each layer and position a sweep stores the neurons that contribute most, 16 unless
told otherwise, if they reach the cutoff. So all of this is about the positions where
the neuron is one of those, and every answer says how many these are; elsewhere it may
be active all the same. What its weights promote is `prediction_queries.neuron_vocab`,
what it promotes in context `write_queries.promoted`.
"""

from typing import Any, Literal

import pyarrow as pa

from .contexts import AROUND, with_context
from .ratio import SUMS, with_ratio
from .store import Store

NEURON = """
    run_id = $run_id AND layer = $layer AND neuron = $neuron
    AND expert IS NOT DISTINCT FROM $expert
"""
ORDERS = {
    "contribution": "contribution DESC",
    "highest": "activation DESC",
    "lowest": "activation",
}
"""What `examples` may go by."""


def summary(
    store: Store, run_id: str, *, layer: int, neuron: int, expert: int | None = None
) -> pa.Table:
    """One row: where a neuron is among the stored ones, and what it does there.

    `n_positions` of the run's `n_tokens`, in `n_prompts`: `frequency` is their share;
    the mean and largest contribution, and mean, lowest and highest activation, over
    those positions. Null where there is none.
    """
    query = f"""
        SELECT count(prompt_id) AS n_positions,
               count(DISTINCT prompt_id) AS n_prompts,
               any_value(run.n_tokens) AS n_tokens,
               n_positions / any_value(run.n_tokens) AS frequency,
               avg(contribution) AS mean_contribution,
               max(contribution) AS max_contribution,
               avg(activation::DOUBLE) AS mean_activation,
               min(activation) AS min_activation,
               max(activation) AS max_activation
        FROM (SELECT * FROM neurons WHERE {NEURON})
        RIGHT JOIN (
            SELECT sum(n_tokens)::BIGINT AS n_tokens FROM prompts WHERE run_id = $run_id
        ) run ON true
    """
    return store.table(query, _values(store, run_id, layer, neuron, expert))


def examples(
    store: Store,
    run_id: str,
    *,
    layer: int,
    neuron: int,
    expert: int | None = None,
    by: Literal["contribution", "highest", "lowest"] = "contribution",
    n: int = 20,
    around: int = AROUND,
) -> pa.Table:
    """The position of each of n prompts where a neuron does most, the most first.

    By what it contributes, or by the highest or lowest activation. `tokens` at
    `positions` are what stands around, and `activations` the neuron's there, to shade
    them by: null where it is not among the stored ones.
    """
    query = f"""
        SELECT e.prompt_id, p.dataset, p.category, e.position, e.rank,
               e.contribution, e.activation
        FROM neurons e JOIN prompts p USING (run_id, prompt_id)
        WHERE {NEURON}
        QUALIFY row_number() OVER (
            PARTITION BY e.prompt_id ORDER BY {ORDERS[by]}, position) = 1
        ORDER BY {ORDERS[by]}, prompt_id LIMIT $n
    """
    asked = _values(store, run_id, layer, neuron, expert)
    found = store.table(query, {**asked, "n": n})
    found = with_context(store, run_id, found, ["position"], around=around)
    ids = found["prompt_id"].to_pylist()
    of = _activations(store, asked, ids)
    activations = [
        [of.get((id, position)) for position in positions]
        for id, positions in zip(ids, found["positions"].to_pylist(), strict=True)
    ]
    return found.append_column(
        "activations", pa.array(activations, pa.list_(pa.float32()))
    )


def _activations(
    store: Store, asked: dict[str, Any], prompt_ids: list[int]
) -> dict[tuple[int, int], float]:
    """A neuron's stored activations in some prompts, by (prompt_id, position)."""
    query = f"""
        SELECT prompt_id, position, activation FROM neurons
        WHERE {NEURON} AND prompt_id IN (SELECT unnest($prompt_ids))
    """
    found = store.table(query, {**asked, "prompt_ids": prompt_ids})
    return {
        (row["prompt_id"], row["position"]): row["activation"]
        for row in found.to_pylist()
    }


def activation_histogram(
    store: Store,
    run_id: str,
    *,
    layer: int,
    neuron: int,
    expert: int | None = None,
    bins: int = 30,
) -> pa.Table:
    """How often a neuron's activation lies between `low` and `high`, bin by bin.

    Equal bins from the lowest stored activation to the highest; `n_positions` are those
    where it is stored, the last bin's end included. No row where it is nowhere.
    """
    query = f"""
        WITH mine AS (SELECT activation::DOUBLE AS a FROM neurons WHERE {NEURON}),
        ends AS (SELECT min(a) AS lowest, max(a) AS highest FROM mine),
        counted AS (
            SELECT CASE WHEN highest > lowest THEN least(
                floor((a - lowest) / (highest - lowest) * $bins)::BIGINT, $bins - 1
            ) ELSE 0 END AS bin, count(*) AS n_positions
            FROM mine, ends GROUP BY bin
        )
        SELECT lowest + bin * (highest - lowest) / $bins AS low,
               lowest + (bin + 1) * (highest - lowest) / $bins AS high,
               coalesce(n_positions, 0) AS n_positions
        FROM ends, range($bins) every(bin) LEFT JOIN counted USING (bin)
        WHERE lowest IS NOT NULL ORDER BY bin
    """
    asked = _values(store, run_id, layer, neuron, expert)
    return store.table(query, {**asked, "bins": bins})


def importance_by_category(
    store: Store, run_id: str, *, layer: int, neuron: int, expert: int | None = None
) -> pa.Table:
    """In which datasets and categories a neuron matters.

    `n_positions` where it is stored, of all `n_tokens` of `n_prompts`; `frequency` is
    their share, and `mean` its contribution over all of the tokens, 0 where it is not
    stored and so a little too low, between `low` and `high`, 95% by prompt.
    """
    query = f"""
        WITH mine AS (
            SELECT prompt_id, count(*) AS n, sum(contribution) AS x
            FROM neurons WHERE {NEURON} GROUP BY prompt_id
        ), of_prompts AS (
            SELECT dataset, category, coalesce(m.n, 0) AS n_positions,
                   coalesce(m.x, 0) AS x, n_tokens::DOUBLE AS y
            FROM (SELECT * FROM prompts WHERE run_id = $run_id)
            LEFT JOIN mine m USING (prompt_id)
        )
        SELECT dataset, category, count(*) AS n_prompts,
               sum(y)::BIGINT AS n_tokens, sum(n_positions)::BIGINT AS n_positions,
               sum(n_positions) / sum(y) AS frequency, {SUMS}
        FROM of_prompts GROUP BY dataset, category
        ORDER BY dataset, category NULLS LAST
    """
    found = store.table(query, _values(store, run_id, layer, neuron, expert))
    return with_ratio(found, "mean", least=0)


def strongest(store: Store, run_id: str, *, layer: int, n: int = 20) -> pa.Table:
    """The n neurons of a layer that contribute most over a run, the most first.

    `share` is of what all of the layer's stored neurons contribute, over the run's
    positions, between `low` and `high`, 95% by prompt. A neuron is stored at
    `n_positions` of the run's `n_tokens`, in `n_prompts`: `frequency` is their share,
    `mean_contribution` over those positions alone. No row where no neuron is stored.
    """
    query = f"""
        WITH of_layer AS (
            SELECT prompt_id, expert, neuron, contribution FROM neurons
            WHERE run_id = $run_id AND layer = $layer
        ), most AS (
            SELECT expert, neuron FROM of_layer GROUP BY ALL
            ORDER BY sum(contribution) DESC, expert NULLS FIRST, neuron LIMIT $n
        ), mine AS (
            SELECT expert, neuron, prompt_id, count(*) AS n_positions,
                   sum(contribution) AS x
            FROM of_layer o SEMI JOIN most m
            ON o.neuron = m.neuron AND o.expert IS NOT DISTINCT FROM m.expert
            GROUP BY ALL
        ), whole AS (
            SELECT prompt_id, sum(contribution) AS y FROM of_layer GROUP BY prompt_id
        ), run AS (
            SELECT count(*) AS n, sum(y) AS y, sum(y * y) AS yy,
                   (SELECT sum(n_tokens)::BIGINT FROM prompts
                    WHERE run_id = $run_id) AS n_tokens
            FROM whole
        )
        SELECT expert, neuron, sum(n_positions)::BIGINT AS n_positions,
               count(*) AS n_prompts, any_value(n_tokens) AS n_tokens,
               sum(n_positions) / any_value(n_tokens) AS frequency,
               sum(x) / sum(n_positions) AS mean_contribution,
               {", ".join(f"any_value(run.{c}) AS {c}" for c in ("n", "y", "yy"))},
               sum(x) AS x, sum(x * x) AS xx, sum(x * whole.y) AS xy
        FROM mine JOIN whole USING (prompt_id), run
        GROUP BY expert, neuron
        ORDER BY sum(x) DESC, expert NULLS FIRST, neuron
    """
    store.files(run_id, "neurons")  # says so if there is no such run
    found = store.table(query, {"run_id": run_id, "layer": layer, "n": n})
    return with_ratio(found, "share", least=0)


def _values(
    store: Store, run_id: str, layer: int, neuron: int, expert: int | None
) -> dict[str, Any]:
    store.files(run_id, "neurons")  # says so if there is no such run
    return {"run_id": run_id, "layer": layer, "neuron": neuron, "expert": expert}
