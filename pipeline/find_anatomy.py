"""A model's anatomy, found without names and proven on a few random tokens.

1. A plain forward pass, and one that is watched: the same logits, or a tap is wrong.
2. The residual stream; in every layer attention, writers, and norms behind them.
3. Tokens may mix in the attention patterns only.
4. The value bias: the value of an attention that reads zeros.

Raises ModelError with the layer and module where something does not add up. No family
is listed here: what a model is follows from what it does.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .anatomy import Anatomy, AttentionAnatomy, LayerAnatomy
from .errors import ModelError
from .find_attention import find_attention
from .find_stream import check_isolation, decoder_layers, final_norm, stream_states
from .find_writers import find_writers
from .probe import Probe, first_tensor, probe, with_tensor
from .trails import Layer, Trails
from .weights import experts_map, linear_shape

PROBE_SHAPE = (2, 7)
"""Prompts and tokens: unequal, so that a wrong reshape shows."""


def find_anatomy(model: PreTrainedModel, tolerance: float) -> Anatomy:
    """The anatomy; `tolerance` is the closure bound of the model's dtype."""
    if model.training:
        raise ModelError("the model is in training mode: call model.eval() first")
    name, blocks = decoder_layers(model)
    names = [f"{name}.{i}" for i in range(len(blocks))]
    ids = probe_tokens(model)
    seen = probe(model, blocks, ids, by_interface=True)
    by_interface = any(trail.attentions for trail in seen.layers)
    run = partial(probe, model, blocks, by_interface=by_interface)
    if not by_interface:
        seen = run(ids)
    _check_logits(model, seen, tolerance)
    states, twice = stream_states(seen, names), run(ids, doubling=seen)
    begun = [
        find_attention(
            Trails(
                name=names[i],
                block=blocks[i],
                trail=seen.layers[i],
                doubled=twice.layers[i],
                resid_pre=resid_pre,
                resid_post=resid_post,
                tolerance=tolerance,
            )
        )
        for i, (resid_pre, resid_post) in enumerate(states)
    ]
    layers = _find_writers(begun)
    _check_alike(layers)
    others = (ids + 1) % vocabulary(model)
    others[0, 1:] = ids[0, 1:]
    check_isolation(seen, run(others, replaying=seen), names, tolerance)
    layers = _with_value_biases(run, ids, layers)
    return _anatomy(model, layers, seen, by_interface=by_interface)


def _find_writers(begun: Sequence[Layer]) -> list[LayerAnatomy]:
    """Every layer's anatomy. A layer whose attention writes nothing is of the kind of
    the others: nothing in it shows whether its FFN reads what the attention wrote."""
    kinds = {i: find_writers(x) for i, x in enumerate(begun) if not x.silent}
    parallel = any(found.mid_reader is None for found in kinds.values())
    for i, layer in enumerate(begun):
        if layer.silent:
            kinds[i] = find_writers(layer, parallel=parallel)
    return [kinds[i] for i in range(len(begun))]


def probe_tokens(model: PreTrainedModel) -> Tensor:
    """Random tokens [batch, position], no special ones where it can be helped."""
    high = vocabulary(model)
    generator = torch.Generator().manual_seed(0)
    low = min(3, high - 1)
    ids = torch.randint(low, high, PROBE_SHAPE, generator=generator)
    return ids.to(model.device)


def vocabulary(model: PreTrainedModel) -> int:
    """The number of token ids."""
    size: int = model.config.get_text_config(decoder=True).vocab_size
    return size


@torch.inference_mode()
def _check_logits(model: PreTrainedModel, seen: Probe, tolerance: float) -> None:
    """The watched forward pass gives the model's own logits."""
    mask = torch.ones_like(seen.ids)
    own = model(input_ids=seen.ids, attention_mask=mask, use_cache=False).logits
    error = (seen.logits - own).float().abs().amax(-1) / own.float().abs().amax(-1)
    # In half precision rounding flips a router's choice now and then.
    routed = any(trail.experts for trail in seen.layers)
    half = own.dtype in (torch.float16, torch.bfloat16)
    allowed = 0.25 if routed and half else 0
    if not (error > 10 * tolerance).float().mean() <= allowed:
        raise ModelError(
            f"{type(model).__name__} gives other logits while it is watched (relative "
            f"difference {float(error.max()):.1g}): its attention cannot be tapped"
        )


def _check_alike(layers: list[LayerAnatomy]) -> None:
    first = layers[0]
    for layer in layers:
        if layer.attention.n_heads != first.attention.n_heads:
            raise ModelError(
                f"{layer.name} has {layer.attention.n_heads} heads, {first.name} has "
                f"{first.attention.n_heads}: layers must have the same number"
            )
        if (layer.mid_reader is None) != (first.mid_reader is None):
            raise ModelError(
                f"of {first.name} and {layer.name} one is a parallel block, the other "
                "a sequential one: layers must be of one kind"
            )


def _with_value_biases(
    run: Callable[..., Probe], ids: Tensor, layers: list[LayerAnatomy]
) -> list[LayerAnatomy]:
    """The layers with b_V: the value at a zero input, where values are affine."""
    width = _width(layers)
    generator = torch.Generator().manual_seed(1)
    direction = torch.randn(width, generator=generator).to(ids.device)
    values = [_values(run, ids, layers, t * direction) for t in (0, 1, 2)]
    found = []
    for layer, zero, one, two in zip(layers, *values, strict=True):
        at_zero = zero[0, :, 0]
        slack = max(1e-3, 20 * torch.finfo(zero.dtype).eps) * two.abs().max()
        bent = (two - 2 * one + zero).abs().max() > slack
        varies = (zero - zero[:1, :, :1]).abs().max() > slack
        heads = layer.attention.n_heads
        b_v = torch.zeros_like(at_zero) if bent or varies else at_zero
        b_v = b_v.repeat_interleave(heads // len(b_v), 0).clone()
        found.append(replace(layer, attention=replace(layer.attention, b_v=b_v)))
    return found


def _width(layers: list[LayerAnatomy]) -> int:
    shape = linear_shape(layers[0].attention.out_proj)
    assert shape is not None
    return shape[1]


def _values(
    run: Callable[..., Probe], ids: Tensor, layers: list[LayerAnatomy], state: Tensor
) -> list[Tensor]:
    """Every layer's values [batch head key d_head] while its attention reads `state`
    at every position."""

    def blank(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = first_tensor(args, kwargs)
        assert given is not None
        same = state.to(given).expand_as(given).clone()
        return with_tensor(args, kwargs, given, same)

    handles = [
        layer.attention.module.register_forward_pre_hook(blank, with_kwargs=True)
        for layer in layers
    ]
    try:
        seen = run(ids)
    finally:
        for handle in handles:
            handle.remove()
    return [trail.attentions[0].value for trail in seen.layers]


def _anatomy(
    model: PreTrainedModel,
    layers: list[LayerAnatomy],
    seen: Probe,
    *,
    by_interface: bool,
) -> Anatomy:
    config = model.config.get_text_config(decoder=True)
    first: AttentionAnatomy = layers[0].attention
    return Anatomy(
        layers=tuple(layers),
        by_interface=by_interface,
        final_norm=final_norm(model, seen),
        n_heads=first.n_heads,
        n_kv_heads=first.n_kv_heads,
        d_model=_width(layers),
        d_ffn=_neurons(layers),
        vocab_size=vocabulary(model),
        context=getattr(config, "max_position_embeddings", None)
        or getattr(config, "max_seq_len", None),
    )


def _neurons(layers: list[LayerAnatomy]) -> int:
    """The width of the widest FFN, or of an expert of it; 0 where none opens up."""
    widths = [0]
    for writer in (writer for layer in layers for writer in layer.writers):
        if writer.kind == "linear":
            widths.append((linear_shape(writer.module) or (0, 0))[0])
        elif writer.kind == "experts":
            widths.append(experts_map(writer.module)[0].shape[1])
    return max(widths)
