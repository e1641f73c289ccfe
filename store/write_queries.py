"""What a component's writes mean over a run: tokens and logits, of head, FFN or neuron.

A write is read in tokens only where the sweep was told to (`--project`): mostly where
the route of a stored target passes. So counts are of the writes that are stored, and
every answer says how many these are. An answer without rows: none is.
"""

import pyarrow as pa

from .ratio import SUMS, with_ratio
from .store import Store

COMPONENT = """
    run_id = $run_id AND layer = $layer AND component = $component
    AND index = $index AND expert IS NOT DISTINCT FROM $expert
"""


def promoted(
    store: Store,
    run_id: str,
    component: str,
    *,
    layer: int,
    index: int = 0,
    expert: int | None = None,
    n: int = 20,
) -> pa.Table:
    """The n tokens that a component's writes promote most often, then the suppressed.

    A token counts once for each write among whose top tokens it is: `n_writes` of
    `n_stored` writes, in `n_prompts`; `mean_score` is over those `n_writes`, in logits.
    `sign` is 1 or -1, and rows of a sign go by `n_writes`.
    """
    query = f"""
        WITH mine AS (
            SELECT prompt_id, sign, rank, token_id, token, score FROM writes
            WHERE {COMPONENT}
        )
        SELECT sign, token_id, any_value(token) AS token, count(*) AS n_writes,
               count(DISTINCT prompt_id) AS n_prompts,
               avg(score::DOUBLE) AS mean_score,
               (SELECT count(*) FROM mine WHERE sign = 1 AND rank = 0) AS n_stored
        FROM mine GROUP BY sign, token_id
        QUALIFY row_number() OVER (
            PARTITION BY sign ORDER BY n_writes DESC, abs(mean_score) DESC, token_id
        ) <= $n
        ORDER BY sign DESC, n_writes DESC, abs(mean_score) DESC, token_id
    """
    store.files(run_id, "writes")  # says so if there is no such run
    values = {"layer": layer, "component": component, "index": index, "expert": expert}
    return store.table(query, {"run_id": run_id, **values, "n": n})


def attribution(
    store: Store,
    run_id: str,
    component: str,
    *,
    layer: int,
    index: int = 0,
    expert: int | None = None,
) -> pa.Table:
    """What a component adds to logits, on average over targets: direct attribution.

    A row for each `role`: the predicted token, the answer, the distractor, and
    `answer - distractor` where a target has both. `mean`, in logits, is over the
    `n_targets` of `n_prompts` that store the component's value (of neurons only the top
    ones), between `low` and `high`, 95% by prompt.
    """
    query = f"""
        WITH mine AS (
            SELECT prompt_id, target, role, value::DOUBLE AS value
            FROM logit_attribution WHERE {COMPONENT}
        ), valued AS (
            SELECT prompt_id, role, value FROM mine
            UNION ALL
            SELECT a.prompt_id, 'answer - distractor', a.value - d.value
            FROM mine a JOIN mine d USING (prompt_id, target)
            WHERE a.role = 'answer' AND d.role = 'distractor'
        ), of_prompts AS (
            SELECT role, sum(value) AS x, count(*)::DOUBLE AS y
            FROM valued GROUP BY role, prompt_id
        )
        SELECT role, count(*) AS n_prompts, sum(y)::BIGINT AS n_targets, {SUMS}
        FROM of_prompts GROUP BY role
        ORDER BY list_position(
            ['predicted', 'answer', 'distractor', 'answer - distractor'], role)
    """
    store.files(run_id, "logit_attribution")  # says so if there is no such run
    values = {"layer": layer, "component": component, "index": index, "expert": expert}
    return with_ratio(store.table(query, {"run_id": run_id, **values}), "mean")
