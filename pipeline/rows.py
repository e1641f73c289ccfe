"""Contributions of a batch as rows of the tables (DESIGN 3): arrays, never lists.

Every function gives columns by name; `as_table` makes them one table. Contributions
are rounded here, before anything is derived from them that is stored next to them
(DESIGN 2.8).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from flowglass.store.precision import round_mantissa
from flowglass.store.schema import TABLES

from .contributions import Step
from .settings import Precision

Columns = Mapping[str, Any]
Rounding = Callable[[NDArray[np.float32]], NDArray[np.float32]]

SOURCES = (
    "on_first",
    "on_self",
    "on_previous",
    "on_same_token",
    "on_after_same",
    "on_same_word",
    "on_delimiter",
)


def rounding(precision: Precision) -> Rounding:
    """The function that every stored contribution goes through."""
    return round_mantissa if precision == "rounded" else lambda values: values


def just_below(cutoff: float) -> float:
    """What may be rounded up to the cutoff is not below this."""
    return cutoff * (1 - 2**-7)


def as_table(name: str, parts: Sequence[Columns]) -> pa.Table:
    """The parts' columns one after another, in the table's own schema."""
    schema = TABLES[name].schema
    if not parts:
        return schema.empty_table()

    def column(field: pa.Field) -> pa.ChunkedArray:
        values = (part[field.name] for part in parts)
        arrays = [
            value if isinstance(value, pa.Array) else pa.array(value, field.type)
            for value in values
        ]
        return pa.chunked_array(arrays, field.type)

    return pa.table([column(field) for field in schema], schema=schema)


@dataclass(frozen=True, eq=False)
class Frame:
    """Which prompt, and which of its positions, each place in a batch is."""

    prompt_ids: NDArray[np.int32]
    """[batch]"""
    valid: Bool[Tensor, "batch position"]
    """False on padding."""

    @property
    def n_tokens(self) -> Int[Tensor, " batch"]:
        return self.valid.sum(1)


@dataclass(frozen=True, eq=False)
class EdgeColumns:
    """The stored parts of one kind in one step, one entry an edge."""

    layer: int
    step: str
    row: NDArray[np.int64]
    """The prompt's place in the batch."""
    kind: str
    head: NDArray[np.int16]
    """-1 where the kind has none."""
    query: NDArray[np.int32]
    key: NDArray[np.int32]
    contribution: NDArray[np.float32]
    """As stored: rounded."""
    attention: NDArray[np.float32]
    """NaN where the kind has none."""
    exact: NDArray[np.float32]
    """Before rounding."""

    def __len__(self) -> int:
        return len(self.row)


def stored_edges(
    step: Step,
    pattern: Float[Tensor, "batch head query key"],
    frame: Frame,
    *,
    layer: int,
    name: str,
    cutoff: float,
    round_: Rounding,
) -> list[EdgeColumns]:
    """The parts of a step whose stored contribution is at or above the cutoff."""
    floor = just_below(cutoff)
    found = []
    for kind, values in (("attn", step.attn), ("resid", step.resid), ("ffn", step.ffn)):
        if kind == "ffn" and not step.ffn.any():
            continue
        row, *head, query, key = _places(values, floor, frame)
        at = (row, *head, query, key) if head else (row, query)
        exact = values[at].float().cpu().numpy()
        rounded = round_(exact)
        keep = rounded.astype(np.float64) >= cutoff
        none = np.full(len(exact), np.nan, np.float32)
        found.append(
            EdgeColumns(
                layer=layer,
                step=name,
                row=row.cpu().numpy()[keep],
                kind=kind,
                head=(head[0] if head else torch.full_like(row, -1))
                .cpu()
                .numpy()[keep]
                .astype(np.int16),
                query=query.cpu().numpy()[keep].astype(np.int32),
                key=key.cpu().numpy()[keep].astype(np.int32),
                contribution=rounded[keep],
                attention=(pattern[at].float().cpu().numpy() if head else none)[keep],
                exact=exact[keep],
            )
        )
    return found


def _places(values: Tensor, floor: float, frame: Frame) -> tuple[Tensor, ...]:
    """Where parts of real positions are at or above the floor: (row, head, query, key),
    or (row, query, query) for parts without a head."""
    flat = (values >= floor).flatten()
    places = flat.nonzero()[:, 0]
    at = torch.unravel_index(places, values.shape)
    row, query, key = at[0], at[-2] if len(at) == 4 else at[-1], at[-1]
    inside = frame.valid[row, query] & (key <= query)
    return tuple(index[inside] for index in (row, *at[1:-2], query, key))


def edge_rows(edges: EdgeColumns, frame: Frame, round_: Rounding) -> Columns:
    """Rows of `edges`."""
    n = len(edges)
    no_head = edges.kind != "attn"
    return {
        "prompt_id": frame.prompt_ids[edges.row],
        "layer": np.full(n, edges.layer, np.int16),
        "step": pa.repeat(edges.step, n),
        "kind": pa.repeat(edges.kind, n),
        "head": np.ma.masked_array(edges.head, mask=no_head),
        "query": edges.query,
        "key": edges.key,
        "contribution": edges.contribution,
        "attention": np.ma.masked_array(round_(edges.attention), mask=no_head),
    }


def step_rows(
    step: Step,
    edges: Sequence[EdgeColumns],
    frame: Frame,
    *,
    layer: int,
    name: str,
    round_: Rounding,
) -> Columns:
    """Rows of `steps`: the exact totals by kind, and the mass that `edges` lacks."""
    valid = frame.valid.cpu().numpy()
    place = np.concatenate([e.row * valid.shape[1] + e.query for e in edges])
    exact_edges = np.concatenate([e.exact for e in edges])
    kept = np.bincount(place, exact_edges, valid.size).reshape(valid.shape)
    totals = {
        "resid": step.resid,
        "attn": step.attn.sum((1, 3)),
        "ffn": step.ffn,
        "bias": step.bias,
    }
    exact = {name: t.double().cpu().numpy() for name, t in totals.items()}
    below = exact["resid"] + exact["attn"] + exact["ffn"] - kept
    row, query = valid.nonzero()
    measures = {**exact, "below_cutoff": below.clip(0)}
    return {
        "prompt_id": frame.prompt_ids[row],
        "layer": np.full(len(row), layer, np.int16),
        "step": pa.repeat(name, len(row)),
        "query": query.astype(np.int32),
        **{
            key: round_(v[row, query].astype(np.float32)) for key, v in measures.items()
        },
    }


def source_masks(
    ids: Int[Tensor, "batch position"],
    words: Int[Tensor, "batch position"],
    delimiters: Bool[Tensor, "batch position"],
) -> Bool[Tensor, "batch query key source"]:
    """Which keys are of which kind of source (SOURCES), for every query.

    `words` is -1 for tokens outside any word.
    """
    n = ids.shape[1]
    query = torch.arange(n, device=ids.device)[:, None]
    key = torch.arange(n, device=ids.device)[None, :]
    same = ids[:, :, None] == ids[:, None, :]
    # after[b, i, j]: the token before key j is the query's token.
    after = same.roll(1, dims=2) & (key >= 1) & (key - 1 < query)
    same_word = (words[:, :, None] == words[:, None, :]) & (words[:, :, None] >= 0)
    everywhere = torch.ones_like(same)
    masks = (
        (key == 0) & everywhere,
        (key == query) & everywhere,
        (key == query - 1) & everywhere,
        same & (key < query),
        after,
        same_word & (key < query),
        delimiters[:, None, :] & everywhere,
    )
    return torch.stack(masks, dim=-1) & (key <= query)[..., None]


def source_weights(
    masks: Bool[Tensor, "batch query key source"], frame: Frame, dtype: torch.dtype
) -> Float[Tensor, "batch query*key 1+source"]:
    """What turns a head's map into its means over the real queries: of all sources
    together, and of each kind."""
    all_kinds = torch.cat([torch.ones_like(masks[..., :1]), masks], -1)
    share = frame.valid.to(dtype) / frame.n_tokens[:, None]
    return (all_kinds * share[:, :, None, None]).flatten(1, 2)


def head_rows(
    attn: Float[Tensor, "batch head query key"],
    sources: Float[Tensor, "batch query*key 1+source"],
    frame: Frame,
    *,
    layer: int,
) -> Columns:
    """Rows of `heads`: means over the prompt's queries, from the full tensor."""
    batch, heads = attn.shape[:2]
    means = (attn.flatten(2) @ sources).float().cpu().numpy()
    total, by_source = means[..., 0], means[..., 1:]
    return {
        "prompt_id": np.repeat(frame.prompt_ids, heads),
        "layer": np.full(batch * heads, layer, np.int16),
        "head": np.tile(np.arange(heads, dtype=np.int16), batch),
        "contribution": total.ravel(),
        **{name: by_source[..., i].ravel() for i, name in enumerate(SOURCES)},
    }
