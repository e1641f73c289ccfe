"""CORE MATHS: how much each part contributes to the whole (DESIGN 2.2, 2.3).

1. `proximity`: by how much a part brings the whole nearer, in the L1 norm.
2. `proximities_of_multiples`: the same for parts that are multiples of few vectors, as
   the heads' and the neurons' are, without ever holding all parts.
3. `contributions`: proximities normalised over the parts of a step.

Ferrando & Voita 2024, Information Flow Routes, arXiv 2403.00824, section 2.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

TILE_ON_CPU = 2**18
"""Floats of the intermediates below, of which a handful are alive: they stay in the
cache."""

TILE_ELSEWHERE = 2**25


def proximity(
    part: Float[Tensor, "*positions d_model"],
    whole: Float[Tensor, "*positions d_model"],
) -> Float[Tensor, "*positions"]:
    """max(0, |whole|_1 - |whole - part|_1), in the unit of the residual stream.

    Summed coordinate by coordinate: the difference of the two norms would cancel.

    >>> proximity(torch.tensor([1.0, -2.0]), torch.tensor([3.0, -1.0]))
    tensor(1.)
    """
    return (whole.abs() - (whole - part).abs()).sum(-1).clamp_min(0)


def proximities_of_multiples(
    coefficient: Float[Tensor, "batch head query key"],
    vectors: Float[Tensor, "batch head key d_model"],
    whole: Float[Tensor, "batch query d_model"],
    *,
    causal: bool,
    tile: int | None = None,
    of_tile: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
) -> Float[Tensor, "batch head query key"]:
    """The proximity of every part `coefficient[h, i, j] * vectors[h, j]` to `whole[i]`.

    Works on about `tile` floats at a time, with `of_tile` (`all_proximities` unless
    given). With `causal` only on the keys that a tile's queries can see: those after
    the query must have a coefficient of 0.
    """
    of_tile = of_tile or all_proximities
    batch, heads, n_queries, n_keys = coefficient.shape
    tile = tile or (TILE_ON_CPU if coefficient.is_cpu else TILE_ELSEWHERE)
    width = whole.shape[-1]
    keys_at_once = min(n_keys, max(1, tile // width))
    per_query = keys_at_once * width
    heads_at_once = min(heads, max(1, tile // (per_query * n_queries)))
    queries_at_once = max(1, tile // (per_query * heads_at_once))
    prompts_at_once = max(1, tile // (per_query * n_queries * heads))
    result = torch.zeros_like(coefficient)
    for b, h, q, k in product(
        range(0, batch, prompts_at_once),
        range(0, heads, heads_at_once),
        range(0, n_queries, queries_at_once),
        range(0, n_keys, keys_at_once),
    ):
        some = slice(b, b + prompts_at_once)
        head = slice(h, h + heads_at_once)
        query = slice(q, q + queries_at_once)
        key = slice(k, min(k + keys_at_once, query.stop if causal else n_keys))
        result[some, head, query, key] = of_tile(
            coefficient[some, head, query, key],
            vectors[some, head, key],
            whole[some, query],
        )
    return result


def all_proximities(
    coefficient: Float[Tensor, "batch head query key"],
    vectors: Float[Tensor, "batch head key d_model"],
    whole: Float[Tensor, "batch query d_model"],
) -> Float[Tensor, "batch head query key"]:
    """`proximities_of_multiples` at once: one float for every coordinate of every part,
    unless a compiler fuses the sum."""
    part = coefficient[..., None] * vectors[:, :, None]
    return proximity(part, whole[:, None, :, None])


@dataclass(frozen=True, eq=False)
class Step:
    """One number for each part of one step: its proximity, or its contribution.

    A step without attention has no heads (`attn` is [batch, 0, query, key]); one
    without an FFN or a bias has zeros there.
    """

    resid: Float[Tensor, "batch query"]
    attn: Float[Tensor, "batch head query key"]
    ffn: Float[Tensor, "batch query"]
    bias: Float[Tensor, "batch query"]

    def map(self, change: Callable[[Tensor], Tensor]) -> "Step":
        """The step with every tensor changed by a function."""
        return Step(*(change(getattr(self, field.name)) for field in fields(self)))


def share_of(total: Float[Tensor, "*step"]) -> Float[Tensor, "*step"]:
    """What turns a proximity into a share of the total; 0 where no part has any."""
    return torch.where(total > 0, 1 / total, 0)


def contributions(proximities: Step) -> Step:
    """Each part's share of the step's proximity.

    `resid`, `attn` and `ffn` sum to 1 at every query; `bias` is on the same scale but
    outside the sum. Where every proximity is 0, all of it goes to `resid`.
    """
    p = proximities
    total = p.resid + p.attn.sum((1, 3)) + p.ffn
    scale = share_of(total)
    return Step(
        resid=torch.where(total > 0, p.resid * scale, 1),
        attn=p.attn * scale[:, None, :, None],
        ffn=p.ffn * scale,
        bias=p.bias * scale,
    )
