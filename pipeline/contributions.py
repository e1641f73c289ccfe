"""CORE MATHS: how much each part contributes to the whole (DESIGN 2.2, 2.3).

1. `proximity`: by how much a part brings the whole nearer, in the L1 norm.
2. `attention_proximity`: the same for every (head, key) part of every query, without
   ever holding all parts.
3. `contributions`: proximities normalised over the parts of a step.
4. `closure`: whether the parts sum to the whole.

Ferrando & Voita 2024, Information Flow Routes, arXiv 2403.00824, section 2.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

ELEMENTS_AT_ONCE = 2**24
"""Floats of the largest intermediate of `attention_proximity` (64 MB in float32)."""


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


def attention_proximity(
    pattern: Float[Tensor, "batch head query key"],
    head_values: Float[Tensor, "batch head key d_model"],
    whole: Float[Tensor, "batch query d_model"],
) -> Float[Tensor, "batch head query key"]:
    """The proximity of every part `pattern[h, i, j] * head_values[h, j]` to `whole[i]`.

    Works on a few queries at a time, and only on the keys those can see. Keys after
    the query have a pattern of 0, so their proximity is exactly 0.
    """
    batch, heads, n_queries, n_keys = pattern.shape
    result = torch.zeros_like(pattern)
    per_query = max(1, batch * heads * n_keys * whole.shape[-1])
    rows = max(1, ELEMENTS_AT_ONCE // per_query)
    for first in range(0, n_queries, rows):
        queries = slice(first, min(first + rows, n_queries))
        keys = slice(0, queries.stop)
        goal = whole[:, None, queries, None]
        part = pattern[:, :, queries, keys, None] * head_values[:, :, None, keys]
        result[:, :, queries, keys] = proximity(part, goal)
    return result


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


def contributions(proximities: Step) -> Step:
    """Each part's share of the step's proximity.

    `resid`, `attn` and `ffn` sum to 1 at every query; `bias` is on the same scale but
    outside the sum. Where every proximity is 0, all of it goes to `resid`.
    """
    p = proximities
    total = p.resid + p.attn.sum((1, 3)) + p.ffn
    scale = torch.where(total > 0, 1 / total, 0)
    return Step(
        resid=torch.where(total > 0, p.resid * scale, 1),
        attn=p.attn * scale[:, None, :, None],
        ffn=p.ffn * scale,
        bias=p.bias * scale,
    )


def closure(
    parts: Float[Tensor, "batch query d_model"],
    whole: Float[Tensor, "batch query d_model"],
    *terms: Float[Tensor, "batch query d_model"],
) -> Float[Tensor, "batch query"]:
    """|sum of parts - whole|_1 over the largest |.|_1 of whole and `terms`; 0/0 is 0.

    `terms` are the residual input and the sublayer's write: where those cancel, the
    whole alone would exaggerate a rounding error.
    """
    error = (parts - whole).abs().sum(-1)
    size = torch.stack([t.abs().sum(-1) for t in (whole, *terms)]).amax(0)
    return torch.where(error == 0, 0, error / size)
