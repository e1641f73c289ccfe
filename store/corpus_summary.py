"""What a run's prompts are, and how well its model does on them, in one small table."""

from .answer import Answer, answer
from .intervals import N_EFFECTIVE, around, ratio_error, wilson
from .store import Store

# `is_all` before `dataset IS NULL`, as `grouping` alone tells a total from a group.
SUMMARY = """
    WITH answered AS (
        SELECT prompt_id, count(correct) AS n, count(*) FILTER (correct) AS n_correct
        FROM targets WHERE run_id = $run_id GROUP BY prompt_id HAVING count(correct) > 0
    ), told AS (
        SELECT prompt_id, count(logprob) AS n_told, -sum(logprob::DOUBLE) AS nats
        FROM tokens WHERE run_id = $run_id GROUP BY prompt_id
    ), prompt AS (
        SELECT dataset, category, n_tokens, closure, n, n_correct,
               nullif(n_told, 0) AS n_told,
               CASE WHEN n_told > 0 THEN nats END AS nats
        FROM prompts
        LEFT JOIN answered USING (prompt_id) LEFT JOIN told USING (prompt_id)
        WHERE run_id = $run_id
    ), summed AS (
        SELECT grouping(dataset) = 1 AS is_all, dataset, category,
               count(*) AS n_prompts, sum(n_tokens)::BIGINT AS n_tokens,
               coalesce(sum(n), 0)::BIGINT AS n_answers,
               sum(n_correct) / sum(n) AS accuracy, {n_effective} AS n_effective,
               sum(nats) / sum(n_told) AS surprisal, count(n_told) AS n_told,
               {error} AS error, max(closure)::DOUBLE AS closure
        FROM prompt GROUP BY GROUPING SETS ((), (dataset, category))
    )
    SELECT is_all, dataset, category, n_prompts, n_tokens, n_answers, accuracy,
           {accuracy_low} AS accuracy_low, {accuracy_high} AS accuracy_high,
           surprisal, {surprisal_low} AS surprisal_low,
           {surprisal_high} AS surprisal_high, closure
    FROM summed WHERE n_prompts > 0
    ORDER BY is_all DESC, dataset, category NULLS LAST
"""


def corpus_summary(store: Store, run_id: str) -> Answer:
    """A row for all of a run's prompts so far, then one for each dataset and category.

    Columns: `is_all`, `dataset`, `category`, `n_prompts`, `n_tokens` (start tokens
    too), `n_answers` (targets at which an answer token is due), `accuracy` (the share
    of them where it is the likeliest), with Wilson's 95% interval, `surprisal` (mean
    nats per token, over all tokens with one before them), with Student's, and
    `closure`, the worst. Both intervals count prompts. Accuracy is null where no answer
    is due.
    """
    store.files(run_id, "prompts")  # says so if there is no such run
    query = SUMMARY.format(
        n_effective=N_EFFECTIVE,
        error=ratio_error("nats", "n_told"),
        accuracy_low=wilson("accuracy", "n_effective", "-"),
        accuracy_high=wilson("accuracy", "n_effective", "+"),
        surprisal_low=around("surprisal", "error", "n_told", "-"),
        surprisal_high=around("surprisal", "error", "n_told", "+"),
    )
    return answer(store, query, {"run_id": run_id})
