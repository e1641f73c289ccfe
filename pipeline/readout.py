"""CORE MATHS: from the residual stream to the vocabulary (DESIGN 2.6, 2.7).

logits = cap(scale_u * (W_U norm(x) + b_u)), and norm(x) = s(x) * D x + bias, where D is
linear (linear_norm.py). So W_U D x adds up over the writes that x is the sum of, and
only the scale s belongs to one state:

1. logit lens of a state x: its own scale, s(x), and every bias;
2. scores of a write w at a position: the scale of the final state there, no bias. Over
   all writes and the constant part they add up to the logit before the softcap.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .linear_norm import LinearNorm


@dataclass(frozen=True, eq=False)
class Readout:
    """What turns a model's last state into its logits."""

    norm: LinearNorm
    normalise: Callable[[Tensor], Tensor]
    """The final norm itself."""
    w_u: Float[Tensor, "vocab d_model"]
    b_u: Float[Tensor, " vocab"]
    logit_scale: float
    softcap: float | None

    def scale_at(self, state: Float[Tensor, "*row d_model"]) -> Float[Tensor, "*row"]:
        """The scale of the final norm at each state."""
        return self.norm.scale(state, self.normalise(state))

    @cached_property
    def constant(self) -> Float[Tensor, " vocab"]:
        """What the final norm's bias and the unembedding's add to each logit."""
        return (self.norm.bias @ self.w_u.T + self.b_u) * self.logit_scale

    def raw(self, vectors: Float[Tensor, "row d_model"]) -> Float[Tensor, "row vocab"]:
        """Vectors through gain and unembedding, without any scale or bias: additive."""
        return (self.norm.direction(vectors) * self.logit_scale) @ self.w_u.T

    def lens(
        self, raw: Float[Tensor, "row vocab"], scale: Float[Tensor, " row"]
    ) -> Float[Tensor, "row vocab"]:
        """The logits of states, from their `raw` and `scale_at`."""
        return self.capped(torch.addcmul(self.constant, raw, scale[:, None]))

    def capped(self, logits: Tensor) -> Tensor:
        """Logits as the model gives them: softcapped where it does so."""
        if self.softcap is None:
            return logits
        return torch.tanh(logits / self.softcap) * self.softcap

    def towards(
        self, token_ids: Int[Tensor, " row"], scale: Float[Tensor, " row"]
    ) -> Float[Tensor, "row d_model"]:
        """The vector whose dot product with a write is the write's score for a token.

        `scale` is the final state's, see `scale_at`.
        """
        direction = self.norm.adjoint(self.w_u[token_ids])
        return direction * (scale * self.logit_scale)[:, None]
