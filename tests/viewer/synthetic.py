"""A made-up sweep with plausible numbers: every table the viewer reads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flowglass.store.precision import round_mantissa
from flowglass.store.routes import RouteEdges, survives_at
from flowglass.store.run import Plan, RunWriter
from flowglass.store.schema import DEFAULT_TAU, STEPS, TABLES

Row = dict[str, Any]
MADE = ("prompts", "tokens", "edges", "targets", "routes")

NAMES = ("Mary", "John", "Alice", "Tom", "Zoë")
CITIES = {"France": "Paris", "Italy": "Rome", "Japan": "Tokyo", "Peru": "Lima"}
CUTOFF = 0.01


@dataclass(frozen=True)
class Shape:
    """The made-up model's shape."""

    layers: int = 4
    heads: int = 4
    parallel: bool = False
    cutoff: float = CUTOFF
    started_at: str = "2026-03-01T09:05:00.000000+00:00"


@dataclass(frozen=True)
class MadeUpPrompt:
    """One prompt before any numbers."""

    prompt_id: int
    dataset: str
    category: str | None
    tokens: tuple[str, ...]
    answer: str | None

    @property
    def text(self) -> str:
        return "".join(self.tokens[1:])


def make_prompt(prompt_id: int, *, length: int | None = None) -> MadeUpPrompt:
    """The n-th prompt: indirect objects, capitals, and free text without an answer."""
    rng = np.random.default_rng(prompt_id)
    if length is not None:
        return MadeUpPrompt(prompt_id, "stories", None, _story(rng, length), None)
    kind = prompt_id % 3
    if kind == 0:
        a, b = rng.permutation(NAMES)[:2]
        text = f" When {a} and {b} went to the store , {b} gave a drink to"
        return _of_text(prompt_id, "ioi", "ABB", text, str(a))
    if kind == 1:
        country = str(rng.choice(list(CITIES)))
        text = f" The capital of {country} is"
        return _of_text(prompt_id, "facts", "capital", text, CITIES[country])
    return MadeUpPrompt(prompt_id, "stories", None, _story(rng, 9), None)


def _of_text(
    prompt_id: int, dataset: str, category: str, text: str, answer: str
) -> MadeUpPrompt:
    words = tuple(" " + word for word in text.split())
    return MadeUpPrompt(prompt_id, dataset, category, ("<s>", *words), answer)


def _story(rng: np.random.Generator, length: int) -> tuple[str, ...]:
    words = " After the storm Mary walk ed to the harbour ,\n\n and <b>saw</b> the old"
    pieces = [" " + w for w in words.split(" ") if w]
    pieces = [p.removeprefix(" ") if p.strip() in ("ed", ",") else p for p in pieces]
    start = int(rng.integers(len(pieces)))
    return ("<s>", *(pieces[(start + i) % len(pieces)] for i in range(length - 1)))


def make_edges(n_positions: int, shape: Shape, *, seed: int) -> list[Row]:
    """Edges at or above the cutoff; the parts of each (layer, step, query) sum to 1."""
    rng = np.random.default_rng(seed)
    busy = rng.gamma(0.7, 1.0, n_positions)  # some positions are written to a lot
    rows = []
    for layer in range(shape.layers):
        for query in range(n_positions):
            attended = min(0.7, 0.1 + 0.4 * busy[query] * rng.beta(2, 3))
            pattern, attn = make_attention(rng, query, shape.heads, attended)
            ffn = min(0.8, rng.beta(1.4, 6) * (2 if layer == 0 else 1))
            if shape.parallel:
                parts = {"block": (attn * (1 - ffn), ffn)}
            else:
                parts = {"attn": (attn, 0.0), "ffn": (0 * attn, ffn)}
            for step, (heads, pushed) in parts.items():
                at = {"layer": layer, "step": step, "query": query}
                rows += step_rows(at, pattern, heads, ffn=pushed)
    exact = np.array([row["contribution"] for row in rows], dtype=np.float32)
    for row, stored in zip(rows, round_mantissa(exact).tolist(), strict=True):
        row["contribution"] = stored  # rounded as a sweep does
    return [row for row in rows if row["contribution"] >= shape.cutoff]


def make_attention(
    rng: np.random.Generator, query: int, heads: int, attended: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities and contributions, [head, key]; the latter sum to `attended`."""
    logits = rng.normal(0, 3.2, (heads, query + 1))
    logits -= 0.02 * np.arange(query, -1, -1)
    pattern = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pattern, attended * pattern * rng.dirichlet(np.full(heads, 0.4))[:, None]


def step_rows(
    at: Row,
    pattern: NDArray[np.float64],
    heads: NDArray[np.float64],
    *,
    ffn: float,
) -> list[Row]:
    """The edges into one state; the residual stream brings the rest."""
    resid = 1 - ffn - heads.sum()
    own = {**at, "head": None, "key": at["query"], "attention": None}
    rows = [{**own, "kind": "resid", "contribution": resid}]
    if ffn:
        rows.append({**own, "kind": "ffn", "contribution": ffn})
    for head, key in np.argwhere(heads > 0.9 * CUTOFF).tolist():
        part = {"kind": "attn", "head": head, "key": key}
        measured = {"contribution": heads[head, key], "attention": pattern[head, key]}
        rows.append({**at, **part, **measured})
    return rows


def make_tokens(prompt: MadeUpPrompt) -> dict[str, list[Any]]:
    """The rows of `tokens` but for prompt_id."""
    rng = np.random.default_rng(prompt.prompt_id + 10_000)
    size = len(prompt.tokens)
    top = [*prompt.tokens[1:], " " + (prompt.answer or "end")]
    if rng.random() < 0.35:
        top[-1] = " the"
    starts = np.concatenate([[0], np.cumsum([len(t) for t in prompt.tokens[1:]])])
    known = lambda values: [None, *values]  # noqa: E731  # null for the start token
    return {
        "position": list(range(size)),
        "token_id": [_id(token) for token in prompt.tokens],
        "token": list(prompt.tokens),
        "word": known(range(size - 1)),
        "char_start": known(starts[:-1].tolist()),
        "char_end": known(starts[1:].tolist()),
        "is_special": [True] + [False] * (size - 1),
        "logprob": known((-rng.gamma(1, 2, size - 1)).tolist()),
        "rank": known(rng.integers(0, 50, size - 1).tolist()),
        "entropy": rng.gamma(2, 1, size).tolist(),
        "top_token_id": [_id(token) for token in top],
        "top_token": top,
        "top_prob": rng.beta(2, 3, size).tolist(),
    }


def _id(token: str) -> int:
    return int(hashlib.sha256(token.encode()).hexdigest()[:4], 16)


def make_target(prompt: MadeUpPrompt, tokens: dict[str, list[Any]]) -> dict[str, Any]:
    """The row of `targets` for the last position, but for n_edges."""
    due = None if prompt.answer is None else " " + prompt.answer
    correct = None if due is None else tokens["top_token"][-1] == due
    probability = tokens["top_prob"][-1]
    return {
        "prompt_id": prompt.prompt_id,
        "target": len(prompt.tokens) - 1,
        "reason": "last",
        "predicted_token_id": tokens["top_token_id"][-1],
        "predicted_token": tokens["top_token"][-1],
        "predicted_prob": probability,
        "answer_token_id": None if due is None else _id(due),
        "answer_prob": None if due is None else probability * (1 if correct else 0.1),
        "answer_rank": None if due is None else (0 if correct else 7),
        "distractor_token_id": None,
        "distractor_prob": None,
        "correct": correct,
    }


def make_prompt_row(prompt: MadeUpPrompt) -> dict[str, Any]:
    """The row of `prompts`."""
    return {
        "prompt_id": prompt.prompt_id,
        "dataset": prompt.dataset,
        "category": prompt.category,
        "text": prompt.text,
        "prompt_hash": hashlib.sha256(prompt.text.encode()).hexdigest(),
        "n_tokens": len(prompt.tokens),
        "answer": prompt.answer,
        "distractor": None,
        "closure": 1e-6,
        "metadata": "{}",
    }


def rows_of(prompts: Sequence[MadeUpPrompt], shape: Shape) -> dict[str, list[Row]]:
    """Rows by table: prompts, tokens, edges, targets and routes."""
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
        ):
            found[name] += [{"prompt_id": prompt.prompt_id, **row} for row in rows]
    return found


def _rows(columns: dict[str, list[Any]]) -> list[Row]:
    names = columns.keys()
    return [
        dict(zip(names, values, strict=True))
        for values in zip(*columns.values(), strict=True)
    ]


def make_routes(
    edges: list[Row], target: int, n_positions: int, shape: Shape
) -> list[Row]:
    """The rows of `routes` but for prompt_id, by the store's own pass."""
    survives = survives_at(
        RouteEdges(
            layer=np.array([row["layer"] for row in edges]),
            step=np.array([STEPS.index(row["step"]) for row in edges]),
            query=np.array([row["query"] for row in edges]),
            key=np.array([row["key"] for row in edges]),
            contribution=np.array([row["contribution"] for row in edges]),
        ),
        np.array([target]),
        n_layers=shape.layers,
        n_positions=n_positions,
    )
    return [
        {
            **{key: value for key, value in row.items() if key != "attention"},
            "target": target,
            "survives_at": float(value),
        }
        for row, value in zip(edges, survives, strict=True)
        if value > shape.cutoff
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
    root: Path,
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
    rows = rows_of(prompts, shape)
    writer.commit(
        shard,
        {
            name: pa.Table.from_pylist(
                sorted(found, key=lambda row: _order(row, TABLES[name].sort)),
                schema=TABLES[name].schema,
            )
            for name, found in rows.items()
        },
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
