"""Models with code or hooks of their own: refused, or read rightly."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaDecoderLayer

from flowglass.pipeline import trace
from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.model import prepare

from .checks import closure
from .families import build
from .replaced_values import decoder_layer
from .tiny_models import random_tokens

ROUNDING = 2e-6


class NormsByFunction(LlamaDecoderLayer):
    """A sequential layer; the state between is read by no module."""

    def forward(self, hidden_states: Tensor, **more: Any) -> Tensor:
        normed = self.input_layernorm(hidden_states)
        mid = hidden_states + self.self_attn(hidden_states=normed, **more)[0]
        gain = self.post_attention_layernorm.weight
        found: Tensor = mid + self.mlp(F.rms_norm(mid, mid.shape[-1:], gain, 1e-6))
        return found


def test_a_norm_that_is_a_function_makes_no_parallel_block() -> None:
    """The FFN follows the attention's write: it is none; the layer is named."""
    model = build("llama")
    for layer in model.model.layers:
        layer.__class__ = NormsByFunction
    with pytest.raises(ModelError, match=r"layers\.0 .*depends on what the attention"):
        prepare(model, name="functional")


class AnotherAttention(LlamaAttention):
    """As in code that comes with a checkpoint: no eager attention stands beside it."""


def test_an_attention_of_ones_own_class_is_watched() -> None:
    """The family's eager attention is that of the class it comes from."""
    model = build("llama", dtype=torch.float64)
    for layer in model.model.layers:
        layer.self_attn.__class__ = AnotherAttention
    assert closure(prepare(model, name="own")) < ROUNDING


def scaled(factor: float) -> Any:
    return lambda _, args: (factor * args[0], *args[1:])


def test_a_hook_in_front_of_a_module_is_part_of_the_model() -> None:
    """What the output projection reads is what the hook makes of it, in every pass."""
    model = build("llama")
    decoder_layer(model, 1).self_attn.o_proj.register_forward_pre_hook(scaled(0.7))
    prepared = prepare(model, name="hooked")
    assert closure(prepared) < 2e-5
    assert trace(model, random_tokens(9, vocab=60)).prompts.num_rows == 1


def test_a_hook_that_scales_the_stream_is_refused() -> None:
    """It stands between two layers."""
    model = build("llama")
    decoder_layer(model, 1).register_forward_pre_hook(scaled(1.01))
    with pytest.raises(ModelError, match=r"layers\.1 does not read what the layer"):
        prepare(model, name="hooked")


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi", "gpt_neox"])
def test_a_model_that_writes_nothing_is_decomposed(family: str) -> None:
    """Its last state is its first; which norm is the final one is still found."""
    model = build(family, dtype=torch.float64)
    for name, module in model.named_modules():
        if isinstance(module, nn.Module) and name.endswith(WRITERS):
            for parameter in module.parameters(recurse=False):
                nn.init.zeros_(parameter)
    assert closure(prepare(model, name="silent")) < ROUNDING


WRITERS = (
    "o_proj",
    "down_proj",
    "c_proj",
    "self_attn.dense",
    "fc2",
    "attention.dense",
    "dense_4h_to_h",
)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_layers_may_share_a_norm(family: str) -> None:
    """What a shared module did belongs to the layer that ran it."""
    model = build(family, dtype=torch.float64)
    first, second = (decoder_layer(model, i) for i in range(2))
    second.post_attention_layernorm = first.post_attention_layernorm
    loaded = prepare(model, name="shared")
    assert loaded.anatomy.block_kind == "sequential"
    assert closure(loaded) < ROUNDING


def test_prompts_of_a_batch_do_not_mix() -> None:
    """A write that carries one prompt's states into another is refused."""
    model = build("llama")
    layer = decoder_layer(model, 1)
    layer.input_layernorm = nn.Sequential(layer.input_layernorm, Mixes())
    with pytest.raises(ModelError, match="tokens mix outside the attention patterns"):
        prepare(model, name="mixing")


class Mixes(nn.Module):
    """Adds what the other prompts of the batch have."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.1 * x.flip(0)
