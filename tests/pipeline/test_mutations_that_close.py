"""What a decomposition can get wrong, closes all the same, and another check catches.

Closure is blind to what one part takes from another (a value bias may sit in either),
to parts under wrong names, and to all that happens between the layers and the logits;
and a remainder closes with anything. Each test shows both: the mutation closes, and
another of checks.py fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from flowglass.pipeline import capture, decompose
from flowglass.pipeline.anatomy import LayerAnatomy
from flowglass.pipeline.assemble import Seen, assemble
from flowglass.pipeline.layer import (
    AttentionCapture,
    LayerCapture,
    LayerWeights,
    OutputWeights,
)
from flowglass.pipeline.model import LoadedModel, prepare
from flowglass.pipeline.readout import Readout

from .checks import (
    attribution_gap,
    cause_gap,
    closure,
    lens_gap,
    pattern_gap,
    value_bias_gap,
)
from .families import build
from .mutants import (
    Patch,
    patch_captures,
    with_layers,
    with_output_weights,
    with_weights,
)

ROUNDING = 2e-6
"""Norms compute in float32, in a float64 model too."""
FELT = 0.01
BY_TURNS = [0, 2, 1, 3]
"""Of heads whose values are those of key-value heads 0 0 1 1: then they are 0 1 0 1."""

OfWeights = Callable[[OutputWeights], OutputWeights]
OfCapture = Callable[[AttentionCapture], AttentionCapture]


@cache
def loaded(family: str) -> LoadedModel:
    """The family's tiny model as it is."""
    return prepare(build(family, dtype=torch.float64), name=family)


def double_value_bias(weights: OutputWeights) -> OutputWeights:
    return replace(weights, b_v=2 * weights.b_v)


def forget_value_bias(weights: OutputWeights) -> OutputWeights:
    return replace(weights, b_v=0 * weights.b_v)


def tile_value_bias(weights: OutputWeights) -> OutputWeights:
    return replace(weights, b_v=weights.b_v[BY_TURNS])


@pytest.mark.parametrize(
    "mutation", [double_value_bias, forget_value_bias, tile_value_bias]
)
def test_a_wrong_value_bias_closes_and_is_not_the_parameter(
    mutation: OfWeights,
) -> None:
    """What the heads' parts lose `bias` gains. Caught by the parameter, and by what the
    state loses when a value is replaced."""
    right = loaded("qwen2")
    assert value_bias_gap(right, "qwen2") == 0
    assert cause_gap(right, "qwen2") < ROUNDING

    wrong = with_output_weights(right, mutation)

    assert closure(wrong) < ROUNDING
    assert value_bias_gap(wrong, "qwen2") > FELT
    assert cause_gap(wrong, "qwen2") > FELT


def tile_values(attention: AttentionCapture) -> AttentionCapture:
    return replace(attention, value=attention.value[:, BY_TURNS])


def test_a_remainder_closes_with_anything(monkeypatch: Patch) -> None:
    """`bias` as what is missing hides values in a wrong order. Caught by what the state
    loses when a value is replaced."""
    model = loaded("llama")
    assert cause_gap(model, "llama") < ROUNDING

    def remainder(attention: AttentionCapture, weights: OutputWeights) -> Tensor:
        heads = decompose.head_outputs(attention, weights)
        return attention.write - torch.einsum("bqhv,hvd->bqd", heads, weights.w_o)

    monkeypatch.setattr(decompose, "bias_part", remainder)
    patch_captures(monkeypatch, tile_values)

    assert closure(model) < ROUNDING
    assert cause_gap(model, "llama") > FELT


def rename_heads(attention: AttentionCapture) -> AttentionCapture:
    return replace(
        attention,
        pattern=attention.pattern.flip(1),
        coefficient=attention.coefficient.flip(1),
        value=attention.value.flip(1),
    )


def rename_output_weights(weights: OutputWeights) -> OutputWeights:
    return replace(weights, w_o=weights.w_o.flip(0), b_v=weights.b_v.flip(0))


def rename_keys(attention: AttentionCapture) -> AttentionCapture:
    return replace(
        attention,
        pattern=attention.pattern.roll(1, -1),
        coefficient=attention.coefficient.roll(1, -1),
        value=attention.value.roll(1, 2),
    )


def unchanged(weights: OutputWeights) -> OutputWeights:
    return weights


@pytest.mark.parametrize(
    ("of_capture", "of_weights"),
    [(rename_heads, rename_output_weights), (rename_keys, unchanged)],
)
def test_parts_under_wrong_names_close(
    of_capture: OfCapture, of_weights: OfWeights, monkeypatch: Patch
) -> None:
    """Heads, or keys, in another order throughout. Caught by what the state loses when
    the value of that head at that key is replaced."""
    right = loaded("gpt2")
    assert cause_gap(right, "gpt2") < ROUNDING

    patch_captures(monkeypatch, of_capture)
    wrong = with_output_weights(right, of_weights)

    assert closure(wrong) < ROUNDING
    assert cause_gap(wrong, "gpt2") > FELT


def test_a_fitted_scale_closes_with_half_the_pattern(monkeypatch: Patch) -> None:
    """A scale of heads that is fitted makes good for any factor. Caught by the model's
    own attention probabilities."""
    right = loaded("gpt2")
    assert pattern_gap(right) < ROUNDING

    def halved(seen: Seen, resid_post: Tensor, layer: LayerAnatomy) -> LayerCapture:
        assert seen.pattern is not None
        return assemble(replace(seen, pattern=seen.pattern / 2), resid_post, layer)

    monkeypatch.setattr(capture, "assemble", halved)
    first, second = (
        replace(layer, attention=replace(layer.attention, scaled=True))
        for layer in right.anatomy.layers
    )
    wrong = with_layers(right, first, second)

    assert closure(wrong) < ROUNDING
    assert pattern_gap(wrong) > FELT


def test_layers_under_each_others_numbers_close() -> None:
    """All hooks of two layers are swapped. Caught by what the components add to a
    logit: outputs of one layer meet the weights of the other."""
    right = loaded("llama")
    assert attribution_gap(right) < ROUNDING

    wrong = with_layers(right, *reversed(right.anatomy.layers))

    assert closure(wrong) < ROUNDING
    assert attribution_gap(wrong) > FELT


def forget_later_multiplier_of_attention(weights: LayerWeights) -> LayerWeights:
    return replace(weights, attention=replace(weights.attention, reach=1.0))


def invent_later_multiplier_of_ffn(weights: LayerWeights) -> LayerWeights:
    return replace(weights, ffn=replace(weights.ffn, reach=1.1))


@pytest.mark.parametrize(
    "mutation", [forget_later_multiplier_of_attention, invent_later_multiplier_of_ffn]
)
def test_a_wrong_later_multiplier_closes(
    mutation: Callable[[LayerWeights], LayerWeights],
) -> None:
    """What layers above make of a write is no matter of its own step. Caught by what
    the components add to a logit."""
    right = loaded("gemma4_text")
    assert attribution_gap(right) < ROUNDING

    wrong = with_weights(right, mutation)

    assert closure(wrong) < ROUNDING
    assert attribution_gap(wrong) > FELT


def forget_logit_scale(readout: Readout) -> Readout:
    return replace(readout, logit_scale=1.0)


def forget_softcap(readout: Readout) -> Readout:
    return replace(readout, softcap=None)


def forget_final_gain(readout: Readout) -> Readout:
    gain = torch.ones_like(readout.norm.gain)
    return replace(readout, norm=replace(readout.norm, gain=gain))


def forget_final_bias(readout: Readout) -> Readout:
    return replace(readout, norm=replace(readout.norm, bias=0 * readout.norm.bias))


def forget_centring(readout: Readout) -> Readout:
    return replace(readout, norm=replace(readout.norm, centred=False))


@pytest.mark.parametrize(
    ("family", "mutation"),
    [
        ("cohere", forget_logit_scale),
        ("gemma2", forget_softcap),
        ("llama", forget_final_gain),
        ("gpt2", forget_final_bias),
        ("gpt2", forget_centring),
    ],
)
def test_a_wrong_readout_closes(
    family: str, mutation: Callable[[Readout], Readout]
) -> None:
    """No part is read through it. Caught by the lens of the last state, which no longer
    gives the model's logits."""
    right = loaded(family)
    assert lens_gap(right) < ROUNDING

    wrong = replace(right, readout=mutation(right.readout))

    assert closure(wrong) < ROUNDING
    assert lens_gap(wrong) > FELT
