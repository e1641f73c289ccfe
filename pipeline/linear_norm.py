"""CORE MATHS: a norm with its scale taken out is a linear map (DESIGN 2.1, 2.6).

norm(x) = s(x) * D x + bias, where D is linear: centring (LayerNorm) or not (RMSNorm),
then the gain. The scale s is one number for each state, frozen at the value it had; so
D adds up over the writes that x is the sum of.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class LinearNorm:
    """A norm with its scale taken out: norm(x) = s(x) * direction(x) + bias."""

    gain: Float[Tensor, " d_model"]
    bias: Float[Tensor, " d_model"]
    centred: bool

    def direction(
        self, z: Float[Tensor, "*row d_model"]
    ) -> Float[Tensor, "*row d_model"]:
        """D z: centred where the norm centres, times the gain."""
        return (z - z.mean(-1, keepdim=True) if self.centred else z) * self.gain

    def adjoint(
        self, u: Float[Tensor, "*row d_model"]
    ) -> Float[Tensor, "*row d_model"]:
        """D^T u, so that u . D z = D^T u . z for every z."""
        scaled = u * self.gain
        return scaled - scaled.mean(-1, keepdim=True) if self.centred else scaled

    def scale(
        self,
        state: Float[Tensor, "*row d_model"],
        normed: Float[Tensor, "*row d_model"],
    ) -> Float[Tensor, "*row"]:
        """s(state), the one number for which s * direction(state) + bias = normed."""
        along = self.direction(state)
        size = along.square().sum(-1)
        share = ((normed - self.bias) * along).sum(-1)
        return torch.where(size > 0, share / size, 0)

    def to(self, like: Tensor) -> "LinearNorm":
        """The same norm in the dtype and on the device of a tensor."""
        return replace(self, gain=self.gain.to(like), bias=self.bias.to(like))


def no_norm(zeros: Float[Tensor, "1 d_model"]) -> LinearNorm:
    """The identity, for a model that reads its last state as it is."""
    return LinearNorm(torch.ones_like(zeros[0]), zeros[0], centred=False)


def through(
    norms: Iterable[LinearNorm], z: Float[Tensor, "*row d_model"]
) -> Float[Tensor, "*row d_model"]:
    """z through the directions of several norms, the first one first."""
    for norm in norms:
        z = norm.to(z).direction(z)
    return z
