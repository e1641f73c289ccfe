"""Forward passes in which some heads' values at some keys are replaced by the bias.

Plain Hugging Face: nothing of the pipeline is on this path. A value is what a linear
map gave; in its place goes that map's bias, the value of a token that says nothing. All
else stays as it was: attention probabilities do not depend on values, other heads keep
what they had, and a norm behind the heads keeps its scale.

PLACES says where a family computes its values, by the names in its own code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .family_configs import HEADS, KV_HEADS

BLOCK = ""
"""The layer itself; among places of `mid`, a parallel block's output."""


def values_last(width: int, kv_heads: int, d_head: int) -> Tensor:
    """Columns [kv_head, d_head] of the values behind all queries and keys, if any."""
    return torch.arange(width - kv_heads * d_head, width).view(kv_heads, d_head)


def values_last_in_each_head(width: int, kv_heads: int, d_head: int) -> Tensor:
    """The same where a head's queries, keys and values lie together."""
    return torch.arange(width).view(kv_heads, -1)[:, -d_head:]


@dataclass(frozen=True)
class Places:
    """Modules of a layer, by name."""

    value: str = "self_attn.v_proj"
    """Gives the values, alone or behind queries and keys."""
    columns: Callable[[int, int, int], Tensor] = values_last
    heads: str = "self_attn.o_proj"
    """The first module that reads all heads' outputs, side by side."""
    norms: tuple[str, ...] = ()
    """Root-mean-square norms between the heads' outputs and the stream."""
    mid: str = "post_attention_layernorm"
    """Reads the state behind the attention; or BLOCK."""
    kv_heads: int = KV_HEADS


LLAMA = Places()
COHERE = Places(mid=BLOCK)
PHI = Places(heads="self_attn.dense", mid=BLOCK)
GPT2 = Places("attn.c_attn", heads="attn.c_proj", mid="ln_2", kv_heads=HEADS)
GPTJ = Places("attn.v_proj", heads="attn.out_proj", mid=BLOCK, kv_heads=HEADS)
OPT = Places(heads="self_attn.out_proj", mid="final_layer_norm", kv_heads=HEADS)
BLOOM = Places(
    "self_attention.query_key_value",
    values_last_in_each_head,
    "self_attention.dense",
    kv_heads=HEADS,
)
GPT_NEOX = replace(
    BLOOM, value="attention.query_key_value", heads="attention.dense", mid=BLOCK
)
GEMMA2 = Places(norms=("post_attention_layernorm",), mid="pre_feedforward_layernorm")
BITNET = Places(heads="self_attn.attn_sub_norm", norms=("self_attn.attn_sub_norm",))

PLACES = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "olmo"), LLAMA),
    **dict.fromkeys(("stablelm", "starcoder2", "granite", "granite_swa", "glm"), LLAMA),
    **dict.fromkeys(("seed_oss", "mixtral", "qwen2_moe", "gpt_oss"), LLAMA),
    "qwen3_next-fullattn": LLAMA,
    "phi3": replace(LLAMA, value="self_attn.qkv_proj"),
    "deepseek_v3": Places(
        "self_attn.kv_b_proj", values_last_in_each_head, kv_heads=HEADS
    ),
    **dict.fromkeys(("cohere", "cohere2"), COHERE),
    "phi": PHI,
    "gpt2": GPT2,
    "gpt_bigcode": replace(GPT2, kv_heads=1),
    "gpt_neo": Places(
        "attn.attention.v_proj",
        heads="attn.attention.out_proj",
        mid="ln_2",
        kv_heads=HEADS,
    ),
    "mpt": Places("attn.Wqkv", heads="attn.out_proj", mid="norm_2", kv_heads=HEADS),
    "gptj": GPTJ,
    "opt": OPT,
    "bloom": BLOOM,
    "falcon": replace(BLOOM, mid=BLOCK, kv_heads=KV_HEADS),
    "gpt_neox": GPT_NEOX,
    "persimmon": replace(
        BLOOM, value="self_attn.query_key_value", heads="self_attn.dense"
    ),
    "gemma2": GEMMA2,
    "gemma4_text": replace(GEMMA2, value="self_attn.v_norm"),
    "beam": GEMMA2,
    "afmoe": replace(GEMMA2, mid="pre_mlp_layernorm"),
    "olmo2": replace(GEMMA2, mid="mlp"),
    "glm4": Places(norms=("post_self_attn_layernorm",)),
    "bitnet": BITNET,
}


@dataclass(frozen=True, eq=False)
class Seen:
    """What some modules of a layer read and gave in one forward pass."""

    read: dict[str, Tensor] = field(default_factory=dict)
    gave: dict[str, Tensor] = field(default_factory=dict)


def decoder_layer(model: PreTrainedModel, index: int) -> nn.Module:
    """A layer of the model's first list of modules."""
    layers = next(m for m in model.modules() if isinstance(m, nn.ModuleList))
    return layers[index]


def value_bias(model: PreTrainedModel, family: str, layer: int) -> Tensor:
    """The value bias [kv_head, d_head] as a parameter; 0 where there is none."""
    places, block = PLACES[family], decoder_layer(model, layer)
    ids = torch.zeros(1, 1, dtype=torch.long)
    seen = _watch(model, block, ids, {places.value, places.heads})
    d_head = seen.read[places.heads].shape[-1] // HEADS
    width = seen.gave[places.value].numel()
    columns = places.columns(width, places.kv_heads, d_head)
    bias = getattr(block.get_submodule(places.value), "bias", None)
    if bias is None:
        return torch.zeros(columns.shape, dtype=model.dtype)
    assert isinstance(bias, Tensor)
    return bias.detach()[columns]


def state_behind_attention(
    model: PreTrainedModel, family: str, ids: Tensor, layer: int
) -> Tensor:
    """The state [position, d_model] behind a layer's attention, for ids [1, position]:
    resid_mid, or in a parallel block resid_post."""
    places = PLACES[family]
    seen = _watch(model, decoder_layer(model, layer), ids, {places.mid})
    return _state(seen, places)


def state_without(
    model: PreTrainedModel,
    family: str,
    ids: Tensor,
    layer: int,
    *,
    heads: Collection[int],
    keys: Collection[int],
) -> Tensor:
    """The same where these query heads read the value bias at these keys."""
    places, block = PLACES[family], decoder_layer(model, layer)
    clean = _watch(model, block, ids, {places.heads, *places.norms})
    bias = value_bias(model, family, layer)
    kv_heads = sorted({head * len(bias) // HEADS for head in heads})
    d_head = bias.shape[1]

    def replace_values(_: nn.Module, args: Any, output: Tensor) -> Tensor:
        flat = output.reshape(ids.shape[1], -1).clone()
        columns = places.columns(flat.shape[-1], places.kv_heads, d_head)[kv_heads]
        for key in keys:
            flat[key, columns] = bias[kv_heads]
        return flat.view_as(output)

    def keep_other_heads(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        kept = clean.read[places.heads].view(*args[0].shape).clone()
        for head in heads:
            own = slice(head * d_head, (head + 1) * d_head)
            kept[..., own] = args[0][..., own]
        return (kept, *args[1:])

    def keep_scale(name: str) -> Callable[[nn.Module, Any, Any], Tensor]:
        # What such a norm gives is its input, coordinate by coordinate, times a factor.
        factor = clean.gave[name] / clean.read[name]
        return lambda _, args, __: args[0] * factor

    handles = [
        block.get_submodule(places.value).register_forward_hook(replace_values),
        block.get_submodule(places.heads).register_forward_pre_hook(keep_other_heads),
        *(
            block.get_submodule(name).register_forward_hook(keep_scale(name))
            for name in places.norms
        ),
    ]
    try:
        return state_behind_attention(model, family, ids, layer)
    finally:
        for handle in handles:
            handle.remove()


def _state(seen: Seen, places: Places) -> Tensor:
    state = seen.gave[BLOCK] if places.mid == BLOCK else seen.read[places.mid]
    return state.flatten(0, -2)


@torch.inference_mode()
def _watch(
    model: PreTrainedModel, block: nn.Module, ids: Tensor, names: Collection[str]
) -> Seen:
    """Run the model and look at some modules of a layer."""
    seen = Seen()

    def look(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def keep(_: nn.Module, args: Any, output: Any) -> None:
            gave = output[0] if isinstance(output, tuple) else output
            seen.read[name], seen.gave[name] = args[0].clone(), gave.clone()

        return keep

    handles = [
        block.get_submodule(name).register_forward_hook(look(name)) for name in names
    ]
    try:
        model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return seen
