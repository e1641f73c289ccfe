"""What the model predicts at each position (the measures of the table `tokens`)."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .ranking import leading, ranks

LOGITS_AT_ONCE = 2**18
"""On a CPU: a few rows that stay in the cache for all that is asked about them."""

LOGITS_ELSEWHERE = 2**26


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
    at_once = LOGITS_AT_ONCE if logits.is_cpu else LOGITS_ELSEWHERE
    rows = max(1, at_once // logits.shape[-1])
    parts = [
        _predict(some if some.dtype == torch.float64 else some.float(), token)
        for some, token in zip(logits.split(rows), due.split(rows), strict=True)
    ]
    return Prediction(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _predict(logits: Tensor, due: Tensor) -> tuple[Tensor, ...]:
    highest, top = leading(logits, 1)
    # The clamp is far below where exp underflows: it adds 0, not 0 * -inf.
    shifted = (logits - highest).clamp_min_(-1e4)
    weights = shifted.exp()
    total = weights.sum(-1)
    mean = torch.linalg.vecdot(weights, shifted) / total
    own = shifted.gather(-1, due[:, None])[:, 0]
    return (
        top[:, 0],
        1 / total,
        total.log() - mean,
        own - total.log(),
        ranks(logits, due[:, None])[:, 0],
    )
