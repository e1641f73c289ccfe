"""Helpers that show edges and prompts: with their tokens, by position, by head."""

from .helper import Helper

_TOKENS = {
    "query_token": "text of the token at the position written to",
    "key_token": "text of the token at the position read from",
    "query_is_special": "that is a start token or other token that is no text",
    "key_is_special": "the same of the position read from",
}

# Both ends are positions of the prompt, so an inner join loses no row.
_JOIN_TOKENS = """
    JOIN tokens q
      ON q.run_id = e.run_id AND q.prompt_id = e.prompt_id AND q.position = e.query
    JOIN tokens k
      ON k.run_id = e.run_id AND k.prompt_id = e.prompt_id AND k.position = e.key
"""
_SELECT_TOKENS = """
    q.token AS query_token, k.token AS key_token,
    q.is_special AS query_is_special, k.is_special AS key_is_special
"""

EDGE_TOKENS = Helper(
    "edge_tokens",
    "",
    "`edges` with the text of both tokens, and whether they are special.",
    ("edges", "tokens"),
    _TOKENS,
    f"SELECT e.*, {_SELECT_TOKENS} FROM edges e {_JOIN_TOKENS}",
)

ROUTE_TOKENS = Helper(
    "route_tokens",
    "tau := 0.04",
    "`routes` at tau, with the text of both tokens, and whether they are special. "
    "A tau below a run's cutoff is an error: that route was not followed so far.",
    ("routes", "tokens", "runs"),
    _TOKENS,
    f"""
    SELECT e.*, {_SELECT_TOKENS}
    FROM routes e JOIN runs r ON r.run_id = e.run_id {_JOIN_TOKENS}
    WHERE e.survives_at > CASE WHEN tau::DOUBLE >= r.cutoff THEN tau::DOUBLE ELSE
        error(format(
            'route_tokens: tau {{}} is below the cutoff {{}} of run {{}}: give at '
            'least the cutoff, or name the runs in WHERE',
            tau::DOUBLE, r.cutoff, r.run_id
        ))::DOUBLE END
    """,
)

SOURCE_POSITIONS = Helper(
    "source_positions",
    "",
    "How far back a head reads: its contribution by relative position, over all "
    "prompts. Only edges at or above the cutoff count.",
    ("edges",),
    {
        "relative_position": "key - query: 0 is the position itself, -1 the one before",
        "n_edges": "edges of the head at that relative position",
        "contribution": "sum over those edges",
        "share": "of the head's sum over all relative positions",
        "mean_attention": "mean attention probability of those edges",
    },
    """
    SELECT run_id, layer, head, relative_position, n_edges, total AS contribution,
           total / sum(total) OVER (PARTITION BY run_id, layer, head) AS share,
           mean_attention
    FROM (
        SELECT run_id, layer, head, key - query AS relative_position,
               count(*) AS n_edges, sum(contribution) AS total,
               avg(attention) AS mean_attention
        FROM edges WHERE kind = 'attn'
        GROUP BY run_id, layer, head, key - query
    )
    """,
)

HEAD_PROMPTS = Helper(
    "head_prompts",
    "at_layer, at_head, n := 20",
    "The n prompts of each run in which a head contributes most, the most first.",
    ("heads", "prompts"),
    {},
    """
    SELECT run_id, prompt_id, dataset, category, contribution, text
    FROM (
        SELECT run_id, prompt_id, contribution, row_number() OVER (
            PARTITION BY run_id ORDER BY contribution DESC, prompt_id
        ) AS place
        FROM heads WHERE layer = at_layer AND head = at_head
    )
    JOIN prompts USING (run_id, prompt_id)
    WHERE place <= n
    ORDER BY run_id, place
    """,
)
