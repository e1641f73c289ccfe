"""Where a model keeps its residual stream, its attention and its FFN.

Two block styles are known, each as data; a model of another style is refused. Names
alone prove nothing, so every prompt's closure is measured as well (contributions.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from .decompose import FfnWeights, OutputWeights
from .errors import ModelError


@dataclass(frozen=True)
class BlockStyle:
    """The names of a model's parts, and of a sequential block's, in transformers."""

    layers: str
    final_norm: str
    attention: str
    out_proj: str
    mid_norm: str
    """The norm that reads `resid_mid`."""
    ffn: str
    down_proj: str


STYLES = {
    "GPT-2": BlockStyle(
        layers="transformer.h",
        final_norm="transformer.ln_f",
        attention="attn",
        out_proj="attn.c_proj",
        mid_norm="ln_2",
        ffn="mlp",
        down_proj="mlp.c_proj",
    ),
    "Llama": BlockStyle(
        layers="model.layers",
        final_norm="model.norm",
        attention="self_attn",
        out_proj="self_attn.o_proj",
        mid_norm="post_attention_layernorm",
        ffn="mlp",
        down_proj="mlp.down_proj",
    ),
}


@dataclass(frozen=True, eq=False)
class LayerModules:
    """The modules of one decoder layer that the capture hooks."""

    block: nn.Module
    attention: nn.Module
    out_proj: nn.Module
    mid_norm: nn.Module
    ffn: nn.Module
    down_proj: nn.Module


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What was found in a model; the rest of the pipeline asks no model for names."""

    style: str
    layers: tuple[LayerModules, ...]
    final_norm: nn.Module
    block_kind: str
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_ffn: int
    vocab_size: int
    context: int | None
    """The most tokens a prompt may have; None where positions are unlimited."""


def find_anatomy(model: PreTrainedModel) -> Anatomy:
    """The model's anatomy.

    Raises ModelError where the block style is unknown.
    """
    for name, style in STYLES.items():
        try:
            blocks = attrgetter(style.layers)(model)
            final_norm = attrgetter(style.final_norm)(model)
            layers = tuple(
                LayerModules(block, *_parts(block, style)) for block in blocks
            )
        except AttributeError:
            continue
        return _measure(model, name, layers, final_norm)
    raise ModelError(
        f"{type(model).__name__} cannot be decomposed: its blocks are neither "
        f"{' nor '.join(f'{name}-style' for name in STYLES)}"
    )


def _parts(block: nn.Module, style: BlockStyle) -> Iterator[nn.Module]:
    names = (field.name for field in fields(LayerModules) if field.name != "block")
    return (attrgetter(getattr(style, name))(block) for name in names)


def _measure(
    model: PreTrainedModel,
    style: str,
    layers: tuple[LayerModules, ...],
    final_norm: nn.Module,
) -> Anatomy:
    config: Any = model.config.get_text_config(decoder=True)
    n_heads = config.num_attention_heads
    d_ffn = getattr(config, "n_inner", None) or getattr(
        config, "intermediate_size", None
    )
    context = getattr(config, "max_position_embeddings", None)
    return Anatomy(
        style=style,
        layers=layers,
        final_norm=final_norm,
        block_kind="sequential",
        n_heads=n_heads,
        n_kv_heads=getattr(config, "num_key_value_heads", None) or n_heads,
        d_model=config.hidden_size,
        d_ffn=d_ffn or 4 * config.hidden_size,
        vocab_size=config.vocab_size,
        context=context,
    )


def linear_map(module: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A linear map's weight as [in, out] and its bias, zeros where it has none."""
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)
    assert bias is None or isinstance(bias, Tensor)
    weight = weight.detach().to(dtype)
    weight = weight if isinstance(module, Conv1D) else weight.T
    if bias is None:
        return weight, weight.new_zeros(weight.shape[1])
    return weight, bias.detach().to(dtype)


@contextmanager
def zero_attention_input(anatomy: Anatomy) -> Iterator[None]:
    """While open, every attention module reads zeros: what it uses then is its b_V."""

    def blank(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args = tuple(torch.zeros_like(a) if i == 0 else a for i, a in enumerate(args))
        if "hidden_states" in kwargs:
            kwargs = kwargs | {
                "hidden_states": torch.zeros_like(kwargs["hidden_states"])
            }
        return args, kwargs

    handles = [
        layer.attention.register_forward_pre_hook(blank, with_kwargs=True)
        for layer in anatomy.layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def output_weights(
    layer: LayerModules, value_at_zero: Tensor, *, dtype: torch.dtype
) -> OutputWeights:
    """The layer's W_O by head, b_O and b_V, from its parameters.

    `value_at_zero` [batch, head, key, d_head] is the value while the attention reads
    zeros, repeated to query heads.
    """
    weight, bias = linear_map(layer.out_proj, dtype)
    b_v = value_at_zero[0, :, 0].to(dtype)
    return OutputWeights(
        w_o=weight.reshape(b_v.shape[0], -1, weight.shape[1]), b_o=bias, b_v=b_v
    )


def ffn_weights(layer: LayerModules, *, dtype: torch.dtype) -> FfnWeights:
    """The layer's down projection, from its parameters."""
    return FfnWeights(*linear_map(layer.down_proj, dtype))
