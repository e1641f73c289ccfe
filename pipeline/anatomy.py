"""Where a model keeps its residual stream, its attention and its FFN.

Two block styles are known, each as data; a model of another style is refused. Names
alone prove nothing, so every prompt's closure is measured as well (contributions.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from .decompose import OutputWeights
from .errors import ModelError


@dataclass(frozen=True)
class BlockStyle:
    """The names of a sequential block's parts, as transformers gives them."""

    layers: str
    attention: str
    out_proj: str
    mid_norm: str
    """The norm that reads `resid_mid`."""
    ffn: str


STYLES = {
    "GPT-2": BlockStyle("transformer.h", "attn", "attn.c_proj", "ln_2", "mlp"),
    "Llama": BlockStyle(
        "model.layers",
        "self_attn",
        "self_attn.o_proj",
        "post_attention_layernorm",
        "mlp",
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


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What was found in a model; the rest of the pipeline asks no model for names."""

    style: str
    layers: tuple[LayerModules, ...]
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
            layers = tuple(
                LayerModules(
                    block,
                    *(
                        attrgetter(part)(block)
                        for part in (
                            style.attention,
                            style.out_proj,
                            style.mid_norm,
                            style.ffn,
                        )
                    ),
                )
                for block in blocks
            )
        except AttributeError:
            continue
        return _measure(model, name, layers)
    raise ModelError(
        f"{type(model).__name__} cannot be decomposed: its blocks are neither "
        f"{' nor '.join(f'{name}-style' for name in STYLES)}"
    )


def _measure(
    model: PreTrainedModel, style: str, layers: tuple[LayerModules, ...]
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
        block_kind="sequential",
        n_heads=n_heads,
        n_kv_heads=getattr(config, "num_key_value_heads", None) or n_heads,
        d_model=config.hidden_size,
        d_ffn=d_ffn or 4 * config.hidden_size,
        vocab_size=config.vocab_size,
        context=context,
    )


def linear_weight(module: nn.Module) -> tuple[Tensor, Tensor | None]:
    """A linear map's weight as [in, out], and its bias."""
    weight, bias = module.weight, module.bias
    assert isinstance(weight, Tensor)
    assert bias is None or isinstance(bias, Tensor)
    return (weight if isinstance(module, Conv1D) else weight.T), bias


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
    weight, bias = linear_weight(layer.out_proj)
    weight = weight.to(dtype)
    b_v = value_at_zero[0, :, 0].to(dtype)
    return OutputWeights(
        w_o=weight.reshape(b_v.shape[0], -1, weight.shape[1]),
        b_o=weight.new_zeros(weight.shape[1]) if bias is None else bias.to(dtype),
        b_v=b_v,
    )
