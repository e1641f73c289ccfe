"""What the model predicts at each position (the measures of the table `tokens`)."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import factorial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .kernels import compiled, in_threads, pieces
from .ranking import leading, ranks

LOGITS_AT_ONCE = 2**22
"""Logits that are taken to the reductions' dtype together: 16 MB."""

IN_CACHE = 4096
"""Logits whose exponentials are added up in float32 before the next ones."""


SMALLEST = np.float32(-87)
"""exp of what is smaller is no normal float32; it adds nothing to a sum above 1."""

LOG2_E = np.float32(1.44269504)
HALF = np.float32(0.5)
LN_2 = np.float32(0.693359375)
LN_2_REST = np.float32(-2.12194440e-4)
SERIES = tuple(np.float32(1 / factorial(n)) for n in range(7, -1, -1))


@dataclass(frozen=True, eq=False)
class Prediction:
    """The next-token distribution at positions, summarised; natural logarithms."""

    top_id: Int[Tensor, "*position"]
    top_prob: Float[Tensor, "*position"]
    entropy: Float[Tensor, "*position"]
    due_logprob: Float[Tensor, "*position"]
    """Of the token that is asked about."""
    due_rank: Int[Tensor, "*position"]
    """0 is the likeliest; among equals the lowest token id comes first."""

    def map(self, change: Callable[[Tensor], Tensor]) -> "Prediction":
        """The prediction with every tensor changed by a function."""
        return Prediction(*(change(getattr(self, f.name)) for f in fields(self)))


def predict(
    logits: Float[Tensor, "position vocab"], due: Int[Tensor, " position"]
) -> Prediction:
    """Summarise the distributions, and the place of the token `due` in each."""
    rows = max(1, LOGITS_AT_ONCE // logits.shape[-1])
    parts = [
        _predict(some if some.dtype == torch.float64 else some.float(), token)
        for some, token in zip(logits.split(rows), due.split(rows), strict=True)
    ]
    return Prediction(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _predict(logits: Tensor, due: Tensor) -> tuple[Tensor, ...]:
    highest, top = leading(logits, 1)
    own = logits.gather(-1, due[:, None]) - highest
    in_loop = logits.is_cpu and logits.dtype == torch.float32
    total, weighted = (_sums_in_loop if in_loop else _sums)(logits, highest)
    return (
        top[:, 0],
        1 / total,
        total.log() - weighted / total,
        own[:, 0] - total.log(),
        ranks(logits, due[:, None])[:, 0],
    )


def _sums(logits: Tensor, highest: Tensor) -> tuple[Tensor, Tensor]:
    """The sums of exp(x) and of x exp(x), for x = logits - highest."""
    # The clamp is far below where exp underflows: it adds 0, not 0 * -inf.
    shifted = (logits - highest).clamp_min_(-1e4)
    weights = shifted.exp()
    return weights.sum(-1), torch.linalg.vecdot(weights, shifted)


def _sums_in_loop(logits: Tensor, highest: Tensor) -> tuple[Tensor, Tensor]:
    """The same in one pass over float32 logits, without what lies between."""
    sums = torch.empty(2, len(logits), dtype=torch.float32)
    given, top, out = logits.contiguous().numpy(), highest.numpy(), sums.numpy()
    loop = compiled(_sums_loop)

    def work(start: int, stop: int) -> None:
        some = slice(start, stop)
        loop(given[some], top[some, 0], out[:, some])

    in_threads(work, pieces(len(logits)))
    return sums[0], sums[1]


def _sums_loop(logits: Any, highest: Any, sums: Any) -> None:
    rows, vocab = logits.shape
    for row in range(rows):
        total, weighted = 0.0, 0.0
        for start in range(0, vocab, IN_CACHE):
            some = logits[row, start : min(start + IN_CACHE, vocab)]
            part = weighted_part = highest.dtype.type(0)
            for at in range(len(some)):
                x = max(some[at] - highest[row], SMALLEST)
                weight = _exp(x)
                part += weight
                weighted_part += weight * x
            total += part
            weighted += weighted_part
        sums[0, row], sums[1, row] = total, weighted


def _exp(x: Any) -> Any:
    """exp of a float32 between SMALLEST and 0, to 1e-7 where it counts in a sum:
    libraries' own is no vector code. 2**k times a series of the rest (Cody &
    Waite 1980)."""
    k = np.floor(x * LOG2_E + HALF)
    rest = (x - k * LN_2) - k * LN_2_REST
    series = SERIES[0]
    for term in SERIES[1:]:
        series = series * rest + term
    power = np.int32((np.int32(k) + np.int32(127)) << np.int32(23))
    return series * power.view(np.float32)
