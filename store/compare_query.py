"""The means of a comparison as one query: what is plain SQL of it, to copy and change.

Intervals, p and q are no SQL: `Store.compare` has them.
"""

from .cohorts import MEASURES
from .compare import About
from .views import quote


def means_query(about: About) -> str:
    """Means of both cohorts for every component, and their difference.

    Of two runs every prompt counts here, also one that the other run lacks; a component
    that is in no target's rows has no row.
    """
    measure = MEASURES[about.measure]
    rows = measure.rows.replace("$tau", f"{about.tau:g}")
    value = measure.value
    cohorts = [
        f"""
    SELECT run_id, prompt_id, target, '{name}' AS cohort FROM cohort_targets
    WHERE run_id = {quote(cohort.run_id)} AND (
        {cohort.where.strip() or "true"}
    )"""
        for name, cohort in (("a", about.a), ("b", about.b))
    ]
    return f"""
WITH chosen AS ({" UNION ALL ".join(cohorts)}
), sizes AS (
    SELECT count(*) FILTER (cohort = 'a') AS n_a, count(*) FILTER (cohort = 'b') AS n_b
    FROM chosen
)
SELECT layer, component, index,
       coalesce(sum({value}) FILTER (cohort = 'a'), 0) / any_value(n_a) AS mean_a,
       coalesce(sum({value}) FILTER (cohort = 'b'), 0) / any_value(n_b) AS mean_b,
       mean_a - mean_b AS difference
FROM {measure.table} JOIN chosen USING (run_id, prompt_id, target), sizes
WHERE {rows}
GROUP BY layer, component, index
ORDER BY abs(difference) DESC
""".strip()
