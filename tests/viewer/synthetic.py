"""A made-up sweep with plausible numbers: every table the viewer reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from flowglass.store.importance import importance
from flowglass.store.rollup import component_stats
from flowglass.store.run import Plan, RunWriter
from flowglass.store.schema import COMPONENTS, DEFAULT_TAU, KINDS, TABLES

from .synthetic_corpus import MadeUpPrompt, make_prompt_row, make_target, make_tokens
from .synthetic_flow import Row, Shape, make_edges, make_routes

MADE = ("prompts", "tokens", "edges", "targets", "routes", "importance")


def rows_of(prompts: Sequence[MadeUpPrompt], shape: Shape) -> dict[str, list[Row]]:
    """Rows by table: those of `MADE`."""
    found: dict[str, list[Row]] = {name: [] for name in MADE}
    for prompt in prompts:
        tokens = make_tokens(prompt)
        target = make_target(prompt, tokens)
        edges = make_edges(len(prompt.tokens), shape, seed=prompt.prompt_id)
        routes = make_routes(edges, target["target"], len(prompt.tokens), shape)
        target["n_edges"] = sum(row["survives_at"] > DEFAULT_TAU for row in routes)
        found["prompts"].append(make_prompt_row(prompt))
        for name, rows in (
            ("targets", [target]),
            ("tokens", _rows(tokens)),
            ("edges", edges),
            ("routes", routes),
            ("importance", importance_of(routes, target["target"])),
        ):
            found[name] += [{"prompt_id": prompt.prompt_id, **row} for row in rows]
    return found


def importance_of(routes: list[Row], target: int) -> list[Row]:
    """The rows of `importance` but for prompt_id, by the store's own sums."""
    found = importance(
        target=np.full(len(routes), target),
        layer=np.array([row["layer"] for row in routes]),
        kind=np.array([KINDS.index(row["kind"]) for row in routes]),
        head=np.array([row["head"] or 0 for row in routes]),
        contribution=np.array([row["contribution"] for row in routes]),
        survives_at=np.array([row["survives_at"] for row in routes]),
    )
    columns = {name: values.tolist() for name, values in vars(found).items()}
    columns["component"] = [COMPONENTS[place] for place in columns["component"]]
    return _rows(columns)


def _rows(columns: dict[str, list[Any]]) -> list[Row]:
    names = columns.keys()
    return [
        dict(zip(names, values, strict=True))
        for values in zip(*columns.values(), strict=True)
    ]


def plan_of(run_id: str, shape: Shape, *, n_prompts: int, n_shards: int) -> Plan:
    """The plan of a made-up sweep."""
    return Plan(
        run_id=run_id,
        model=run_id.rsplit("-", 1)[0],
        model_hash="0" * 64,
        architecture="GPT2LMHeadModel",
        block_kind="parallel" if shape.parallel else "sequential",
        n_layers=shape.layers,
        n_heads=shape.heads,
        n_kv_heads=shape.heads,
        d_model=64,
        d_ffn=256,
        vocab_size=65536,
        dtype="float32",
        device="cpu",
        datasets=["ioi", "facts", "stories"],
        cutoff=shape.cutoff,
        config={"identity": {"run": run_id}, "n_prompts": n_prompts},
        versions={},
        started_at=shape.started_at,
        n_shards=n_shards,
    )


def write_run(
    root: str | Path,
    run_id: str,
    prompts: Sequence[MadeUpPrompt],
    shape: Shape,
    *,
    per_shard: int = 16,
    unfinished: int = 0,
) -> None:
    """Commit a run as a sweep would, but for its last `unfinished` shards."""
    shards = [prompts[i : i + per_shard] for i in range(0, len(prompts), per_shard)]
    plan = plan_of(run_id, shape, n_prompts=len(prompts), n_shards=len(shards))
    writer = RunWriter(root, plan)
    for shard, part in enumerate(shards[: len(shards) - unfinished]):
        commit_shard(writer, shard, part, shape)


def commit_shard(
    writer: RunWriter, shard: int, prompts: Sequence[MadeUpPrompt], shape: Shape
) -> None:
    """Commit one shard's tables."""
    tables = {
        name: pa.Table.from_pylist(
            sorted(found, key=lambda row: _order(row, TABLES[name].sort)),
            schema=TABLES[name].schema,
        )
        for name, found in rows_of(prompts, shape).items()
    }
    tables["component_stats"] = component_stats(
        tables["prompts"],
        tables["targets"],
        tables["importance"],
        n_layers=shape.layers,
        n_heads=shape.heads,
        cutoff=shape.cutoff,
    )
    writer.commit(
        shard,
        tables,
        prompt_ids=[prompt.prompt_id for prompt in prompts],
        info={
            "n_prompts": len(prompts),
            "n_tokens": sum(len(prompt.tokens) for prompt in prompts),
            "n_quarantined": 0,
        },
    )


def _order(row: Row, columns: tuple[str, ...]) -> tuple[Any, ...]:
    """A row's place in its table's order, nulls first."""
    return tuple(-1 if row[name] is None else row[name] for name in columns)
