"""What is known of one token of the vocabulary over a run: where it is, and matters.

A token is its id; `find_tokens` finds ids by text. Routes and targets are those of the
stored targets, writes those that the sweep read in tokens (write_queries.py).
"""

from typing import Any

import numpy as np
import pyarrow as pa

from .contexts import AROUND, with_context
from .schema import DEFAULT_TAU
from .store import Store

MOST_PROMPTS = 500
"""Prompts whose routes are read, of those that hold a token."""


def find_tokens(store: Store, run_id: str, text: str, *, limit: int = 20) -> pa.Table:
    """The tokens of a run whose text is `text`, or holds it, whatever the case.

    Whole matches first, white space aside; then by `n_positions`, how often it stands
    in the prompts, so a token that only was predicted comes last, with 0.
    """
    query = """
        WITH seen AS (
            SELECT token_id, any_value(token) AS token, count(*) AS n FROM tokens
            WHERE run_id = $run_id GROUP BY token_id
            UNION ALL
            SELECT top_token_id, any_value(top_token), 0 FROM tokens
            WHERE run_id = $run_id GROUP BY top_token_id
        ), known AS (
            SELECT token_id, any_value(token) AS token, sum(n)::BIGINT AS n_positions
            FROM seen WHERE contains(lower(token), lower($text)) GROUP BY token_id
        )
        FROM known
        ORDER BY token = $text DESC, lower(trim(token)) = lower(trim($text)) DESC,
                 n_positions DESC, token_id
        LIMIT $limit
    """
    store.files(run_id, "tokens")  # says so if there is no such run
    return store.table(query, {"run_id": run_id, "text": text, "limit": limit})


def token_text(store: Store, run_id: str, token_id: int) -> str | None:
    """The text of a token that stands in a run's prompts or is predicted there."""
    query = """
        SELECT token FROM tokens WHERE run_id = $run_id AND token_id = $token_id
        UNION ALL
        SELECT top_token FROM tokens
        WHERE run_id = $run_id AND top_token_id = $token_id
        LIMIT 1
    """
    found = store.table(query, _values(store, run_id, token_id)).to_pylist()
    return found[0]["token"] if found else None


def summary(store: Store, run_id: str, token_id: int) -> pa.Table:
    """One row: how often a token stands in the prompts, and is predicted.

    It stands at `n_positions` of the run's `n_tokens`, in `n_prompts`, with a mean
    `logprob` (nats) given what stands before it; it is the likeliest next token at
    `n_top` positions, and at `n_targets_top` of `n_targets`, and the answer that is due
    at `n_answers`.
    """
    query = """
        SELECT count(*) FILTER (here) AS n_positions,
               count(DISTINCT prompt_id) FILTER (here) AS n_prompts,
               count(*) AS n_tokens,
               avg(logprob::DOUBLE) FILTER (here) AS mean_logprob,
               count(*) FILTER (top_token_id = $token_id) AS n_top,
               any_value(t.n_top) AS n_targets_top,
               any_value(t.n) AS n_targets,
               any_value(t.n_answers) AS n_answers
        FROM (
            SELECT *, token_id = $token_id AS here FROM tokens WHERE run_id = $run_id
        ), (
            SELECT count(*) AS n,
                   count(*) FILTER (predicted_token_id = $token_id) AS n_top,
                   count(*) FILTER (answer_token_id = $token_id) AS n_answers
            FROM targets WHERE run_id = $run_id
        ) t
    """
    return store.table(query, _values(store, run_id, token_id))


def occurrences(
    store: Store, run_id: str, token_id: int, *, n: int = 20, around: int = AROUND
) -> pa.Table:
    """Where a token stands in each of n prompts, first where it was least expected.

    With `logprob` (nats) and `rank` given what stands before it, null at position 0,
    and the `tokens` at `positions` around.
    """
    query = """
        SELECT t.prompt_id, dataset, category, position, logprob, rank
        FROM tokens t JOIN prompts p USING (run_id, prompt_id)
        WHERE run_id = $run_id AND token_id = $token_id
        QUALIFY row_number() OVER (
            PARTITION BY t.prompt_id ORDER BY logprob NULLS LAST, position
        ) = 1
        ORDER BY logprob NULLS LAST, prompt_id LIMIT $n
    """
    found = store.table(query, {**_values(store, run_id, token_id), "n": n})
    return with_context(store, run_id, found, ["position"], around=around)


def predictions(
    store: Store, run_id: str, token_id: int, *, n: int = 20, around: int = AROUND
) -> pa.Table:
    """The n targets where a token is predicted with the highest `prob`."""
    query = """
        SELECT t.prompt_id, dataset, category, target, predicted_prob AS prob, correct
        FROM targets t JOIN prompts p USING (run_id, prompt_id)
        WHERE run_id = $run_id AND predicted_token_id = $token_id
        ORDER BY prob DESC, prompt_id, target LIMIT $n
    """
    found = store.table(query, {**_values(store, run_id, token_id), "n": n})
    return with_context(store, run_id, found, ["target"], around=around)


def readers(
    store: Store,
    run_id: str,
    token_id: int,
    *,
    tau: float = DEFAULT_TAU,
    n: int = 20,
    seed: int = 0,
) -> pa.Table:
    """The n heads that read most from a token, in routes at `tau`.

    `contribution` is what a head's edges from it bring to the routes of a target, on
    average over the `n_targets` of prompts that hold the token, 0 where it reads
    nothing from it; `n_reading` of these have such an edge. Of more than MOST_PROMPTS
    prompts that hold it, a random sample is read: the table's metadata says `prompts`
    and `sampled`.
    """
    values = _values(store, run_id, token_id)
    ids = store.table(HOLDING, values)["prompt_id"].to_numpy()
    sampled = ids
    if len(ids) > MOST_PROMPTS:
        chance = np.random.default_rng(seed)
        sampled = np.sort(chance.choice(ids, MOST_PROMPTS, replace=False))
    values |= {"prompt_ids": sampled.tolist(), "tau": tau, "n": n}
    said = {"prompts": str(len(ids)), "sampled": str(len(sampled))}
    return store.table(READ, values).replace_schema_metadata(said)


HOLDING = """
    SELECT DISTINCT prompt_id FROM tokens
    WHERE run_id = $run_id AND token_id = $token_id ORDER BY prompt_id
"""
READ = """
    WITH places AS (
        SELECT prompt_id, position AS key FROM tokens
        WHERE run_id = $run_id AND token_id = $token_id
          AND prompt_id IN (SELECT unnest($prompt_ids))
    ), traced AS (
        SELECT count(*) AS n FROM targets
        WHERE run_id = $run_id AND prompt_id IN (SELECT unnest($prompt_ids))
    ), read AS (
        SELECT prompt_id, target, layer, head, sum(contribution) AS contribution
        FROM routes JOIN places USING (prompt_id, key)
        WHERE run_id = $run_id AND prompt_id IN (SELECT unnest($prompt_ids))
          AND head IS NOT NULL AND survives_at > $tau
        GROUP BY prompt_id, target, layer, head
    )
    SELECT layer, head, sum(contribution) / any_value(traced.n) AS contribution,
           count(*) AS n_reading, any_value(traced.n) AS n_targets
    FROM read, traced GROUP BY layer, head
    ORDER BY contribution DESC, layer, head LIMIT $n
"""


def promoters(store: Store, run_id: str, token_id: int, *, n: int = 20) -> pa.Table:
    """The n components that promote a token most often, then those that suppress it.

    In `n_writes` of a component's stored writes, in `n_prompts`, it is among the top
    tokens of this `sign` (1 or -1), with a mean of `mean_score` logits.
    """
    query = """
        SELECT sign, layer, component, expert, index, count(*) AS n_writes,
               count(DISTINCT prompt_id) AS n_prompts,
               avg(score::DOUBLE) AS mean_score
        FROM writes WHERE run_id = $run_id AND token_id = $token_id
        GROUP BY sign, layer, component, expert, index
        QUALIFY row_number() OVER (
            PARTITION BY sign
            ORDER BY n_writes DESC, abs(mean_score) DESC, layer, component, index
        ) <= $n
        ORDER BY sign DESC, n_writes DESC, abs(mean_score) DESC, layer, component, index
    """
    return store.table(query, {**_values(store, run_id, token_id), "n": n})


def _values(store: Store, run_id: str, token_id: int) -> dict[str, Any]:
    store.files(run_id, "tokens")  # says so if there is no such run
    return {"run_id": run_id, "token_id": token_id}
