"""Made-up prompts as rows of every table that a sweep with `--project none` writes.

As in a sweep: contributions are rounded, those below the cutoff dropped, and what was
dropped noted in `steps`; routes, importance and roll-ups come from store/.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from synthetic import CUTOFF, Copies
from synthetic_text import (
    attribution_columns,
    prompt_columns,
    target_columns,
    token_columns,
)

from flowglass.pipeline.rows import SOURCES, as_table
from flowglass.store.importance import importance
from flowglass.store.precision import round_mantissa
from flowglass.store.rollup import component_stats
from flowglass.store.routes import ATTN_STEP, FFN_STEP, RouteEdges, survives_at
from flowglass.store.schema import COMPONENTS, DEFAULT_TAU, KINDS, STEPS

ATTN, RESID, FFN = (KINDS.index(kind) for kind in ("attn", "resid", "ffn"))
Columns = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Parts:
    """Parts of all steps as parallel arrays."""

    prompt: NDArray[np.int64]
    layer: NDArray[np.int64]
    step: NDArray[np.int64]
    kind: NDArray[np.int64]
    head: NDArray[np.int64]
    """-1 where the kind has none."""
    query: NDArray[np.int64]
    key: NDArray[np.int64]
    exact: NDArray[np.float32]
    attention: NDArray[np.float32]
    """NaN where the kind has none."""


def shard_rows(
    copies: Copies, *, sources: Sequence[tuple[str, str]], words: NDArray[Any]
) -> dict[str, pa.Table]:
    """Every table; `sources` has each prompt's dataset and category, `words` every
    token's text."""
    totals = {
        ATTN_STEP: copies.all("attn", 1) * copies.gain[:, copies.prompt],
        FFN_STEP: copies.all("ffn", 1) * copies.gain[:, copies.prompt],
    }
    found = parts(copies, totals)
    rounded = round_mantissa(found.exact)
    kept = np.flatnonzero(rounded.astype(np.float64) >= CUTOFF)
    survives = survives_at(
        RouteEdges(
            layer=found.layer[kept],
            step=found.step[kept],
            query=(copies.first[found.prompt] + found.query)[kept],
            key=(copies.first[found.prompt] + found.key)[kept],
            contribution=rounded[kept].astype(np.float64),
        ),
        copies.first + copies.lengths - 1,
        n_layers=copies.shape.n_layers,
        n_positions=int(copies.lengths.sum()),
    )
    in_route = survives > CUTOFF
    route, route_survives = kept[in_route], survives[in_route]
    target = copies.lengths - 1
    shown = np.bincount(
        found.prompt[kept[survives > DEFAULT_TAU]], minlength=len(copies.ids)
    )
    neurons = neuron_columns(copies)
    columns: dict[str, Columns] = {
        "edges": _edge(found, kept, rounded, copies.ids)
        | {"attention": _attention(found, kept)},
        "steps": step_columns(copies, totals, found, kept),
        "heads": head_columns(copies),
        "routes": _edge(found, route, rounded, copies.ids)
        | {"target": target[found.prompt[route]], "survives_at": route_survives},
        "importance": importance_columns(found, route, rounded, route_survives, copies),
        "neurons": neurons,
        "logit_attribution": attribution_columns(copies, neurons),
        "tokens": token_columns(copies, words),
        "targets": {**target_columns(copies, words), "n_edges": shown},
        "prompts": prompt_columns(copies, words, sources),
    }
    tables = {name: as_table(name, [values]) for name, values in columns.items()}
    tables["component_stats"] = component_stats(
        tables["prompts"],
        tables["targets"],
        tables["importance"],
        n_layers=copies.shape.n_layers,
        n_heads=copies.shape.n_heads,
        cutoff=CUTOFF,
    )
    return tables


def parts(copies: Copies, totals: Mapping[int, NDArray[np.float32]]) -> Parts:
    """What attention brings, then the residual and the FFN of both steps."""
    prompt = np.repeat(
        np.arange(len(copies.prompts)), [len(p.layer) for p in copies.prompts]
    )
    layer = copies.all("layer")
    n_layers, n_tokens = totals[ATTN_STEP].shape
    at_layer = np.repeat(np.arange(n_layers), n_tokens)
    at_prompt, at = np.tile(copies.prompt, n_layers), np.tile(copies.position, n_layers)
    same = (
        (ATTN_STEP, RESID, 1 - totals[ATTN_STEP]),
        (FFN_STEP, RESID, 1 - totals[FFN_STEP]),
        (FFN_STEP, FFN, totals[FFN_STEP]),
    )
    n, m = len(layer), n_layers * n_tokens
    headless = np.full(len(same) * m, np.nan, np.float32)
    return Parts(
        prompt=np.concatenate([prompt, *[at_prompt] * 3]),
        layer=np.concatenate([layer, *[at_layer] * 3]),
        step=np.repeat([ATTN_STEP, *(s for s, _, _ in same)], [n, m, m, m]),
        kind=np.repeat([ATTN, *(k for _, k, _ in same)], [n, m, m, m]),
        head=np.concatenate([copies.all("head"), np.full(3 * m, -1)]),
        query=np.concatenate([copies.all("query"), *[at] * 3]),
        key=np.concatenate([copies.all("key"), *[at] * 3]),
        exact=np.concatenate(
            [
                copies.all("contribution") * copies.gain[layer, prompt],
                *(share.ravel() for _, _, share in same),
            ]
        ),
        attention=np.concatenate([copies.all("attention"), headless]),
    )


def _edge(
    found: Parts,
    rows: NDArray[np.int64],
    rounded: NDArray[np.float32],
    ids: NDArray[np.int32],
) -> dict[str, Any]:
    """What `edges` and `routes` both say of an edge."""
    return {
        "prompt_id": ids[found.prompt[rows]],
        "layer": found.layer[rows],
        "step": pa.array(STEPS).take(pa.array(found.step[rows])),
        "kind": pa.array(KINDS).take(pa.array(found.kind[rows])),
        "head": np.ma.masked_array(found.head[rows], mask=found.head[rows] < 0),
        "query": found.query[rows],
        "key": found.key[rows],
        "contribution": rounded[rows],
    }


def _attention(found: Parts, rows: NDArray[np.int64]) -> Any:
    values = round_mantissa(found.attention[rows])
    return np.ma.masked_array(values, mask=np.isnan(values))


def step_columns(
    copies: Copies,
    totals: Mapping[int, NDArray[np.float32]],
    found: Parts,
    kept: NDArray[np.int64],
) -> Columns:
    """Rows of `steps`."""
    n_layers, n_tokens = totals[ATTN_STEP].shape
    token = (copies.first[found.prompt] + found.query)[kept]
    place = (found.step[kept] * n_layers + found.layer[kept]) * n_tokens + token
    size = 2 * n_layers * n_tokens
    brought = np.stack([totals[ATTN_STEP], totals[FFN_STEP]])
    zeros = np.zeros_like(totals[ATTN_STEP])
    stored = np.bincount(place, found.exact[kept], size).reshape(brought.shape)
    bias = copies.rng.gamma(1.0, 0.02, brought.shape)
    bias[FFN_STEP] = 0
    measures = {
        "resid": 1 - brought,
        "attn": np.stack([totals[ATTN_STEP], zeros]),
        "ffn": np.stack([zeros, totals[FFN_STEP]]),
        "bias": bias,
        "below_cutoff": (1 - stored).clip(0),
    }
    step, layer = np.divmod(np.repeat(np.arange(2 * n_layers), n_tokens), n_layers)
    return {
        "prompt_id": np.tile(copies.ids[copies.prompt], 2 * n_layers),
        "layer": layer,
        "step": pa.array(STEPS).take(pa.array(step)),
        "query": np.tile(copies.position, 2 * n_layers),
        **{
            k: round_mantissa(v.ravel().astype(np.float32)) for k, v in measures.items()
        },
    }


def importance_columns(
    found: Parts,
    route: NDArray[np.int64],
    rounded: NDArray[np.float32],
    survives: NDArray[np.float64],
    copies: Copies,
) -> Columns:
    """Rows of `importance`."""
    sums = importance(
        target=found.prompt[route],
        layer=found.layer[route],
        kind=found.kind[route],
        head=found.head[route],
        contribution=rounded[route].astype(np.float64),
        survives_at=survives,
    )
    return {
        "prompt_id": copies.ids[sums.target],
        "target": copies.lengths[sums.target] - 1,
        "layer": sums.layer,
        "component": pa.array(COMPONENTS).take(pa.array(sums.component)),
        "index": sums.index,
        "contribution": round_mantissa(sums.contribution.astype(np.float32)),
        "survives_at": sums.survives_at,
    }


def head_columns(copies: Copies) -> Columns:
    """Rows of `heads`."""
    values = np.stack([p.sources for p in copies.prompts], 1)
    values *= copies.gain[:, :, None, None]
    layer, prompt, head = (i.ravel() for i in np.indices(values.shape[:3]))
    return {
        "prompt_id": copies.ids[prompt],
        "layer": layer,
        "head": head,
        "contribution": values[..., 0].ravel(),
        **{name: values[..., 1 + i].ravel() for i, name in enumerate(SOURCES)},
    }


def neuron_columns(copies: Copies) -> Columns:
    """Rows of `neurons`."""
    neuron = copies.all("neurons", 1)
    exact = copies.all("neuron_shares", 1) * copies.gain[:, copies.prompt, None]
    share = round_mantissa(exact.astype(np.float32))
    stored = (neuron >= 0) & (share.astype(np.float64) >= CUTOFF)
    layer, token, rank = stored.nonzero()
    activation = np.exp(copies.rng.normal(0.6, 0.7, len(layer)))
    return {
        "prompt_id": copies.ids[copies.prompt[token]],
        "layer": layer,
        "position": copies.position[token],
        "rank": rank,
        "expert": pa.nulls(len(layer), pa.int16()),
        "neuron": neuron[stored],
        "contribution": share[stored],
        "activation": round_mantissa(activation.astype(np.float32)),
    }
