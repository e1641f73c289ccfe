"""The routes of many targets as one graph, its positions lined up by role.

An edge of this graph stands for all edges of a layer, step and kind that lead from
positions of one role to positions of another. It is *there* for a target if the route
of the target at tau holds any of them. Of each edge:

    n_targets     targets at which it could be there: both roles are, in that order
    frequency     the share of those at which it is there
    contribution  the mean over the targets where it is there of what a position of the
                  query's role gets by it: contributions summed over heads and keys,
                  averaged over the positions that get any

Intervals are of 95% and hold prompts for independent, not the targets of one prompt
(docs/statistics.md, "Routes in aggregate"). Roles are those of `position_roles.py`.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from .errors import StoreError
from .position_roles import PLACES, SLOTS, role
from .route_sample import COHORT, RouteSample, ask
from .schema import DEFAULT_TAU
from .store import Store

LEAST_PROMPTS = 10
"""Fewer that hold an edge are too few for the interval of its contribution."""

Z = 1.959963984540054
"""Of a normal distribution, 95% lies between -Z and Z."""

EDGE_COLUMNS = {
    "layer": pa.int16(),
    "step": pa.string(),
    "kind": pa.string(),
    "query_role": pa.string(),
    "key_role": pa.string(),
    "n_prompts": pa.int64(),
    "n_targets": pa.int64(),
    "n_in_route": pa.int64(),
    "frequency": pa.float64(),
    "frequency_low": pa.float64(),
    "frequency_high": pa.float64(),
    "contribution": pa.float64(),
    "contribution_low": pa.float64(),
    "contribution_high": pa.float64(),
}
ROLE_COLUMNS = {
    "role": pa.string(),
    "n_prompts": pa.int64(),
    "n_targets": pa.int64(),
    "n_positions": pa.int64(),
    "distance": pa.float64(),
    "token": pa.string(),
    "token_share": pa.float64(),
}

TRACED = f"""
    traced AS MATERIALIZED (
        SELECT prompt_id, target FROM {{targets}} SEMI JOIN cohort USING (prompt_id)
    ),
    at_target AS MATERIALIZED (
        SELECT prompt_id, target, position, token, {role("places")} AS role
        FROM traced JOIN places USING (prompt_id) WHERE position <= target
    )
"""
ROLED = f"WITH {COHORT}, {SLOTS}, {PLACES}"

HELD = f"""
    held AS (
        SELECT routes.prompt_id, target, layer, step, kind, head, query, key,
               contribution::DOUBLE AS contribution, survives_at::DOUBLE AS survives_at,
               {role("queries")} AS query_role, {role("keys")} AS key_role,
               queries.token AS query_token, keys.token AS key_token
        FROM (FROM {{routes}} SEMI JOIN cohort USING (prompt_id)) AS routes
        -- Not plain joins: DuckDB would first join all positions with each other.
        LEFT JOIN places AS queries
          ON queries.prompt_id = routes.prompt_id AND queries.position = query
        LEFT JOIN places AS keys
          ON keys.prompt_id = routes.prompt_id AND keys.position = key
        WHERE survives_at::DOUBLE > $tau
    )
"""
"""The edges of all routes at tau, with the roles of their ends."""

AGGREGATE = """
    extents AS (
        SELECT prompt_id, target, role, min(position) AS first, max(position) AS last
        FROM at_target GROUP BY ALL
    ),
    pairs AS MATERIALIZED (
        SELECT prompt_id, queries.role AS query_role, keys.role AS key_role,
               count(*) AS n
        FROM extents AS queries JOIN extents AS keys USING (prompt_id, target)
        WHERE keys.first <= queries.last GROUP BY ALL
    ),
    possible AS (
        SELECT query_role, key_role, count(*) AS n_prompts, sum(n) AS n_targets,
               sum(n * n) AS nn
        FROM pairs GROUP BY ALL
    ),
    by_position AS (
        SELECT prompt_id, target, layer, step, kind, query_role, key_role, query,
               sum(contribution) AS contribution
        FROM held GROUP BY ALL
    ),
    by_target AS (
        SELECT prompt_id, target, layer, step, kind, query_role, key_role,
               avg(contribution) AS contribution
        FROM by_position GROUP BY ALL
    ),
    by_prompt AS (
        SELECT prompt_id, layer, step, kind, query_role, key_role,
               count(*) AS k, sum(contribution) AS c
        FROM by_target GROUP BY ALL
    ),
    summed AS (
        SELECT layer, step, kind, query_role, key_role, count(*) AS n_holding,
               sum(k) AS k, sum(c) AS c, sum(k * k) AS kk, sum(k * n) AS kn,
               sum(c * c) AS cc, sum(c * k) AS ck
        FROM by_prompt JOIN pairs USING (prompt_id, query_role, key_role) GROUP BY ALL
    ),
    measured AS (
        SELECT *, k / n_targets AS p, c / k AS mean,
               greatest(kk - 2 * p * kn + p * p * nn, 0) / n_targets ** 2 AS p_var,
               greatest(cc - 2 * mean * ck + mean * mean * kk, 0) / k ** 2
                   * n_holding / (n_holding - 1) AS mean_var,
               -- So many independent targets would tell as much.
               CASE WHEN p_var > 0 THEN least(n_targets, p * (1 - p) / p_var)
                    ELSE n_prompts END AS m
        FROM summed JOIN possible USING (query_role, key_role)
    )
    SELECT layer, step, kind, query_role, key_role, n_prompts::BIGINT AS n_prompts,
           n_targets::BIGINT AS n_targets, k::BIGINT AS n_in_route, p AS frequency,
           (p + zz / (2 * m) - half) / (1 + zz / m) AS frequency_low,
           (p + zz / (2 * m) + half) / (1 + zz / m) AS frequency_high,
           mean AS contribution,
           CASE WHEN n_holding >= $least THEN mean - $z * sqrt(mean_var) END
               AS contribution_low,
           CASE WHEN n_holding >= $least THEN mean + $z * sqrt(mean_var) END
               AS contribution_high
    FROM (
        SELECT *, $z * $z AS zz, $z * sqrt(p * (1 - p) / m + zz / (4 * m * m)) AS half
        FROM measured
    )
    ORDER BY layer, step, kind, query_role, key_role
"""

ROLES = """
    commonest AS (
        SELECT role, arg_max(token, (n, token)) AS token, max(n) AS n
        FROM (SELECT role, token, count(*) AS n FROM at_target GROUP BY ALL)
        GROUP BY role
    )
    SELECT role, count(DISTINCT prompt_id) AS n_prompts,
           count(DISTINCT (prompt_id, target)) AS n_targets, count(*) AS n_positions,
           avg(target - position) AS distance, any_value(commonest.token) AS token,
           any_value(n) / count(*) AS token_share
    FROM at_target JOIN commonest USING (role)
    GROUP BY role ORDER BY role <> 'first token', distance DESC, role
"""


@dataclass(frozen=True)
class AggregateRoutes:
    """Many routes as one graph."""

    sample: RouteSample
    tau: float
    edges: pa.Table
    """`EDGE_COLUMNS`, by layer, step, kind and roles."""
    roles: pa.Table
    """`ROLE_COLUMNS`, as columns go from left to right: from afar to the target.
    `distance` is the mean to the target, `token` the commonest of the role's positions
    and `token_share` its share of them."""
    sql: str
    """What finds the edges of the whole cohort."""

    @property
    def n_targets(self) -> int:
        """Targets whose routes these are."""
        return self._of_target("n_targets")

    @property
    def n_prompts(self) -> int:
        """Their prompts."""
        return self._of_target("n_prompts")

    def _of_target(self, name: str) -> int:
        found = self.roles.filter(pc.field("role") == "target")
        return int(found[name][0].as_py()) if found.num_rows else 0


def aggregate_routes(
    store: Store, sample: RouteSample, *, tau: float = DEFAULT_TAU
) -> AggregateRoutes:
    """The routes at tau of all targets of a sample."""
    check_tau(store, sample.run_id, tau)
    if not all(sample.files.values()):
        edges, roles = (
            pa.schema(columns.items()).empty_table()
            for columns in (EDGE_COLUMNS, ROLE_COLUMNS)
        )
        return AggregateRoutes(sample, tau, edges, roles, sql="")
    values = {"tau": tau, "least": LEAST_PROMPTS, "z": Z}
    found = ask(store, sample, f"{ROLED}, {TRACED}, {HELD}, {AGGREGATE}", **values)
    roles = ask(store, sample, f"{ROLED}, {TRACED}, {ROLES}").table
    return AggregateRoutes(sample, tau, found.table, roles, found.sql)


def check_tau(store: Store, run_id: str, tau: float) -> None:
    """StoreError where the run does not hold the routes at tau whole."""
    cutoff = store.snapshot.runs[run_id].plan.cutoff
    if tau < cutoff:
        raise StoreError(
            f"routes at tau {tau:g} are not known: this run stores nothing below its "
            f"cutoff {cutoff:g}"
        )
