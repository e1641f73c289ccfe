"""Rolling `importance` up: what each component brought, over a shard's targets.

Sums are int64 multiples of 2**-32, so that shards merge exactly in any order: an
aggregate page is the same whatever was committed first, and by whom.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .schema import COMPONENTS, FIXED_POINT, TABLES

TAUS: Mapping[str, float] = {
    "n_in_route_001": 0.01,
    "n_in_route_002": 0.02,
    "n_in_route_004": 0.04,
    "n_in_route_008": 0.08,
}
"""The threshold that each column counts at."""


def component_stats(
    prompts: pa.Table,
    targets: pa.Table,
    importance: pa.Table,
    *,
    n_layers: int,
    n_heads: int,
    cutoff: float,
) -> pa.Table:
    """`component_stats` of one shard, from its three tables.

    Every (dataset, category) that has targets gets a row for every component of the
    model, with zeros where it is in no route. A count at a tau below the cutoff is
    null: routes were not followed that far.
    """
    groups, group_of = _groups(prompts, targets)
    n_targets = np.bincount(
        group_of[targets["prompt_id"].to_numpy()], minlength=len(groups)
    )
    n_units = n_heads + 1  # of a layer: its heads, then its FFN
    is_head = pc.equal(importance["component"], COMPONENTS[0]).to_numpy()
    unit = np.where(is_head, importance["index"].to_numpy(), n_heads)
    layer = importance["layer"].to_numpy().astype(np.int64)
    group = group_of[importance["prompt_id"].to_numpy()]
    place = (group * n_layers + layer) * n_units + unit
    n_places = len(groups) * n_layers * n_units

    contribution = importance["contribution"].to_numpy().astype(np.float64)
    survives = importance["survives_at"].to_numpy().astype(np.float64)
    largest = np.zeros(n_places, np.float32)
    np.maximum.at(largest, place, contribution.astype(np.float32))
    counts = {
        name: pa.array(np.bincount(place[survives > tau], minlength=n_places))
        if tau >= cutoff
        else pa.nulls(n_places, pa.int64())
        for name, tau in TAUS.items()
    }
    at_group, at_layer, at_unit = np.unravel_index(
        np.arange(n_places), (len(groups), n_layers, n_units)
    )
    at_head = at_unit < n_heads
    columns = {
        "dataset": groups["dataset"].take(pa.array(at_group)),
        "category": groups["category"].take(pa.array(at_group)),
        "layer": at_layer,
        "component": np.where(at_head, *COMPONENTS),
        "index": np.where(at_head, at_unit, 0),
        "n_targets": n_targets[at_group],
        **counts,
        "contribution_sum": _fixed_sum(contribution, place, n_places),
        "contribution_sum_sq": _fixed_sum(contribution**2, place, n_places),
        "contribution_max": largest,
    }
    return pa.table(columns).cast(TABLES["component_stats"].schema)


KEYS = ["dataset", "category", "layer", "component", "index"]


def added_up(parts: Sequence[pa.Table]) -> pa.Table:
    """Rolled-up rows of several shards as those of all their targets, exactly."""
    sums = ["n_targets", *TAUS, "contribution_sum", "contribution_sum_sq"]
    rows = pa.concat_tables(parts, promote_options="default").group_by(KEYS)
    added = rows.aggregate(
        [*((name, "sum") for name in sums), ("contribution_max", "max")]
    )
    names = {f"{name}_sum": name for name in sums}
    names["contribution_max_max"] = "contribution_max"
    schema = TABLES["component_stats"].schema
    return added.rename_columns(names).select(schema.names).cast(schema)


def _groups(prompts: pa.Table, targets: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
    """The (dataset, category) pairs that have targets, and each prompt id's pair."""
    traced = pc.is_in(prompts["prompt_id"], pc.unique(targets["prompt_id"]))
    prompts = prompts.filter(traced)
    keys = prompts.select(["dataset", "category"])
    groups = keys.group_by(["dataset", "category"]).aggregate([])
    groups = groups.sort_by([("dataset", "ascending"), ("category", "ascending")])
    number = {
        (row["dataset"], row["category"]): i for i, row in enumerate(groups.to_pylist())
    }
    ids = prompts["prompt_id"].to_numpy()
    group_of = np.zeros(int(ids.max(initial=-1)) + 1, np.int64)
    group_of[ids] = [number[r["dataset"], r["category"]] for r in keys.to_pylist()]
    return groups, group_of


def _fixed_sum(
    x: NDArray[np.float64], place: NDArray[np.int64], n_places: int
) -> NDArray[np.int64]:
    """The sum of x per place, each addend rounded to a multiple of 1 / FIXED_POINT."""
    sums = np.zeros(n_places, np.int64)
    np.add.at(sums, place, np.rint(x * FIXED_POINT).astype(np.int64))
    return sums
