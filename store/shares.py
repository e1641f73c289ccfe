"""What each layer brings: attention's, the FFN's and the residual stream's share of the
states they write to, from the first layer to the last, over groups of positions.

The shares of a step sum to 1 (DESIGN 2.2), so those of two steps are not on one scale;
a layer of a sequential model has two residual shares, one in each step.
"""

from .answer import Answer, answer
from .facets import MOST_GROUPS, Split, classed, kept, share_read, split_by
from .intervals import around, ratio_error
from .store import Store

SHARES = """
    WITH {grouped}, prompt AS (
        SELECT facet, layer, step, prompt_id, count(*) AS n,
               sum(resid::DOUBLE) AS resid, sum(attn::DOUBLE) AS attn,
               sum(ffn::DOUBLE) AS ffn
        FROM {source} WHERE run_id = $run_id AND {kept} GROUP BY ALL
    ), cohort AS (
        SELECT facet, count(DISTINCT prompt_id) AS n_prompts
        FROM prompt GROUP BY facet ORDER BY n_prompts DESC, facet LIMIT $most
    ), part AS (
        UNPIVOT prompt ON resid, attn, ffn INTO NAME part VALUE x
    ), mean AS (
        SELECT facet, layer, step, part, sum(n)::BIGINT AS n_positions,
               sum(x) / sum(n) AS share, {error} AS error
        FROM part
        WHERE NOT (step = 'attn' AND part = 'ffn' OR step = 'ffn' AND part = 'attn')
        GROUP BY ALL
    )
    SELECT facet, n_prompts, n_positions, layer, step, part, share,
           {low} AS low, {high} AS high
    FROM mean JOIN cohort USING (facet)
    ORDER BY n_prompts DESC, facet, layer, step, part
"""


def layer_shares(
    store: Store, run_id: str, *, by: str = "", most: int = MOST_GROUPS
) -> Answer:
    """The mean shares of each step's parts, over all positions or groups of them.

    Columns: `facet` (the group), `n_prompts`, `n_positions` (its size), `layer`, `step`
    (attn, ffn; block in a parallel model), `part` (resid, attn, ffn), `share`, and its
    95% interval over prompts, `low` and `high`: null with fewer than 5, else the mean
    over positions ± Student's t times the standard error of a ratio of sums over
    prompts. Groups go by size, the largest first, no more than `most`.
    """
    store.files(run_id, "steps")  # says so if there is no such run
    share = share_read(store, run_id, "steps")
    split = split_by(by)
    low, high = (around("share", "error", "n_prompts", sign) for sign in "-+")
    query = SHARES.format(
        grouped=_grouped(split, share=share),
        source=SOURCES[split.by_class],
        kept=kept(share),
        error=ratio_error("x", "n"),
        low=low,
        high=high,
    )
    return answer(store, query, {"run_id": run_id, "most": most, **split.values})


def shares_read(store: Store, run_id: str) -> float:
    """Which part of the run's prompts the shares are of; 1: all."""
    return share_read(store, run_id, "steps")


SOURCES = {
    True: "(SELECT * RENAME (query AS position) FROM steps) "
    "JOIN grouped USING (prompt_id, position)",
    False: "steps JOIN grouped USING (prompt_id)",
}
"""The steps with their groups: by the token's class, or by the prompt."""


def _grouped(split: Split, *, share: float) -> str:
    if split.by_class:
        return f"grouped AS ({classed(share)})"
    return f"""grouped AS (
        SELECT prompt_id, {split.of_prompt} AS facet
        FROM prompts WHERE run_id = $run_id AND {kept(share)}
    )"""
