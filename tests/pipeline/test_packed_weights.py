"""Weights in 8 bits: decomposed where the module is linear, refused where it is not."""

import pytest
import torch
from torch import Tensor, nn

from flowglass.pipeline.check import check
from flowglass.pipeline.model import prepare
from flowglass.pipeline.weights import linear_map

from .tiny_models import tiny_llama


class EightBit(nn.Linear):
    """A linear map that holds int8 numbers and one scale a row."""

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__(plain.in_features, plain.out_features, bias=False)
        scale = plain.weight.abs().amax(1, keepdim=True) / 127
        whole = (plain.weight / scale).round().to(torch.int8)
        self.weight = nn.Parameter(whole, requires_grad=False)
        self.register_buffer("scale", scale)

    def unpacked(self) -> Tensor:
        return self.weight * self.scale

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.unpacked().T


class RoundsItsInput(EightBit):
    """As LLM.int8 does: what it multiplies is rounded as well."""

    def forward(self, x: Tensor) -> Tensor:
        step = x.abs().amax(-1, keepdim=True).clamp_min(1e-9) / 127
        return (x / step).round() * step @ self.unpacked().T


def packed(kind: type[EightBit]) -> nn.Module:
    """A Llama whose output and down projections are packed."""
    model = tiny_llama()
    for layer in model.model.layers:
        layer.self_attn.o_proj = kind(layer.self_attn.o_proj)
        layer.mlp.down_proj = kind(layer.mlp.down_proj)
    return model


def test_packed_weights_are_measured() -> None:
    """The weights are what the module makes of the unit vectors."""
    module = EightBit(nn.Linear(6, 4))
    weight, bias = linear_map(module)
    torch.testing.assert_close(weight, module.unpacked().T)
    assert not bias.any()


def test_a_packed_model_closes() -> None:
    """It is linear in what it reads, so it is decomposed like any other."""
    report = check(prepare(packed(EightBit), name="packed"))
    assert report.closes


def test_a_model_that_rounds_its_input_does_not_close() -> None:
    """Its projections are not linear: the steps that are made of their parts say so."""
    report = check(prepare(packed(RoundsItsInput), name="rounding"))
    open_steps = {f.step: f.closure for f in report.closures if f.closure > 2e-5}
    assert not report.closes
    assert open_steps.keys() == {"attn", "neuron"}
    assert all(1e-4 < closure < 0.1 for closure in open_steps.values())


@pytest.mark.parametrize("kind", [EightBit, RoundsItsInput])
def test_packing_changes_the_hash(kind: type[EightBit]) -> None:
    """A packed model is another model than the one it was packed from."""
    plain = prepare(tiny_llama(), name="plain").model_hash
    assert prepare(packed(kind), name="packed").model_hash != plain
