"""What is known of one head over a run: when it matters, where it looks, on what.

    >>> from flowglass.store import open_store               # doctest: +SKIP
    >>> offsets(open_store("runs/"), run_id, layer=3, head=2)  # doctest: +SKIP

What it promotes is in write_queries.py, what it does in roles.py. Intervals are of 95%,
by prompt, from sums of squares (ratio.py).
"""

from typing import Any

import pyarrow as pa

from .contexts import AROUND, with_context
from .errors import StoreError
from .ratio import SUMS, with_ratio
from .schema import DEFAULT_TAU
from .sources import IS_DELIMITER, PLACES, role_named
from .store import Store

FARTHEST = 15
"""How far back a source has a row of its own in `offsets`."""


def importance_by_category(
    store: Store,
    run_id: str,
    *,
    layer: int,
    component: str = "head",
    index: int,
    tau: float = DEFAULT_TAU,
) -> pa.Table:
    """A head's (or FFN's) importance over the targets of each dataset and category.

    `mean` is over all `n_targets` of `n_prompts`, with 0 where it is in no route,
    between `low` and `high`; p05 to p95 are quantiles of the same values. `frequency`
    is the share of targets whose route at `tau` holds it.
    """
    _check_tau(store, run_id, tau)
    query = f"""
        WITH mine AS (
            SELECT prompt_id, target, contribution, survives_at FROM importance
            WHERE run_id = $run_id AND layer = $layer
              AND component = $component AND index = $index
        ), valued AS (
            SELECT dataset, category, prompt_id,
                   coalesce(contribution, 0) AS value,
                   coalesce(survives_at > $tau, false) AS in_route
            FROM (SELECT prompt_id, target FROM targets WHERE run_id = $run_id)
            JOIN (SELECT prompt_id, dataset, category FROM prompts
                  WHERE run_id = $run_id) USING (prompt_id)
            LEFT JOIN mine USING (prompt_id, target)
        ), of_prompts AS (
            SELECT dataset, category, sum(value) AS x, count(*)::DOUBLE AS y
            FROM valued GROUP BY dataset, category, prompt_id
        ), summed AS (
            SELECT dataset, category, {SUMS} FROM of_prompts GROUP BY dataset, category
        )
        SELECT v.dataset, v.category, any_value(s.n) AS n_prompts,
               count(*) AS n_targets, avg(in_route::INTEGER) AS frequency,
               {", ".join(
                   f"quantile_cont(value, 0.{p}) AS p{p}"
                   for p in ("05", "25", "50", "75", "95")
               )},
               {", ".join(f"any_value({c}) AS {c}" for c in SUM_COLUMNS)}
        FROM valued v JOIN summed s ON s.dataset = v.dataset
         AND s.category IS NOT DISTINCT FROM v.category
        GROUP BY v.dataset, v.category ORDER BY v.dataset, v.category NULLS LAST
    """  # fmt: skip
    values = {"layer": layer, "component": component, "index": index, "tau": tau}
    found = store.table(query, {"run_id": run_id, **values})
    return with_ratio(found, "mean", least=0)


SUM_COLUMNS = ("n", "x", "y", "xx", "xy", "yy")


def _check_tau(store: Store, run_id: str, tau: float) -> None:
    store.files(run_id, "importance")  # says so if there is no such run
    cutoff = store.snapshot.runs[run_id].plan.cutoff
    if tau < cutoff:
        raise StoreError(
            f"routes at tau {tau:g} are not known: this run stores nothing below its "
            f"cutoff {cutoff:g}"
        )


# --- where it looks -------------------------------------------------------------------

OFFSET = f"""
    SELECT prompt_id, contribution,
           CASE WHEN query - key <= {FARTHEST} THEN (key - query)::VARCHAR
                ELSE 'farther' END AS source
    FROM mine
"""

TOKEN_CLASSES = ("special", "delimiter", "number", "word", "piece")
"""Of a source: a start token or the like; only punctuation, or a newline; only digits;
the first piece of a word, or all of it; a later piece."""

# Few texts are different, so each is looked at once.
TOKEN_CLASS = rf"""
    SELECT prompt_id, contribution, class AS source FROM mine JOIN (
        SELECT prompt_id, position AS key, CASE
            WHEN is_special THEN 'special' WHEN is_delimiter THEN 'delimiter'
            WHEN is_number THEN 'number' WHEN is_first THEN 'word' ELSE 'piece'
        END AS class
        FROM (
            SELECT prompt_id, position, token, is_special, word IS DISTINCT FROM
                   lag(word) OVER (PARTITION BY prompt_id ORDER BY position) AS is_first
            FROM tokens WHERE run_id = $run_id
        ) JOIN (
            SELECT token, {IS_DELIMITER} AS is_delimiter,
                   regexp_full_match(token, '\s*\d+\s*') AS is_number
            FROM (SELECT DISTINCT token FROM tokens WHERE run_id = $run_id)
        ) USING (token)
    ) USING (prompt_id, key)
"""


def offsets(store: Store, run_id: str, *, layer: int, head: int) -> pa.Table:
    """How far back a head looks: of all it brings, the share from each distance.

    `source` is 0, the position itself, to -15, then `farther`; the last row is what
    its parts below the run's cutoff bring, from anywhere: shares sum to 1, but for
    rounding. `n_edges` are stored in `n_prompts`; `share` is of all that the head
    brings to all positions (`heads`, exact), between `low` and `high`.
    """
    order = [*map(str, range(0, -FARTHEST - 1, -1)), "farther", BELOW]
    return _shares(store, run_id, OFFSET, order, layer=layer, head=head)


def source_tokens(store: Store, run_id: str, *, layer: int, head: int) -> pa.Table:
    """What kind of token a head looks at: the share from each of TOKEN_CLASSES.

    Every token is of one class, so shares sum to 1 with the last row, what the parts
    below the run's cutoff bring. The columns are those of `offsets`.
    """
    order = [*TOKEN_CLASSES, BELOW]
    return _shares(store, run_id, TOKEN_CLASS, order, layer=layer, head=head)


BELOW = "below cutoff"


def _shares(
    store: Store, run_id: str, sources: str, order: list[str], *, layer: int, head: int
) -> pa.Table:
    """What a head brings, by `source` of its stored edges, in this order.

    `sources` gives the rows of `mine`, the head's edges, each with its source.
    """
    query = f"""
        WITH mine AS (
            SELECT prompt_id, query, key, contribution FROM edges
            WHERE run_id = $run_id AND layer = $layer AND head = $head
        ), whole AS (
            SELECT prompt_id, n_tokens * contribution AS y FROM heads
            JOIN prompts USING (run_id, prompt_id)
            WHERE run_id = $run_id AND layer = $layer AND head = $head
        ), stored AS (
            SELECT source, prompt_id, count(*) AS n_edges, sum(contribution) AS x
            FROM ({sources}) GROUP BY source, prompt_id
        ), parts AS (
            FROM stored UNION ALL
            SELECT '{BELOW}', prompt_id, 0,
                   -- stored ones are rounded, to both sides
                   greatest(y - coalesce(sum(x), 0), 0)
            FROM whole LEFT JOIN stored USING (prompt_id) GROUP BY prompt_id, y
        ), all_prompts AS (
            SELECT count(*) AS n, sum(y) AS y, sum(y * y) AS yy FROM whole
        )
        SELECT source, sum(n_edges)::BIGINT AS n_edges,
               count(*) FILTER (x > 0) AS n_prompts, sum(x) AS x,
               sum(x * x) AS xx, sum(x * whole.y) AS xy,
               any_value(all_prompts.n) AS n, any_value(all_prompts.y) AS y,
               any_value(all_prompts.yy) AS yy
        FROM parts JOIN whole USING (prompt_id), all_prompts
        GROUP BY source ORDER BY list_position($order, source)
    """
    store.files(run_id, "edges")  # says so if there is no such run
    values = {"run_id": run_id, "layer": layer, "head": head, "order": order}
    return with_ratio(store.table(query, values), "share", least=0)


# --- examples -------------------------------------------------------------------------

MOST = """
    SELECT prompt_id FROM edges
    WHERE run_id = $run_id AND layer = $layer AND head = $head
    GROUP BY prompt_id ORDER BY max(contribution) DESC, prompt_id LIMIT $n
"""
MOST_OF_KIND = """
    SELECT prompt_id FROM heads
    WHERE run_id = $run_id AND layer = $layer AND head = $head AND {column} > 0
    ORDER BY {column} DESC, prompt_id LIMIT $n
"""
BEST = f"""
    WITH places AS ({PLACES}), mine AS (
        SELECT prompt_id, query, key, contribution, attention FROM edges
        WHERE run_id = $run_id AND layer = $layer AND head = $head
          AND prompt_id IN (SELECT unnest($prompt_ids))
    )
    SELECT e.prompt_id, p.dataset, p.category, e.query, e.key,
           e.contribution, e.attention
    FROM mine e
    JOIN places q ON q.prompt_id = e.prompt_id AND q.position = e.query
    JOIN places k ON k.prompt_id = e.prompt_id AND k.position = e.key
    JOIN prompts p ON p.run_id = $run_id AND p.prompt_id = e.prompt_id
    WHERE {{holds}}
    QUALIFY row_number() OVER (
        PARTITION BY e.prompt_id ORDER BY e.contribution DESC, e.query, e.key
    ) = 1
    ORDER BY e.contribution DESC, e.prompt_id
"""


def examples(
    store: Store,
    run_id: str,
    *,
    layer: int,
    head: int,
    role: str | None = None,
    n: int = 20,
    around: int = AROUND,
) -> pa.Table:
    """The strongest edge of a head in each of n prompts, the strongest first.

    In those prompts that have its strongest edges; with a role, in those where it
    brings most from such sources, on average over positions, and only edges from there:
    the role's evidence. Fewer rows where no such edge is stored. `positions` and
    `tokens` are what stands around `query` and `key`.
    """
    asked: dict[str, Any] = {"run_id": run_id, "layer": layer, "head": head}
    store.files(run_id, "edges")  # says so if there is no such run
    kind = None if role is None else role_named(role)
    most = MOST if kind is None else MOST_OF_KIND.format(column=kind.column)
    ids = store.table(most, {**asked, "n": n})["prompt_id"].to_pylist()
    query = BEST.replace("{holds}", "true" if kind is None else kind.holds)
    found = store.table(query, {**asked, "prompt_ids": ids})
    return with_context(store, run_id, found, ["query", "key"], around=around)
