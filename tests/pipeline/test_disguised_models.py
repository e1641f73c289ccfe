"""Models that are not what they seem: refused with the layer, or decomposed rightly.

Each is a tiny model of a family that is accepted, changed in its last layer. A refusal
comes when the anatomy is found, before any prompt is run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.gpt_neo import modeling_gpt_neo
from transformers.models.llama import modeling_llama

from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.model import LoadedModel, prepare

from .checks import cause_gap, closure, value_bias_gap
from .families import build, randomise, tiny_config
from .replaced_values import decoder_layer

LAST = 1
ROUNDING = 2e-6

Disguise = Callable[[nn.Module], None]
"""Changes a layer."""


def disguised(family: str, disguise: Disguise) -> PreTrainedModel:
    model = build(family, dtype=torch.float64)
    disguise(decoder_layer(model, LAST))
    return model


def loaded(model: PreTrainedModel) -> LoadedModel:
    return prepare(model, name="disguised")


def writes(change: Callable[[Tensor], Tensor]) -> Disguise:
    """The layer's output is changed, in whatever calls it."""

    def disguise(layer: nn.Module) -> None:
        layer.register_forward_hook(lambda _, __, output: change(output))

    return disguise


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def before(name: str, function: Callable[[Tensor], Tensor]) -> Disguise:
    """A function stands in front of a module of the layer."""

    def disguise(layer: nn.Module) -> None:
        module = layer.get_submodule(name)
        layer.set_submodule(name, nn.Sequential(Applied(function), module))

    return disguise


def behind(name: str, function: Callable[[Tensor], Tensor]) -> Disguise:
    def disguise(layer: nn.Module) -> None:
        module = layer.get_submodule(name)
        layer.set_submodule(name, nn.Sequential(module, Applied(function)))

    return disguise


def instead_of(name: str, function: Callable[[Tensor], Tensor]) -> Disguise:
    return lambda layer: layer.set_submodule(name, Applied(function))


def enters_scaled(layer: nn.Module) -> None:
    """The stream is scaled after one layer and before the next: hooks see nothing."""

    class Scaled(type(layer)):  # type: ignore[misc]
        def __call__(self, state: Tensor, *args: Any, **kwargs: Any) -> Any:
            return super().__call__(1.01 * state, *args, **kwargs)

    layer.__class__ = Scaled


def shifted(x: Tensor) -> Tensor:
    """With a share of what the token before has."""
    return x + 0.05 * x.roll(1, 1)


def softsign(x: Tensor) -> Tensor:
    return x / (1 + x.abs())


ADD_UP = "do not add up to its output"
MIX = "tokens mix outside the attention patterns"


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2", "cohere"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: x + 0.01, id="a constant"),
        pytest.param(shifted, id="another token's state"),
        pytest.param(lambda x: x + 0.01 * x.tanh(), id="a bent state"),
    ],
)
def test_a_hidden_write_is_refused(
    family: str, change: Callable[[Tensor], Tensor]
) -> None:
    """What enters the stream and comes from no module, be it one per cent."""
    model = disguised(family, writes(change))

    with pytest.raises(ModelError, match=rf"\.{LAST} .*{ADD_UP}"):
        loaded(model)


@pytest.mark.parametrize(
    ("family", "disguise", "message"),
    [
        ("llama", enters_scaled, "does not read what the layer before it wrote"),
        ("llama", before("self_attn.o_proj", torch.tanh), "is no norm"),
        ("afmoe", before("self_attn.o_proj", torch.tanh), "no linear image"),
        ("llama", behind("self_attn.o_proj", torch.relu), ADD_UP),
        ("gemma2", instead_of("post_attention_layernorm", softsign), ADD_UP),
        ("gemma2", instead_of("post_attention_layernorm", softsign), "is no norm"),
        ("llama", before("mlp", shifted), MIX),
        ("llama", before("self_attn.v_proj", shifted), f"{MIX}.* attention's values"),
        ("llama", before("input_layernorm", shifted), MIX),
    ],
)
def test_a_layer_of_another_kind_is_refused(
    family: str, disguise: Disguise, message: str
) -> None:
    """The message names the layer, and what does not fit."""
    model = disguised(family, disguise)

    with pytest.raises(ModelError, match=message) as refused:
        loaded(model)
    assert f"model.layers.{LAST}" in str(refused.value)


def test_training_mode_is_refused() -> None:
    """Dropout would give other numbers each time."""
    model = build("gpt2")
    model.train()

    with pytest.raises(ModelError, match="training mode"):
        loaded(model)


def test_attention_without_a_causal_mask_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Llama whose tokens attend to later ones: all would close, and mean nothing."""
    monkeypatch.setattr(modeling_llama, "create_causal_mask", lambda **_: None)

    with pytest.raises(ModelError, match=r"model\.layers\.0 .*attends to later tokens"):
        loaded(build("llama"))


def test_attention_that_shows_no_pattern_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own code calls a fused kernel: the message says how to load it."""

    def fused(_: nn.Module, q: Tensor, k: Tensor, v: Tensor, *__: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True), None

    monkeypatch.setattr(modeling_gpt_neo.GPTNeoSelfAttention, "_attn", fused)

    with pytest.raises(ModelError, match=r"GPTNeo.* attn_implementation='eager'"):
        loaded(build("gpt_neo"))


def test_a_falcon_loaded_with_a_fused_kernel_is_decomposed() -> None:
    """It asks its configuration at every call, and does without while it is watched."""
    model = AutoModelForCausalLM.from_config(
        tiny_config("falcon"), attn_implementation="sdpa", dtype=torch.float64
    )
    randomise(model, 0)
    model.eval()

    found = loaded(model)

    assert closure(found) < ROUNDING
    assert cause_gap(found, "falcon") < ROUNDING
    assert model.config._attn_implementation == "sdpa"


class Bent(nn.Linear):
    """Does more than its weight says."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).tanh()


@pytest.mark.parametrize(
    ("name", "step"), [("self_attn.o_proj", "attn"), ("mlp.down_proj", "neuron")]
)
def test_a_linear_map_that_is_none_does_not_close(name: str, step: str) -> None:
    """It looks linear; its weight, of which parts are made, does not give its output.
    Caught by the closure of every prompt."""
    model = disguised(
        "llama", lambda layer: setattr(layer.get_submodule(name), "__class__", Bent)
    )

    with pytest.raises(ModelError, match=f"step {step} of layer {LAST}"):
        closure(loaded(model))


def zero(*names: str) -> Disguise:
    """Weight and bias of some linear maps are 0."""

    def disguise(layer: nn.Module) -> None:
        for name in names:
            for parameter in layer.get_submodule(name).parameters():
                nn.init.zeros_(parameter)

    return disguise


def shape_of(model: LoadedModel) -> list[Any]:
    """What kind of layers a model has."""
    return [
        (
            model.anatomy.block_kind,
            [(w.kind, w.coefficient) for w in layer.writers],
            (layer.keep_mid, layer.keep_post),
        )
        for layer in model.anatomy.layers
    ]


@pytest.mark.parametrize(
    ("family", "disguise"),
    [
        ("gpt2", zero("attn.c_proj")),
        ("gpt2", zero("attn.c_proj", "mlp.c_proj")),
        ("llama", zero("self_attn.o_proj")),
        ("llama", zero("self_attn.o_proj", "mlp.down_proj")),
        ("gemma2", zero("self_attn.o_proj")),
        ("gemma2", zero("self_attn.o_proj", "mlp.down_proj")),
        ("phi", zero("self_attn.dense")),
        ("gpt_neox", zero("attention.dense")),
        ("cohere", zero("self_attn.o_proj", "mlp.down_proj")),
    ],
)
def test_a_layer_that_writes_nothing_is_what_it_was(
    family: str, disguise: Disguise
) -> None:
    """An attention, or a whole layer, of zeros: found like any other, and it closes."""
    model = loaded(disguised(family, disguise))

    assert shape_of(model) == shape_of(loaded(build(family, dtype=torch.float64)))
    assert closure(model) < ROUNDING


@pytest.mark.parametrize("family", ["qwen2", "gemma2", "afmoe"])
def test_a_constant_factor_before_the_output_projection_is_part_of_it(
    family: str,
) -> None:
    """Heads' outputs times 0.7: parts have it, b_V has not."""
    factor = before("self_attn.o_proj", lambda x: 0.7 * x)

    model = loaded(disguised(family, factor))

    assert shape_of(model) == shape_of(loaded(build(family, dtype=torch.float64)))
    assert closure(model) < ROUNDING
    assert value_bias_gap(model, family) == 0
    assert cause_gap(model, family) < ROUNDING


def test_a_norm_behind_the_ffn_that_is_none_leaves_the_ffn_whole() -> None:
    """The FFN's write is one part; only its neurons cannot be told apart."""
    softsigned = instead_of("post_feedforward_layernorm", softsign)

    model = loaded(disguised("gemma2", softsigned))

    assert model.anatomy.opaque
    assert model.weights[LAST].ffn.banks == ()
    assert closure(model) < ROUNDING
    assert cause_gap(model, "gemma2") < ROUNDING
