"""Small made-up runs: a plan, and shards of two prompts with a few rows each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from flowglass.store.plan import Plan
from flowglass.store.rollup import component_stats
from flowglass.store.run import RunWriter
from flowglass.store.schema import TABLES

N_LAYERS, N_HEADS, PROMPTS_PER_SHARD = 2, 3, 2


def make_plan(run_id: str = "tiny", *, n_shards: int = 3, cutoff: float = 0.01) -> Plan:
    """A plan whose identity is its cutoff and the model."""
    return Plan(
        run_id=run_id,
        model="tiny-gpt2",
        model_hash="0123abcd",
        architecture="GPT2LMHeadModel",
        block_kind="sequential",
        n_layers=N_LAYERS,
        n_heads=N_HEADS,
        n_kv_heads=N_HEADS,
        d_model=12,
        d_ffn=48,
        vocab_size=100,
        dtype="float32",
        device="cpu",
        datasets=["ioi", "facts"],
        cutoff=cutoff,
        config={
            "identity": {"model_hash": "0123abcd", "settings": {"cutoff": cutoff}},
            "n_prompts": n_shards * PROMPTS_PER_SHARD,
        },
        versions={"flowglass": "0.1.0"},
        started_at="2026-01-02T03:04:05+00:00",
        n_shards=n_shards,
    )


def rows(table: str, *some: Mapping[str, Any]) -> pa.Table:
    """Rows of a table in its schema; columns that are left out are null."""
    return pa.Table.from_pylist(list(some), schema=TABLES[table].schema)


def prompt(prompt_id: int, **other: Any) -> dict[str, Any]:
    return {
        "prompt_id": prompt_id,
        "dataset": "ioi",
        "category": None,
        "text": f"prompt {prompt_id}",
        "prompt_hash": "ff",
        "n_tokens": 3,
        "closure": 1e-7,
        "metadata": "{}",
        **other,
    }


def target(prompt_id: int, position: int = 2) -> dict[str, Any]:
    return {
        "prompt_id": prompt_id,
        "target": position,
        "reason": "last",
        "predicted_token_id": 7,
        "predicted_token": " Mary",
        "predicted_prob": 0.5,
        "n_edges": 1,
    }


def edge(prompt_id: int, head: int | None) -> dict[str, Any]:
    return {
        "prompt_id": prompt_id,
        "layer": 0,
        "step": "attn",
        "kind": "resid" if head is None else "attn",
        "head": head,
        "query": 2,
        "key": 2 if head is None else 0,
        "contribution": 0.25,
        "attention": None if head is None else 0.5,
    }


def important(
    prompt_id: int,
    layer: int,
    index: int,
    *,
    component: str = "head",
    contribution: float = 0.25,
    survives_at: float = 0.25,
) -> dict[str, Any]:
    return {
        "prompt_id": prompt_id,
        "target": 2,
        "layer": layer,
        "component": component,
        "index": index,
        "contribution": contribution,
        "survives_at": survives_at,
    }


def prompt_ids(shard: int) -> range:
    return range(shard * PROMPTS_PER_SHARD, (shard + 1) * PROMPTS_PER_SHARD)


def shard_tables(shard: int) -> dict[str, pa.Table]:
    """Two prompts with two edges, a target and an important head each."""
    ids = prompt_ids(shard)
    tables = {
        "prompts": rows("prompts", *(prompt(i) for i in ids)),
        "targets": rows("targets", *(target(i) for i in ids)),
        "edges": rows("edges", *(edge(i, head) for i in ids for head in (None, 1))),
        "importance": rows("importance", *(important(i, 0, 1) for i in ids)),
    }
    tables["component_stats"] = component_stats(
        tables["prompts"],
        tables["targets"],
        tables["importance"],
        n_layers=N_LAYERS,
        n_heads=N_HEADS,
        cutoff=0.01,
    )
    return tables


def commit_shard(writer: RunWriter, shard: int) -> int:
    counts = {"n_prompts": PROMPTS_PER_SHARD, "n_tokens": 6, "n_quarantined": 0}
    return writer.commit(
        shard, shard_tables(shard), prompt_ids=prompt_ids(shard), info=counts
    )


def write_run(
    root: str | Path, plan: Plan, *, shards: range | None = None
) -> RunWriter:
    """A run with these shards committed, all of the plan's unless said."""
    writer = RunWriter(root, plan)
    for shard in shards if shards is not None else range(plan.n_shards):
        assert commit_shard(writer, shard)
    return writer
