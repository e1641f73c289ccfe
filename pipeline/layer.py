"""What one layer did in one forward pass, and the weights that its parts are made of.

Every part is a number of the prediction times a fixed vector. What stands between a
sublayer and the stream is split accordingly: a norm behind it or in it is linear but
for its scale, so gains and centring are folded into the weights, and scales and
multipliers into the numbers. Only a gate between attention and W_O stays apart.

Captures hold float32, or float64 if the model runs in float64, and so do weights when
they are asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from .linear_norm import LinearNorm, through

SHARED = -1
"""The number of a shared expert."""


@dataclass(frozen=True, eq=False)
class AttentionCapture:
    """One layer's attention at work."""

    pattern: Float[Tensor, "batch head query key"]
    """The probabilities."""
    coefficient: Float[Tensor, "batch head query key"]
    """The pattern, times what scales a head's output on its way into the stream."""
    value: Float[Tensor, "batch head key d_head"]
    """As the attention used it, repeated to query heads."""
    gate: Float[Tensor, "#batch #query #head #d_head"]
    """What heads' outputs are multiplied by before W_O; a single 1 without a gate."""
    scale: Float[Tensor, "batch query"]
    """What W_O's output is multiplied by on its way into the stream."""
    constant: Float[Tensor, "batch query d_model"]
    """What the biases of norms behind the attention add to the stream."""
    write: Float[Tensor, "batch query d_model"]
    """The whole write, as the model computed it."""

    @property
    def gated(self) -> bool:
        return self.gate.numel() > 1


@dataclass(frozen=True, eq=False)
class BankCapture:
    """One bank of neurons at work: a token uses the neurons of its slots' experts."""

    activation: Float[Tensor, "batch position slot neuron"]
    """What the down projection is multiplied by."""
    expert: Int[Tensor, "batch position slot"]
    """Ascending within a token; 0 where the bank is no mixture."""
    weight: Float[Tensor, "batch position slot"]
    """The router's, 1 where the bank is no mixture."""
    scale: Float[Tensor, "batch position"]
    """What the bank's output is multiplied by on its way into the stream."""


@dataclass(frozen=True, eq=False)
class FfnCapture:
    """One layer's FFN at work."""

    banks: tuple[BankCapture, ...]
    """None where the FFN does not open up into neurons."""
    constant: Float[Tensor, "batch position d_model"]
    """What the biases of norms behind the FFN add to the stream."""
    write: Float[Tensor, "batch position d_model"]
    """The whole write, as the model computed it."""


@dataclass(frozen=True, eq=False)
class LayerCapture:
    """Everything that one layer did."""

    resid_pre: Float[Tensor, "batch position d_model"]
    resid_mid: Float[Tensor, "batch position d_model"]
    """In a parallel block no state of the model: the state it would have between."""
    resid_post: Float[Tensor, "batch position d_model"]
    attention: AttentionCapture
    ffn: FfnCapture


@dataclass(frozen=True, eq=False)
class OutputWeights:
    """What turns one layer's attended values into its write."""

    w_o: Float[Tensor, "head d_head d_model"]
    b_o: Float[Tensor, " d_model"]
    b_v: Float[Tensor, "head d_head"]
    """Value bias, repeated to query heads."""
    reach: float
    """What later residual multipliers make of a write until the final state."""


@dataclass(frozen=True, eq=False)
class BankWeights:
    """One bank's down projections, as the model holds them."""

    w_down: Float[Tensor, "expert neuron d_model"]
    b_down: Float[Tensor, "expert d_model"]
    norms: tuple[LinearNorm, ...]
    """Behind the bank, the first one first."""
    label: int | None
    """None: no mixture. SHARED, or 0: its experts count from 0."""
    dtype: torch.dtype
    """Of what is given."""

    def of(self, expert: int) -> Float[Tensor, "neuron d_model"]:
        """An expert's neurons' directions in the stream."""
        return through(self.norms, self.w_down[expert].to(self.dtype))

    def rows(
        self, expert: Int[Tensor, "*place"], neuron: Int[Tensor, "*place"]
    ) -> Float[Tensor, "*place d_model"]:
        """Some neurons' directions in the stream."""
        return through(self.norms, self.w_down[expert, neuron].to(self.dtype))

    def biases(self, expert: Int[Tensor, "*place"]) -> Float[Tensor, "*place d_model"]:
        """Some experts' biases in the stream."""
        return through(self.norms, self.b_down[expert].to(self.dtype))


@dataclass(frozen=True, eq=False)
class FfnWeights:
    """What turns one layer's activations into its FFN's write.

    A neuron's *place* is its number among all neurons of all banks and experts.
    """

    banks: tuple[BankWeights, ...]
    reach: float
    """What later residual multipliers make of a write until the final state."""
    d_model: int

    def starts(self) -> list[int]:
        """The place of each bank's first neuron."""
        sizes = [b.w_down.shape[0] * b.w_down.shape[1] for b in self.banks]
        return [0, *np.cumsum(sizes).tolist()][:-1]

    def rows(
        self, place: Int[Tensor, "*place"], dtype: torch.dtype
    ) -> Float[Tensor, "*place d_model"]:
        """The neurons' directions in the stream."""
        found = torch.zeros(
            *place.shape, self.d_model, dtype=dtype, device=place.device
        )
        for bank, start in zip(self.banks, self.starts(), strict=True):
            experts, n, _ = bank.w_down.shape
            inside = (place >= start) & (place < start + experts * n)
            own = place[inside] - start
            found[inside] = bank.rows(own // n, own % n)
        return found

    def names(
        self, place: NDArray[np.int64]
    ) -> tuple[NDArray[np.int16], NDArray[np.bool_], NDArray[np.int32]]:
        """Each neuron's expert, whether it has none, and its number in the expert.

        Banks of one label are one expert's neurons: their numbers go on.
        """
        expert = np.zeros(place.shape, np.int16)
        none = np.zeros(place.shape, np.bool_)
        neuron = np.zeros(place.shape, np.int32)
        counted: dict[int | None, int] = {}
        for bank, start in zip(self.banks, self.starts(), strict=True):
            experts, n, _ = bank.w_down.shape
            inside = (place >= start) & (place < start + experts * n)
            own = place[inside] - start
            first = counted.get(bank.label, 0)
            counted[bank.label] = first + n
            none[inside] = bank.label is None
            expert[inside] = (bank.label or 0) + own // n
            neuron[inside] = first + own % n
        return expert, none, neuron


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The weights of one layer that parts are made of."""

    parallel: bool
    keep_mid: float
    """What `resid_pre` is multiplied by in `resid_mid`; 1 almost everywhere."""
    keep_post: float
    """What `resid_mid` is multiplied by in `resid_post`."""
    attention: OutputWeights
    ffn: FfnWeights


Weights = Sequence[LayerWeights]
"""By layer."""
