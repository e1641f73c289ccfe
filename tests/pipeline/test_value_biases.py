"""The value bias, found by what values an attention has that reads zeros.

Closure does not see it: whatever b_V is, it is taken from the values and put into the
`bias` part. So it is compared with the model's own parameter.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from transformers import PreTrainedModel

from flowglass.pipeline.find_anatomy import find_anatomy
from flowglass.pipeline.model import CLOSURE_BOUNDS

from .families import build
from .family_configs import HEADS
from .replaced_values import PLACES, decoder_layer, value_bias

WITHOUT = ("llama", "mistral", "mixtral", "phi3", "gptj", "mpt", "gpt_neo")
BEHIND_A_NORM = ("gemma4_text", "deepseek_v3")
WITH = sorted(set(PLACES) - {*WITHOUT, *BEHIND_A_NORM})


def found(model: PreTrainedModel) -> list[Tensor]:
    """Every layer's b_V [head, d_head]."""
    anatomy = find_anatomy(model, CLOSURE_BOUNDS[model.dtype])
    return [layer.attention.b_v for layer in anatomy.layers]


@pytest.mark.parametrize("family", WITH)
def test_b_v_is_the_parameter(family: str) -> None:
    """The very numbers, in every layer, whether values have a linear map of their own
    or share one with queries and keys."""
    model = build(family, dtype=torch.float64)

    for index, b_v in enumerate(found(model)):
        parameter = value_bias(model, family, index)
        assert parameter.abs().min() > 0
        shared_by = HEADS // len(parameter)
        for head in range(HEADS):
            due = parameter[head // shared_by]
            assert_close(b_v[head], due, rtol=0, atol=1e-12)


def test_enough_families_have_one() -> None:
    """With values of their own, fused with queries and keys, and shared by heads."""
    assert len(WITH) >= 8
    assert {"gpt2", "opt", "qwen2", "gpt_neox", "bloom", "phi", "gpt_oss"} <= {*WITH}


def test_heads_that_share_keys_share_the_bias() -> None:
    """Heads 0 and 1 read the first key-value head, heads 2 and 3 the second."""
    model = build("qwen2")
    parameter = decoder_layer(model, 0).get_parameter("self_attn.v_proj.bias")

    b_v = found(model)[0]

    first, second = parameter.detach().chunk(2)
    assert torch.equal(b_v, torch.stack([first, first, second, second]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_b_v_is_exact_in_every_dtype(dtype: torch.dtype) -> None:
    """A product with zeros rounds nothing."""
    model = build("gpt2", dtype=dtype)
    parameter = decoder_layer(model, 1).get_parameter("attn.c_attn.bias")

    b_v = found(model)[1]

    assert torch.equal(b_v.flatten(), parameter.detach().chunk(3)[2])


@pytest.mark.parametrize("family", WITHOUT)
def test_b_v_is_zero_where_there_is_none(family: str) -> None:
    """A family that has no value bias."""
    for b_v in found(build(family)):
        assert not b_v.any()


def test_b_v_is_zero_in_a_gemma_as_released() -> None:
    """The same family with a value bias and without."""
    model = build("gemma")
    for index in range(2):
        values = decoder_layer(model, index).get_submodule("self_attn.v_proj")
        values.register_parameter("bias", None)

    assert not torch.stack(found(model)).any()


@pytest.mark.parametrize(
    ("family", "bias"),
    [
        ("gemma4_text", "self_attn.v_proj.bias"),
        ("deepseek_v3", "self_attn.kv_a_proj_with_mqa.bias"),
    ],
)
def test_b_v_is_zero_behind_a_norm(family: str, bias: str) -> None:
    """A bias that a norm scales differently from token to token is no constant."""
    model = build(family, dtype=torch.float64)
    assert decoder_layer(model, 0).get_parameter(bias).all()

    for b_v in found(model):
        assert not b_v.any()
