"""Helpers that sum a run up: by component, by layer, by category."""

from .helper import Helper

_FREQUENCY = {
    "n_targets": "targets of the run",
    "n_in_route": "of them with it in the route; null where tau < cutoff",
    "frequency": "n_in_route / n_targets; null where tau < cutoff",
}

ACTIVATION_FREQUENCY = Helper(
    "activation_frequency",
    "tau := 0.04",
    "Share of a run's targets whose route at tau holds the component (Ferrando & "
    "Voita 2024, figure 7); 0 for one that no route holds. Null where tau is below "
    "the run's cutoff: routes were not followed that far.",
    ("component_stats", "importance", "runs"),
    _FREQUENCY,
    """
    SELECT s.*,
           CASE WHEN tau::DOUBLE >= r.cutoff THEN coalesce(i.n, 0) END AS n_in_route,
           CASE WHEN tau::DOUBLE >= r.cutoff THEN coalesce(i.n, 0) / s.n_targets END
               AS frequency
    FROM (
        SELECT run_id, layer, component, index, sum(n_targets)::BIGINT AS n_targets
        FROM component_stats GROUP BY ALL
    ) s
    JOIN runs r USING (run_id)
    LEFT JOIN (
        SELECT run_id, layer, component, index, count(*) AS n
        FROM importance WHERE survives_at > tau::DOUBLE GROUP BY ALL
    ) i USING (run_id, layer, component, index)
    """,
)

ACTIVATION_FREQUENCY_BY_CATEGORY = Helper(
    "activation_frequency_by_category",
    "tau := 0.04",
    "The same among the targets of each dataset and category.",
    ("component_stats", "importance", "prompts", "runs"),
    {**_FREQUENCY, "n_targets": "targets of the dataset and category"},
    """
    SELECT s.run_id, s.dataset, s.category, s.layer, s.component, s.index, s.n_targets,
           CASE WHEN tau::DOUBLE >= r.cutoff THEN coalesce(i.n, 0) END AS n_in_route,
           CASE WHEN tau::DOUBLE >= r.cutoff THEN coalesce(i.n, 0) / s.n_targets END
               AS frequency
    FROM component_stats s
    JOIN runs r USING (run_id)
    LEFT JOIN (
        SELECT run_id, dataset, category, layer, component, index, count(*) AS n
        FROM importance JOIN prompts USING (run_id, prompt_id)
        WHERE survives_at > tau::DOUBLE GROUP BY ALL
    ) i ON i.run_id = s.run_id AND i.dataset = s.dataset AND i.layer = s.layer
        AND i.category IS NOT DISTINCT FROM s.category
        AND i.component = s.component AND i.index = s.index
    """,
)

IMPORTANCE_BY_CATEGORY = Helper(
    "importance_by_category",
    "",
    "A component's importance over the targets of each dataset and category, zeros "
    "counted. Reads sums, so it takes the same time for any number of prompts.",
    ("component_stats",),
    {
        "mean_contribution": "mean over the targets, 0 where it is in no route",
        "deviation": "standard deviation over the targets",
        "max_contribution": "largest",
        "frequency_001": "share of targets with it in the route at tau 0.01",
        "frequency_002": "the same at 0.02; null where tau < cutoff",
        "frequency_004": "the same at 0.04",
        "frequency_008": "the same at 0.08",
    },
    """
    SELECT run_id, dataset, category, layer, component, index, n_targets,
           contribution_sum / n_targets AS mean_contribution,
           sqrt(greatest(
               contribution_sum_sq / n_targets - (contribution_sum / n_targets) ** 2, 0
           )) AS deviation,
           contribution_max AS max_contribution,
           n_in_route_001 / n_targets AS frequency_001,
           n_in_route_002 / n_targets AS frequency_002,
           n_in_route_004 / n_targets AS frequency_004,
           n_in_route_008 / n_targets AS frequency_008
    FROM component_stats
    """,
)

SHARES_BY_LAYER = Helper(
    "shares_by_layer",
    "",
    "What a layer's steps are made of: mean share of the residual stream, attention "
    "and FFN over all positions. The three sum to 1 within a step; shares of "
    "different steps are not on one scale.",
    ("steps",),
    {
        "n_steps": "positions that the means are over",
        "resid": "mean contribution of the residual stream",
        "attn": "mean contribution of all heads; 0 in an ffn step",
        "ffn": "mean contribution of the FFN; 0 in an attn step",
        "bias": "mean contribution of constants, outside the sum of 1",
        "below_cutoff": "mean contribution of the parts not in edges",
    },
    """
    SELECT run_id, layer, step, count(*) AS n_steps,
           avg(resid) AS resid, avg(attn) AS attn, avg(ffn) AS ffn,
           avg(bias) AS bias, avg(below_cutoff) AS below_cutoff
    FROM steps GROUP BY run_id, layer, step
    """,
)

ACCURACY = Helper(
    "accuracy",
    "",
    "How often the answer is predicted, by dataset and category; targets without an "
    "answer do not count.",
    ("prompts", "targets"),
    {
        "n_prompts": "prompts with an answer due at a target",
        "n_targets": "targets at which an answer token is due",
        "accuracy": "share of those targets where it is the likeliest token",
        "prompt_accuracy": "share of those prompts where it is so at every target",
        "mean_answer_prob": "mean probability of the answer token",
        "mean_answer_rank": "mean rank of the answer token",
        "prefers_answer": "share of targets with a distractor where the answer is "
        "the likelier of the two; null without",
    },
    """
    SELECT run_id, dataset, category, count(*) AS n_prompts,
           sum(n)::BIGINT AS n_targets,
           sum(n_correct) / sum(n) AS accuracy,
           count(*) FILTER (n_correct = n) / count(*) AS prompt_accuracy,
           sum(prob) / sum(n) AS mean_answer_prob,
           sum(rank) / sum(n) AS mean_answer_rank,
           sum(n_preferred) / nullif(sum(n_pairs), 0) AS prefers_answer
    FROM (
        SELECT run_id, prompt_id, count(*) AS n, count(*) FILTER (correct) AS n_correct,
               sum(answer_prob) AS prob, sum(answer_rank) AS rank,
               count(distractor_prob) AS n_pairs,
               count(*) FILTER (answer_prob > distractor_prob) AS n_preferred
        FROM targets WHERE correct IS NOT NULL GROUP BY run_id, prompt_id
    )
    JOIN prompts USING (run_id, prompt_id)
    GROUP BY run_id, dataset, category
    """,
)
