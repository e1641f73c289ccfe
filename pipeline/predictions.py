"""What the model predicts at each position (the measures of the table `tokens`)."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

LOGITS_AT_ONCE = 2**24


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
    logprobs = logits.log_softmax(-1)
    probs = logprobs.exp()
    # A probability that underflows to 0 adds 0, not 0 * -inf.
    entropy = -(probs * logprobs.clamp_min(torch.finfo(logprobs.dtype).min)).sum(-1)
    top = logits.argmax(-1)
    own = logits.gather(-1, due[:, None])
    ids = torch.arange(logits.shape[-1], device=logits.device)
    before: Bool[Tensor, "position vocab"] = (logits > own) | (
        (logits == own) & (ids < due[:, None])
    )
    return (
        top,
        probs.gather(-1, top[:, None])[:, 0],
        entropy,
        logprobs.gather(-1, due[:, None])[:, 0],
        before.sum(-1),
    )
