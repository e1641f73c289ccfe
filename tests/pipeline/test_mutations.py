"""What a decomposition can get wrong, and closure catches: each test says where.

A term that is dropped, doubled or scaled, or is another layer's. What closure is blind
to is in test_mutations_that_close.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from flowglass.pipeline import decompose, find_anatomy
from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.layer import AttentionCapture, OutputWeights
from flowglass.pipeline.linear_norm import LinearNorm
from flowglass.pipeline.model import LoadedModel, prepare

from .checks import closure
from .families import build
from .mutants import (
    LAYER,
    Patch,
    patch_captures,
    with_attention,
    with_banks,
    with_layer,
    with_layers,
    with_output_weights,
)

ROUNDING = 2e-6
"""Norms compute in float32, in a float64 model too."""
BY_TURNS = [0, 2, 1, 3]
"""Of heads whose values are those of key-value heads 0 0 1 1: then they are 0 1 0 1."""

Mutation = Callable[[LoadedModel], LoadedModel]


@cache
def loaded(family: str) -> LoadedModel:
    """The family's tiny model as it is."""
    return prepare(build(family, dtype=torch.float64), name=family)


def without_gain(norm: LinearNorm) -> LinearNorm:
    return replace(norm, gain=torch.ones_like(norm.gain))


def drop_output_bias(model: LoadedModel) -> LoadedModel:
    return with_output_weights(model, lambda w: replace(w, b_o=0 * w.b_o))


def forget_post_norm_gain(model: LoadedModel) -> LoadedModel:
    first, *others = model.anatomy.layers[LAYER].norms
    wrong = replace(first, norm=without_gain(first.norm))
    return with_layer(model, norms=(wrong, *others))


def forget_inner_gain(model: LoadedModel) -> LoadedModel:
    norm = model.anatomy.layers[LAYER].attention.inner_norm
    assert norm is not None
    return with_attention(model, inner_norm=without_gain(norm))


def another_multiplier(model: LoadedModel) -> LoadedModel:
    attention, *ffn = model.anatomy.layers[LAYER].writers
    wrong = replace(attention, coefficient=0.42)  # right is 0.4
    return with_layer(model, writers=(wrong, *ffn))


def forget_multiplier_of_residual(model: LoadedModel) -> LoadedModel:
    return with_layer(model, keep_mid=1.0)


def forget_gate(model: LoadedModel) -> LoadedModel:
    return with_attention(model, gated=False)


def forget_sinks(model: LoadedModel) -> LoadedModel:
    return with_attention(model, scaled=False)


def take_other_layer(model: LoadedModel) -> LoadedModel:
    return with_output_weights(model, lambda _: model.weights[0].attention)


def drop_bias_of_neurons(model: LoadedModel) -> LoadedModel:
    return with_banks(model, lambda bank: replace(bank, b_down=0 * bank.b_down))


def forget_norm_behind_neurons(model: LoadedModel) -> LoadedModel:
    return with_banks(model, lambda bank: replace(bank, norms=()))


def misnumber_experts(model: LoadedModel) -> LoadedModel:
    return with_banks(model, lambda bank: replace(bank, w_down=bank.w_down.flip(0)))


@pytest.mark.parametrize(
    ("family", "mutation", "step"),
    [
        ("gpt2", drop_output_bias, "attn"),
        ("gpt_neox", drop_output_bias, "block"),
        ("gemma2", forget_post_norm_gain, "attn"),
        ("glm4", forget_post_norm_gain, "attn"),
        ("bitnet", forget_inner_gain, "attn"),
        ("granite", another_multiplier, "attn"),
        ("beam", forget_multiplier_of_residual, "attn"),
        ("afmoe", forget_gate, "attn"),
        ("granite_swa", forget_sinks, "attn"),
        ("llama", take_other_layer, "attn"),
        ("gpt2", drop_bias_of_neurons, "neuron"),
        ("gpt_oss", drop_bias_of_neurons, "neuron"),
        ("gemma2", forget_norm_behind_neurons, "neuron"),
        ("mixtral", misnumber_experts, "neuron"),
    ],
)
def test_closure_catches(family: str, mutation: Mutation, step: str) -> None:
    """A term that is dropped or scaled, or is another layer's: the message names the
    step and the layer."""
    right = loaded(family)
    assert closure(right) < ROUNDING

    wrong = mutation(right)

    with pytest.raises(ModelError, match=rf"step {step} of layer {LAYER}"):
        closure(wrong)


def tile_values(attention: AttentionCapture) -> AttentionCapture:
    return replace(attention, value=attention.value[:, BY_TURNS])


def test_closure_catches_repeated_heads_in_a_wrong_order(monkeypatch: Patch) -> None:
    """Four query heads with the values 0 1 0 1 of two key-value heads."""
    model = loaded("llama")
    assert closure(model) < ROUNDING

    patch_captures(monkeypatch, tile_values)

    with pytest.raises(ModelError, match=rf"step attn of layer {LAYER}"):
        closure(model)


@pytest.mark.parametrize(("family", "step"), [("gpt2", "attn"), ("phi", "block")])
def test_closure_catches_a_value_bias_counted_twice(
    family: str, step: str, monkeypatch: Patch
) -> None:
    """It stays in the heads' parts, and is in `bias` too."""
    model, right = loaded(family), decompose.head_outputs
    assert closure(model) < ROUNDING

    def wrong(attention: AttentionCapture, weights: OutputWeights) -> Tensor:
        return right(attention, replace(weights, b_v=0 * weights.b_v))

    monkeypatch.setattr(decompose, "head_outputs", wrong)

    with pytest.raises(ModelError, match=f"step {step}"):
        closure(model)


def test_a_hook_on_another_layer_is_caught_at_once() -> None:
    """When the layer ends the module has shown nothing: there is no capture."""
    right = loaded("llama")
    first, second = right.anatomy.layers

    wrong = with_layers(
        right,
        replace(first, block=second.block),
        replace(second, block=first.block),
    )

    with pytest.raises(ModelError, match="did not run where it can be seen"):
        closure(wrong)


def test_layers_in_a_wrong_order_are_refused(monkeypatch: Patch) -> None:
    """Caught when the anatomy is found: each reads what the one before it wrote."""
    model, right = loaded("llama").module, find_anatomy.decoder_layers
    name, layers = right(model)

    monkeypatch.setattr(
        find_anatomy, "decoder_layers", lambda _: (name, [*reversed(layers)])
    )

    with pytest.raises(ModelError, match="does not read what the layer before it"):
        prepare(model, name="llama")
