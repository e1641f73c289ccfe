"""The weights that parts are made of, read from the model when they are asked for.

Nothing is copied that the model holds in the reductions' dtype already: a folded or
converted layer lives as long as it is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, overload

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from .anatomy import Anatomy, LayerAnatomy, Writer
from .layer import SHARED, BankWeights, FfnWeights, LayerWeights, OutputWeights
from .linear_norm import through


@dataclass(frozen=True, eq=False)
class ModelWeights(Sequence[LayerWeights]):
    """The layers' weights in `dtype`, each made when it is asked for."""

    anatomy: Anatomy
    dtype: torch.dtype
    device: torch.device

    def __len__(self) -> int:
        return len(self.anatomy.layers)

    @overload
    def __getitem__(self, index: int) -> LayerWeights: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LayerWeights]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        layer = self.anatomy.layers[index]
        later = self.anatomy.layers[range(len(self))[index] + 1 :]
        onwards = prod(other.keep_mid * other.keep_post for other in later)
        return LayerWeights(
            parallel=layer.mid_reader is None,
            keep_mid=layer.keep_mid,
            keep_post=layer.keep_post,
            attention=self._attention(layer, reach=layer.keep_post * onwards),
            ffn=self._ffn(layer, reach=onwards),
        )

    @property
    def embed_reach(self) -> float:
        """What residual multipliers make of the embedding until the final state."""
        return prod(layer.keep_mid * layer.keep_post for layer in self.anatomy.layers)

    def _attention(self, layer: LayerAnatomy, *, reach: float) -> OutputWeights:
        weight, bias = self._linear(layer.attention.out_proj)
        inner = layer.attention.inner_norm
        if inner is not None:
            bias = bias + inner.bias.to(weight) @ weight
            weight = inner.to(weight).adjoint(weight.T).T
        norms = layer.norms_of(0)
        weight, bias = through(norms, weight), through(norms, bias)
        heads = layer.attention.n_heads
        return OutputWeights(
            w_o=weight.reshape(heads, -1, weight.shape[1]),
            b_o=bias,
            b_v=layer.attention.b_v.to(weight),
            reach=reach,
        )

    def _ffn(self, layer: LayerAnatomy, *, reach: float) -> FfnWeights:
        mixture = any(writer.kind == "experts" for writer in layer.writers)
        banks = tuple(
            self._bank(layer, place, writer, mixture)
            for place, writer in enumerate(layer.writers)
            if writer.kind in ("linear", "experts")
        )
        return FfnWeights(banks, reach, self.anatomy.d_model)

    def _bank(
        self, layer: LayerAnatomy, place: int, writer: Writer, mixture: bool
    ) -> BankWeights:
        if writer.kind == "experts":
            weight, bias = experts_map(writer.module)
            label: int | None = 0
        else:
            weight, bias = (t[None] for t in linear_map(writer.module))
            label = SHARED if mixture else None
        norms = layer.norms_of(place)
        to = self.device
        return BankWeights(weight.to(to), bias.to(to), norms, label, self.dtype)

    def _linear(self, module: nn.Module) -> tuple[Tensor, Tensor]:
        weight, bias = linear_map(module)
        return weight.to(self.device, self.dtype), bias.to(self.device, self.dtype)


def linear_shape(module: nn.Module) -> tuple[int, int] | None:
    """(in, out) of a module that is a linear map, else None."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    weight = getattr(module, "weight", None)
    if isinstance(module, Conv1D) and isinstance(weight, Tensor):
        return weight.shape[0], weight.shape[1]
    return None


def linear_map(module: nn.Module) -> tuple[Tensor, Tensor]:
    """A linear map's weight as [in, out] and its bias, zeros where it has none.

    Weights in a packed form (8 or 4 bits) are what the module makes of the unit
    vectors; that it is linear beyond them is for the closure to prove.
    """
    shape = linear_shape(module)
    weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
    assert shape is not None
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        return _measured_map(module, shape)
    weight = weight.detach()
    weight = weight if isinstance(module, Conv1D) else weight.T
    if bias is None:
        return weight, weight.new_zeros(shape[1])
    assert isinstance(bias, Tensor)
    return weight, bias.detach()


@torch.no_grad()
def _measured_map(module: nn.Module, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    device = next(iter(module.state_dict().values())).device
    units = torch.eye(shape[0], device=device)
    bias = module(torch.zeros_like(units[:1]))
    return module(units) - bias, bias[0]


def experts_map(module: nn.Module) -> tuple[Tensor, Tensor]:
    """A bank of experts' down projections [expert, neuron, d_model], and biases."""
    experts: Any = module
    weight = experts.down_proj.detach()
    weight = weight if experts.is_transposed else weight.transpose(1, 2)
    if not experts.has_bias:
        return weight, weight.new_zeros(weight.shape[0], weight.shape[2])
    return weight, experts.down_proj_bias.detach()
