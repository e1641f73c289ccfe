"""How often each head and FFN is in a route, of a whole run or of one category.

Counted by the sweep shard by shard (`rollup.component_stats`), so that the answer is a
sum over a few hundred rows a shard, however many targets these had.
"""

import pyarrow as pa

from .errors import StoreError
from .rollup import TAUS
from .schema import DEFAULT_TAU
from .store import Store

COLUMNS = {
    "layer": pa.int16(),
    "component": pa.string(),
    "index": pa.int32(),
    "n_targets": pa.int64(),
    "n_in_route": pa.int64(),
    "share": pa.float64(),
    "standard_error": pa.float64(),
}
"""A row for each component of the model."""


def activation_frequency(
    store: Store, run_id: str, *, tau: float = DEFAULT_TAU, category: str | None = None
) -> pa.Table:
    """The share of a run's targets whose route at `tau` holds each head and FFN.

    A component is in a target's route if one of its edges has `survives_at > tau`:
    share = n_in_route / n_targets, over the targets committed so far, of all categories
    or of one. Its standard error is that of independent targets, sqrt(share (1 - share)
    / n_targets). Rows go by layer, heads before the FFN; there are none while no target
    is committed. The taus that a sweep counts at are those of `rollup.TAUS`.
    """
    files = store.files(run_id, "component_stats")
    counted = counted_at(tau, cutoff=store.snapshot.runs[run_id].plan.cutoff)
    if not files:
        return pa.schema(COLUMNS.items()).empty_table()
    query = f"""
        WITH counted AS (
            SELECT layer, component, index,
                   sum(n_targets)::BIGINT AS n, sum({counted})::BIGINT AS n_in_route
            FROM read_parquet($files)
            WHERE $category IS NULL OR category = $category
            GROUP BY layer, component, index
        )
        SELECT layer, component, index, n AS n_targets, n_in_route,
               n_in_route / n AS share,
               sqrt(share * (1 - share) / n) AS standard_error
        FROM counted
        ORDER BY layer, component = 'ffn', index
    """
    return store.table(query, {"files": files, "category": category})


def counted_at(tau: float, *, cutoff: float) -> str:
    """The column that counts the routes at a threshold."""
    column = next((name for name, at in TAUS.items() if at == tau), None)
    if column is None:
        known = ", ".join(f"{at:g}" for at in TAUS.values())
        raise StoreError(f"routes are not counted at tau {tau:g}: choose of {known}")
    if tau < cutoff:
        raise StoreError(
            f"routes at tau {tau:g} are not known: this run stores nothing below its "
            f"cutoff {cutoff:g}"
        )
    return column
