"""Helpers about what writes and states mean, in tokens of the vocabulary."""

from .helper import Helper

ATTRIBUTION_BY_CATEGORY = Helper(
    "attribution_by_category",
    "",
    "Direct logit attribution of embedding, heads, FFNs and biases, averaged over the "
    "targets of each dataset and category: what each adds to the logit of the "
    "predicted token, the answer and the distractor.",
    ("logit_attribution", "prompts", "targets"),
    {
        "component": "embed, head, ffn or bias",
        "index": "head; 0 otherwise",
        "n_targets": "targets of the dataset and category",
        "predicted": "mean logits for the predicted token",
        "answer": "mean logits for the answer, over targets that have one",
        "distractor": "the same for the distractor",
        "n_pairs": "targets that have an answer and a distractor",
        "answer_over_distractor": "mean logits for the answer minus the distractor, "
        "over those; null without",
    },
    """
    SELECT run_id, dataset, category, layer, component, index,
           count(*) FILTER (role = 'predicted') AS n_targets,
           avg(value) FILTER (role = 'predicted') AS predicted,
           avg(value) FILTER (role = 'answer') AS answer,
           avg(value) FILTER (role = 'distractor') AS distractor,
           count(*) FILTER (role = 'distractor' AND answer_token_id IS NOT NULL)
               AS n_pairs,
           (sum(value) FILTER (role = 'answer' AND distractor_token_id IS NOT NULL)
            - sum(value) FILTER (role = 'distractor' AND answer_token_id IS NOT NULL)
           ) / nullif(n_pairs, 0) AS answer_over_distractor
    FROM logit_attribution
    JOIN targets USING (run_id, prompt_id, target)
    JOIN prompts USING (run_id, prompt_id)
    WHERE component <> 'neuron'
    GROUP BY run_id, dataset, category, layer, component, index
    """,
)

LENS_TRAJECTORY = Helper(
    "lens_trajectory",
    "",
    "The rank of a target's predicted token, answer and distractor in every stored "
    "state at that position: the logit lens, from the embedding up.",
    ("targets", "lens", "runs"),
    {
        "role": "predicted, answer or distractor",
        "token_id": "the token that is followed",
        "depth": "writes into the stream so far: 0 for embed, up to the last state",
        "rank": "its rank there; null if it is below the stored top tokens",
        "logit": "its logit; null if it is below them",
        "prob": "its probability; null if it is below them",
    },
    # A top token's rank at the state before is stored too, so a rank below the top
    # of one state may be known from the next, where that one is stored.
    """
    WITH followed AS (
        SELECT run_id, prompt_id, target, unnest([
            {role: 'predicted', token_id: predicted_token_id},
            {role: 'answer', token_id: answer_token_id},
            {role: 'distractor', token_id: distractor_token_id}
        ], recursive := true)
        FROM targets
    ), states AS (
        SELECT f.run_id, f.prompt_id, f.target, f.role, f.token_id, l.layer, l.state,
               min(l.rank::INTEGER) FILTER (l.token_id = f.token_id) AS own_rank,
               min(l.rank_before) FILTER (l.token_id = f.token_id) AS rank_before,
               min(l.logit) FILTER (l.token_id = f.token_id) AS logit,
               min(l.prob) FILTER (l.token_id = f.token_id) AS prob
        FROM followed f JOIN lens l ON l.run_id = f.run_id
            AND l.prompt_id = f.prompt_id AND l.position = f.target
        WHERE f.token_id IS NOT NULL
        GROUP BY ALL
    ), placed AS (
        SELECT states.*, CASE WHEN r.block_kind = 'parallel' THEN layer + 1
                              ELSE 2 * layer + if(state = 'mid', 1, 2) END AS depth
        FROM states JOIN runs r USING (run_id)
    )
    SELECT run_id, prompt_id, target, role, token_id, depth, layer, state,
           coalesce(own_rank, CASE WHEN lead(depth) OVER upwards = depth + 1
                                   THEN lead(rank_before) OVER upwards END) AS rank,
           logit, prob
    FROM placed
    WINDOW upwards AS (PARTITION BY run_id, prompt_id, target, role ORDER BY depth)
    """,
)

NEURON_ACTIVITY = Helper(
    "neuron_activity",
    "",
    "How often each neuron is among the top ones that are stored of a position, and "
    "how strongly. One that never is has no row.",
    ("neurons", "runs"),
    {
        "n_positions": "positions where it is among the top",
        "frequency": "n_positions / tokens of the run",
        "mean_contribution": "mean over those positions",
        "max_contribution": "largest",
        "mean_activation": "mean over those positions",
        "max_activation": "largest",
    },
    """
    SELECT run_id, layer, expert, neuron, count(*) AS n_positions,
           count(*) / any_value(n_tokens) AS frequency,
           avg(contribution) AS mean_contribution,
           max(contribution) AS max_contribution,
           avg(activation) AS mean_activation, max(activation) AS max_activation
    FROM neurons JOIN runs USING (run_id)
    GROUP BY run_id, layer, expert, neuron
    """,
)
