"""CORE MATHS: whether the parts of a step sum to the whole (DESIGN 2.3).

Summing a layer's neurons again costs as much as the model's own down projection, at
every position. So each prompt is looked at where it is worst:

1. The error is projected onto a few random vectors: `numbers @ (directions @ vectors)`
   costs next to nothing. The squared length of that sketch is the error's own on
   average, L2 (Johnson & Lindenstrauss 1984).
2. At the real positions with the largest sketches the parts are summed, and their
   closure is exact. An error that stands out is found: that 16 vectors of normal
   numbers all hide one a hundred times longer than the others' has a chance below
   1e-20.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SKETCH = 16
"""Random vectors."""

LOOKED_AT = 4
"""Positions of each prompt where the parts are summed."""

SAME = 1 + 1e-3
"""Closures this near to each other are one fault, seen in two steps: the first one is
named."""


@dataclass(frozen=True, eq=False)
class Product:
    """Parts that are multiples of few vectors: a number for each position and part."""

    numbers: Float[Tensor, "batch position part"]
    directions: Float[Tensor, "part d_model"]


def closure(
    parts: Float[Tensor, "batch position d_model"],
    whole: Float[Tensor, "batch position d_model"],
    *terms: Float[Tensor, "batch position d_model"],
    products: Sequence[Product] = (),
    valid: Bool[Tensor, "batch position"] | None = None,
) -> Float[Tensor, "batch position"]:
    """|sum of parts - whole|_1 over the largest |.|_1 of whole and `terms`; 0/0 is 0.

    `terms` are the residual input and the sublayer's write: where those cancel, the
    whole alone would exaggerate a rounding error. `parts` is the sum of those at hand;
    with `products` as well, only the worst of the `valid` positions are looked at (all
    are unless given), and others are 0.
    """
    sizes = [t.abs().sum(-1) for t in (whole, *terms)]
    size = torch.stack(sizes).amax(0)
    short = parts - whole
    if not products:
        return _relative(short, size)
    vectors = random_vectors(whole.shape[-1], whole.dtype, whole.device)
    sketch = short @ vectors
    for product in products:
        sketch = sketch + product.numbers @ (product.directions @ vectors)
    at = _largest(sketch, size, valid)
    row = torch.arange(len(at), device=at.device)[:, None]
    error = short[row, at]
    for product in products:
        error = error + product.numbers[row, at] @ product.directions
    return torch.zeros_like(size).scatter_(1, at, _relative(error, size[row, at]))


def _relative(error: Tensor, size: Tensor) -> Tensor:
    found = error.abs().sum(-1)
    return torch.where(found == 0, 0, found / size)


def _largest(sketch: Tensor, size: Tensor, valid: Tensor | None) -> Tensor:
    """The positions [batch, place] where an error is largest for its size; NaN is."""
    worth = torch.linalg.vector_norm(sketch, 2, -1) / size
    # 0/0: nothing is there. Any other NaN or infinity has to be looked at.
    worth = torch.where((sketch == 0).all(-1), 0, worth)
    count = min(LOOKED_AT, worth.shape[1])
    worth = worth.nan_to_num(nan=torch.inf)
    if valid is not None:
        worth = torch.where(valid, worth, -1)
    return worth.topk(count, dim=1).indices


@cache
def random_vectors(
    width: int, dtype: torch.dtype, device: torch.device
) -> Float[Tensor, "d_model sketch"]:
    """The same vectors of normal numbers on every call and device."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(width, SKETCH, generator=generator).to(device, dtype)
