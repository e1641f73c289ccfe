"""Each head and FFN of a run in one figure, and of groups of its targets.

    >>> from flowglass.store import open_store            # doctest: +SKIP
    >>> found = component_map(open_store("runs/"), run_id, measure="contribution")
    ... # doctest: +SKIP
    >>> found.table, found.sql                            # doctest: +SKIP

Steps: the targets with their group (`traced`), the groups with their sizes (`cohort`),
each component's sum and sum of squares in each group (`found`), and from these its mean
with an interval that counts prompts (`intervals`). The sums are read from
`component_stats` where that has them, so that a page costs the same at any size.
"""

from .activation import counted_at
from .answer import Answer, answer
from .errors import StoreError
from .facets import COLUMNS, MOST_GROUPS, Split, classed, kept, share_read, split_by
from .intervals import N_EFFECTIVE, around, wilson
from .schema import DEFAULT_TAU
from .store import Store

FREQUENCY, CONTRIBUTION, LOGIT, DIFFERENCE = MEASURES = (
    "frequency",
    "contribution",
    "logit",
    "difference",
)
"""Share of targets whose route at tau holds it; mean `importance.contribution`, 0 in no
route; mean of what it adds to the predicted token's logit; mean of what it adds to the
answer's less the distractor's, over targets that have both."""

OF_ROLLUP = """
    SELECT {facet} AS facet, layer, component, index,
           sum({once})::DOUBLE AS total, sum({squared})::DOUBLE AS squares
    FROM component_stats WHERE run_id = $run_id GROUP BY ALL
"""
OF_IMPORTANCE = """
    SELECT facet, layer, component, index, sum(x) AS total, sum(x * x) AS squares
    FROM (
        SELECT facet, layer, component, index, {each}::DOUBLE AS x
        FROM importance JOIN traced USING (prompt_id, target)
        WHERE run_id = $run_id AND {kept}
    ) GROUP BY ALL
"""
OF_LOGIT = """
    SELECT facet, layer, component, index, sum(x) AS total, sum(x * x) AS squares
    FROM (
        SELECT facet, layer, component, index, value::DOUBLE AS x
        FROM logit_attribution JOIN traced USING (prompt_id, target)
        WHERE run_id = $run_id AND {kept}
          AND role = 'predicted' AND component IN ('head', 'ffn')
    ) GROUP BY ALL
"""
OF_DIFFERENCE = """
    SELECT facet, layer, component, index, sum(x) AS total, sum(x * x) AS squares
    FROM (
        SELECT facet, layer, component, index, prompt_id, target,
               sum(CASE role WHEN 'answer' THEN value ELSE -value END) AS x
        FROM logit_attribution JOIN traced USING (prompt_id, target)
        WHERE run_id = $run_id AND {kept}
          AND role IN ('answer', 'distractor') AND component IN ('head', 'ffn')
        GROUP BY ALL
    ) GROUP BY facet, layer, component, index
"""
MAP = """
    WITH {traced}, prompt AS (
        SELECT facet, prompt_id, count(*) AS n FROM traced GROUP BY ALL
    ), cohort AS (
        SELECT facet, count(*) AS n_prompts, sum(n)::BIGINT AS n_targets,
               {n_effective} AS n_effective
        FROM prompt GROUP BY facet ORDER BY n_prompts DESC, facet LIMIT $most
    ), found AS ({found}), component AS (
        SELECT layer::SMALLINT AS layer, component, index::INTEGER AS index
        FROM range($layers) l(layer), (
            SELECT 'head' AS component, unnest(range($heads)) AS index
            UNION ALL SELECT 'ffn', 0
        )
    ), mean AS (
        SELECT *, coalesce(total, 0) / n_targets AS value, sqrt(greatest(
                   coalesce(squares, 0) / n_targets - value * value, 0
               ) / nullif(n_effective - 1, 0)) AS error
        FROM cohort CROSS JOIN component
        {join} found USING (facet, layer, component, index)
    )
    SELECT facet, n_prompts, n_targets, layer, component, index, value,
           {low} AS low, {high} AS high
    FROM mean ORDER BY n_prompts DESC, facet, layer, component = 'ffn', index
"""


def component_map(
    store: Store,
    run_id: str,
    *,
    measure: str = FREQUENCY,
    tau: float = DEFAULT_TAU,
    by: str = "",
    most: int = MOST_GROUPS,
) -> Answer:
    """A measure of every head and FFN, over a run's targets so far or groups of them.

    Columns: `facet` (the group), `n_prompts`, `n_targets` (its size), `layer`,
    `component`, `index`, `value`, and its 95% interval, `low` and `high`: Wilson's of a
    share, else Student's (null with fewer than 5 prompts), both counting prompts. Rows
    go by group, the largest first and no more than `most`. `tau` is one that sweeps
    count at, and counts for the measure `frequency` alone. No rows where the run has no
    such targets, or stored no such figure.
    """
    if measure not in MEASURES:
        raise StoreError(f"no measure {measure!r}: choose of {', '.join(MEASURES)}")
    store.files(run_id, "importance")  # says so if there is no such run
    plan = store.snapshot.runs[run_id].plan
    column = counted_at(tau, cutoff=plan.cutoff) if measure == FREQUENCY else ""
    split, share = split_by(by), share_of(store, run_id, measure=measure, by=by)
    is_share, is_logit = measure == FREQUENCY, measure in (LOGIT, DIFFERENCE)
    if is_rolled_up(measure, by):
        once = column or "contribution_sum"
        squared = column or "contribution_sum_sq"
        found = OF_ROLLUP.format(facet=split.of_prompt, once=once, squared=squared)
    elif is_logit:
        template = OF_LOGIT if measure == LOGIT else OF_DIFFERENCE
        found = template.format(kept=kept(share))
    else:
        each = "(survives_at > $tau)" if is_share else "contribution"
        found = OF_IMPORTANCE.format(each=each, kept=kept(share))
    low, high = (
        wilson("value", "n_effective", sign)
        if is_share
        else around("value", "error", "n_effective", sign)
        for sign in "-+"
    )
    query = MAP.format(
        traced=_traced(split, share=share, measure=measure),
        n_effective=N_EFFECTIVE,
        found=found,
        join="JOIN" if is_logit else "LEFT JOIN",
        low=low,
        high=high,
    )
    values = {
        "run_id": run_id,
        "tau": tau,
        "most": most,
        "layers": plan.n_layers,
        "heads": plan.n_heads,
        **split.values,
    }
    return answer(store, query, values)


def is_rolled_up(measure: str, by: str) -> bool:
    """Whether `component_stats` holds the sums."""
    return measure in (FREQUENCY, CONTRIBUTION) and by in ("", *COLUMNS)


def share_of(store: Store, run_id: str, *, measure: str, by: str) -> float:
    """Which part of the run's prompts the map is of; 1: all."""
    if is_rolled_up(measure, by):
        return 1.0
    is_logit = measure in (LOGIT, DIFFERENCE)
    return share_read(store, run_id, "logit_attribution" if is_logit else "importance")


def _traced(split: Split, *, share: float, measure: str) -> str:
    """The targets that are read, each with its group."""
    has_both = "answer_token_id IS NOT NULL AND distractor_token_id IS NOT NULL"
    asked = has_both if measure == DIFFERENCE else "true"
    if not split.by_class:
        return f"""traced AS (
        SELECT prompt_id, target, {split.of_prompt} AS facet
        FROM targets JOIN prompts USING (run_id, prompt_id)
        WHERE run_id = $run_id AND {kept(share)} AND {asked}
    )"""
    return f"""classed AS ({classed(share)}), traced AS (
        SELECT prompt_id, target, facet
        FROM targets JOIN classed USING (prompt_id)
        WHERE run_id = $run_id AND position = target AND {asked}
    )"""
