"""component_stats: the same numbers as counting importance, however it is cut."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowglass.store import TABLES, open_store
from flowglass.store.rollup import component_stats
from flowglass.store.run import RunWriter
from flowglass.store.schema import FIXED_POINT

from .builders import N_HEADS, N_LAYERS, important, make_plan, prompt, rows, target

GROUPS = [("ioi", "a"), ("ioi", None), ("facts", "a")]

DIRECTLY = """
    WITH component AS (
        SELECT layer::SMALLINT AS layer, component, index::INTEGER AS index
        FROM range(2) l(layer), (
            SELECT 'head' AS component, unnest(range(3)) AS index
            UNION ALL SELECT 'ffn', 0
        )
    ), traced AS (
        SELECT dataset, category, prompt_id, target
        FROM targets JOIN prompts USING (run_id, prompt_id)
    )
    SELECT dataset, category, layer, component, index, count(*) AS n_targets,
           count(*) FILTER (survives_at > 0.01) AS n_in_route_001,
           count(*) FILTER (survives_at > 0.02) AS n_in_route_002,
           count(*) FILTER (survives_at > 0.04) AS n_in_route_004,
           count(*) FILTER (survives_at > 0.08) AS n_in_route_008,
           coalesce(sum(contribution), 0) AS contribution_sum,
           coalesce(sum(contribution * contribution), 0) AS contribution_sum_sq,
           coalesce(max(contribution), 0)::FLOAT AS contribution_max
    FROM traced CROSS JOIN component
    LEFT JOIN importance USING (prompt_id, target, layer, component, index)
    GROUP BY ALL ORDER BY ALL
"""


def made_up(ids: range, seed: int) -> dict[str, pa.Table]:
    """Prompts in three groups, the third of each without a target."""
    chance = np.random.default_rng(seed)
    group = {i: GROUPS[i % len(GROUPS)] for i in ids}
    traced = [i for i in ids if i % 4 != 3]
    places = [("head", i) for i in range(N_HEADS)] + [("ffn", 0)]
    some = [
        important(
            i,
            layer,
            index,
            component=component,
            # Multiples of 2**-12 have squares that a double and 2**-32 both hold.
            contribution=int(chance.integers(1, 4096)) / 4096,
            survives_at=float(chance.choice([0.01, 0.015, 0.04, 0.0625, 0.5])),
        )
        for i in traced
        for layer in range(N_LAYERS)
        for component, index in places[1:]  # head 0 is in no route
        if chance.random() < 0.6
    ]
    return {
        "prompts": rows(
            "prompts",
            *(prompt(i, dataset=d, category=c) for i, (d, c) in group.items()),
        ),
        "targets": rows("targets", *(target(i) for i in traced)),
        "importance": rows("importance", *some),
    }


def rolled_up(tables: dict[str, pa.Table], cutoff: float = 0.01) -> pa.Table:
    return component_stats(
        tables["prompts"],
        tables["targets"],
        tables["importance"],
        n_layers=N_LAYERS,
        n_heads=N_HEADS,
        cutoff=cutoff,
    )


def test_the_view_equals_counting_importance(tmp_path: Path) -> None:
    """Over several shards, with null groups and components that are in no route."""
    writer = RunWriter(tmp_path, make_plan())
    for shard in range(3):
        ids = range(20 * shard, 20 * shard + 20)
        tables = made_up(ids, seed=shard)
        counts = {"n_prompts": 20, "n_tokens": 60, "n_quarantined": 0}
        tables["component_stats"] = rolled_up(tables)
        writer.commit(shard, tables, prompt_ids=ids, info=counts)
    with open_store(tmp_path) as store:
        columns = ", ".join(c.name for c in TABLES["component_stats"].columns)
        merged = store.table(f"SELECT {columns} FROM component_stats ORDER BY ALL")
        assert merged.to_pylist() == store.table(DIRECTLY).to_pylist()
        never = "SELECT bool_and(n_targets > 0) FROM component_stats WHERE index = 0"
        assert store.sql(f"{never} AND component = 'head'").fetchall() == [(True,)]


def totals(parts: list[pa.Table]) -> dict[tuple[object, ...], list[object]]:
    """The parts' rows added up by key, as the view does, in whole numbers."""
    sums: dict[tuple[object, ...], list[object]] = {}
    for row in pa.concat_tables(parts).to_pylist():
        *values, largest = list(row.values())[5:]
        key = tuple(row.values())[:5]
        before = sums.get(key, [0] * len(values) + [0.0])
        added = [a + b for a, b in zip(before[:-1], values, strict=True)]
        sums[key] = [*added, max(before[-1], largest)]
    return sums


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 19), st.integers(0, 99))
def test_shards_merge_to_what_one_shard_would_be(cut: int, seed: int) -> None:
    """Exactly, wherever the corpus is cut."""
    whole = made_up(range(20), seed)
    parts = []
    for ids in (range(cut), range(cut, 20)):
        inside = pa.compute.is_in
        parts.append(
            {
                name: table.filter(inside(table["prompt_id"], pa.array(ids, "int32")))
                for name, table in whole.items()
            }
        )
    assert totals([rolled_up(part) for part in parts]) == totals([rolled_up(whole)])


def test_counts_below_the_cutoff_are_unknown() -> None:
    """A route was followed down to the cutoff only; at the cutoff it is known."""
    stats = rolled_up(made_up(range(4), seed=0), cutoff=0.02)
    assert stats["n_in_route_001"].null_count == stats.num_rows
    assert stats["n_in_route_002"].null_count == 0


def test_thresholds_are_strict_in_double() -> None:
    """0.04 as float32 is less than 0.04, 0.01 is more: as `survives_at > tau` says."""
    tables = made_up(range(1), seed=0)
    heads = [important(0, 0, i, survives_at=s) for i, s in enumerate([0.01, 0.04])]
    stats = rolled_up({**tables, "importance": rows("importance", *heads)})
    counted = {(r["layer"], r["component"], r["index"]): r for r in stats.to_pylist()}
    for index, tau, column in ((0, 0.01, "001"), (1, 0.04, "004")):
        expected = float(np.float32(tau)) > tau
        assert counted[0, "head", index][f"n_in_route_{column}"] == expected


def test_a_shard_without_targets_has_no_rows() -> None:
    """Such as one whose every prompt is in quarantine."""
    empty = {name: rows(name) for name in ("prompts", "targets", "importance")}
    assert rolled_up(empty).num_rows == 0


def test_sums_are_whole_numbers_on_disk() -> None:
    """int64 multiples of 2**-32, so that adding them in any order is exact."""
    tables = made_up(range(1), seed=0)
    one = rows("importance", important(0, 1, 2, contribution=0.25))
    stats = rolled_up({**tables, "importance": one})
    row = stats.filter(pa.compute.greater(stats["contribution_max"], 0)).to_pylist()
    assert [r["contribution_sum"] for r in row] == [FIXED_POINT // 4]
    assert [r["contribution_sum_sq"] for r in row] == [FIXED_POINT // 16]
