"""A store of one shard whose rows a test writes out."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from flowglass.store import open_store
from flowglass.store.plan import Plan
from flowglass.store.rollup import component_stats
from flowglass.store.run import RunWriter

from .builders import rows

Rows = list[dict[str, Any]]


def write(root: Path, plan: Plan, **tables: Rows) -> None:
    """A run of one shard with these rows, and `component_stats` that follow."""
    made: dict[str, pa.Table] = {
        name: rows(name, *some) for name, some in tables.items()
    }
    prompts = made["prompts"]
    made["component_stats"] = component_stats(
        prompts,
        made.setdefault("targets", rows("targets")),
        made.get("importance", rows("importance")),
        n_layers=plan.n_layers,
        n_heads=plan.n_heads,
        cutoff=plan.cutoff,
    )
    ids = prompts["prompt_id"].to_pylist()
    info = {"n_prompts": len(ids), "n_tokens": 3 * len(ids), "n_quarantined": 0}
    assert RunWriter(root, plan).commit(0, made, prompt_ids=ids, info=info)


def found(root: Path, query: str) -> list[tuple[Any, ...]]:
    with open_store(root) as store:
        return store.sql(query).fetchall()
