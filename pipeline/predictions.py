"""What the model predicts at each position (the measures of the table `tokens`)."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .ranking import leading, ranks

LOGITS_AT_ONCE = 2**22
"""Logits that are taken to the reductions' dtype together: 16 MB."""

LOGITS_IN_CACHE = 2**18
"""Of them, those that the exponentials are taken of together."""


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
    rows = max(1, LOGITS_IN_CACHE // logits.shape[-1])
    if not logits.is_cpu:
        rows = len(logits)
    sums = [
        _exponential_sums(*some)
        for some in zip(logits.split(rows), highest.split(rows), strict=True)
    ]
    total, weighted = (torch.cat(column) for column in zip(*sums, strict=True))
    return (
        top[:, 0],
        1 / total,
        total.log() - weighted / total,
        own[:, 0] - total.log(),
        ranks(logits, due[:, None])[:, 0],
    )


def _exponential_sums(logits: Tensor, highest: Tensor) -> tuple[Tensor, Tensor]:
    """The sums of exp(x) and of x exp(x), for x = logits - highest."""
    # The clamp is far below where exp underflows: it adds 0, not 0 * -inf.
    shifted = (logits - highest).clamp_min_(-1e4)
    weights = shifted.exp()
    return weights.sum(-1), torch.linalg.vecdot(weights, shifted)
