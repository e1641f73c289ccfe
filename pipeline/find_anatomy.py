"""A model's anatomy, found without names and proven on a few random tokens.

1. A plain forward pass, and one that is watched: the same logits, or a tap is wrong.
2. The residual stream; in every layer attention, writers, and norms behind them.
3. Tokens may mix in the attention patterns only, and a layer reads its own state only.
4. The value bias: the value of an attention that reads zeros.

Raises ModelError with the layer and module where something does not add up. No family
is listed here: what a model is follows from what it does.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .anatomy import Anatomy, LayerAnatomy
from .errors import ModelError
from .find_attention import find_attention
from .find_order import check_order
from .find_sources import LENGTH, Run, check_isolation, check_sources, reads_tokens
from .find_stream import decoder_layers, final_norm, stream_states
from .find_writers import find_writers
from .probe import Probe, first_tensor, probe, with_tensor
from .taps import unwatched
from .trails import Layer, Trails
from .weights import experts_map, linear_shape

PROBE_SHAPE = (2, 7)
"""Prompts and tokens: unequal, so that a wrong reshape shows."""

CONTEXT_NAMES = (
    "max_position_embeddings",
    "max_target_positions",
    "max_seq_len",
    "n_positions",
)
"""How configurations call the most tokens a prompt may have."""

# What a model's own code raises where it cannot run.
RUN_ERRORS = (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError)


def find_anatomy(model: PreTrainedModel, tolerance: float) -> Anatomy:
    """The anatomy; `tolerance` is the closure bound of the model's dtype."""
    if model.training:
        raise ModelError("the model is in training mode: call model.eval() first")
    name, blocks = decoder_layers(model)
    names = [f"{name}.{i}" for i in range(len(blocks))]
    prompts, length = PROBE_SHAPE
    room = context_of(model) or LENGTH
    shape = (prompts, min(length, room))
    ids = probe_tokens(model, shape, seed=0)
    own = _own_logits(model, ids)
    seen = probe(model, blocks, ids, by_interface=True)
    by_interface = any(trail.attentions for trail in seen.layers)
    run = partial(probe, model, blocks, by_interface=by_interface)
    if not by_interface:
        seen = run(ids)
    _check_logits(model, seen, own, tolerance)
    layers = _find_layers(run, seen, blocks, names, tolerance)
    _check_alike(layers)
    tokens = probe_tokens(model, (prompts, min(LENGTH, room)), seed=1)
    check_isolation(run, tokens, other_tokens(model, tokens), names, tolerance)
    check_sources(run, seen, names, tolerance)
    check_order(run, seen, layers, tolerance)
    config = model.config.get_text_config(decoder=True)
    return Anatomy(
        layers=tuple(_with_value_biases(run, ids, layers)),
        by_interface=by_interface,
        reads_tokens=reads_tokens(run, seen, other_tokens(model, ids), tolerance),
        final_norm=final_norm(model, seen),
        n_heads=layers[0].attention.n_heads,
        n_kv_heads=layers[0].attention.n_kv_heads,
        d_model=_width(layers),
        d_ffn=_neurons(layers),
        vocab_size=config.vocab_size,
        context=context_of(model),
    )


def context_of(model: PreTrainedModel) -> int | None:
    """The most tokens a prompt may have; None where the configuration has no limit."""
    config = model.config.get_text_config(decoder=True)
    found = (getattr(config, name, None) for name in CONTEXT_NAMES)
    return next((n for n in found if isinstance(n, int) and n > 0), None)


def _find_layers(
    run: Run,
    seen: Probe,
    blocks: Sequence[nn.Module],
    names: Sequence[str],
    tolerance: float,
) -> list[LayerAnatomy]:
    """Every layer's anatomy, without b_V. In a second pass every layer reads what it
    read, and its heads' outputs are multiplied by random factors."""
    states = stream_states(seen, names)
    generator = torch.Generator().manual_seed(0)
    factors = {
        i: torch.randn(trail.attentions[0].output.shape, generator=generator)
        for i, trail in enumerate(seen.layers)
        if trail.attentions
    }

    def attend(layer: int, output: Tensor) -> None:
        if output.shape == factors[layer].shape:
            output.mul_(factors[layer].to(output))

    changed = run(seen.ids, states=seen.states(), attend=attend)
    begun = [
        find_attention(
            Trails(
                name=names[i],
                block=blocks[i],
                trail=seen.layers[i],
                changed=changed.layers[i],
                factors=factors.get(i),
                resid_pre=resid_pre,
                resid_post=resid_post,
                tolerance=tolerance,
            )
        )
        for i, (resid_pre, resid_post) in enumerate(states)
    ]
    return _find_writers(begun)


def _find_writers(begun: Sequence[Layer]) -> list[LayerAnatomy]:
    """Every layer's anatomy. A layer whose attention writes nothing is of the kind of
    the others: nothing in it shows whether its FFN reads what the attention wrote."""
    kinds = {i: find_writers(x) for i, x in enumerate(begun) if not x.silent}
    parallel = any(found.mid_reader is None for found in kinds.values())
    for i, layer in enumerate(begun):
        if layer.silent:
            kinds[i] = find_writers(layer, parallel=parallel)
    return [kinds[i] for i in range(len(begun))]


def probe_tokens(
    model: PreTrainedModel, shape: tuple[int, int], *, seed: int
) -> Tensor:
    """Random tokens [batch, position], no special ones where it can be helped."""
    high = model.config.get_text_config(decoder=True).vocab_size
    low = 3 if high > 16 else 0
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, shape, generator=generator).to(model.device)


def other_tokens(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Tokens of which each differs from the one given, where there are two."""
    size = model.config.get_text_config(decoder=True).vocab_size
    generator = torch.Generator().manual_seed(2)
    steps = torch.randint(min(1, size - 1), size, ids.shape, generator=generator)
    others: Tensor = (ids + steps.to(ids)) % size
    return others


def _own_logits(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """The model's logits, unwatched; ModelError where it cannot run or overflows."""
    dtype = str(model.dtype).removeprefix("torch.")
    try:
        with torch.inference_mode(), unwatched(model):
            mask = torch.ones_like(ids)
            logits: Tensor = model(
                input_ids=ids, attention_mask=mask, use_cache=False
            ).logits
    except RUN_ERRORS as error:
        said = str(error).strip().splitlines()
        raise ModelError(
            f"{type(model).__name__} cannot be run in {dtype}: "
            f"{said[0] if said else repr(error)}"
        ) from error
    if not logits.isfinite().all():
        raise ModelError(
            f"{type(model).__name__} gives NaN or infinite logits in {dtype}: try "
            "--dtype bfloat16 or float32"
        )
    return logits


def _check_logits(
    model: PreTrainedModel, seen: Probe, own: Tensor, tolerance: float
) -> None:
    """The watched forward pass gives the model's own logits."""
    size = own.float().abs().amax(-1).clamp_min(torch.finfo(torch.float32).tiny)
    error = (seen.logits - own).float().abs().amax(-1) / size
    # In half precision rounding flips a router's choice now and then.
    routed = any(trail.experts for trail in seen.layers)
    half = own.dtype in (torch.float16, torch.bfloat16)
    allowed = 0.25 if routed and half else 0
    off = ~(error <= 10 * tolerance)
    if off.float().mean() > allowed:
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
    run: Run, ids: Tensor, layers: list[LayerAnatomy]
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
    run: Run, ids: Tensor, layers: list[LayerAnatomy], state: Tensor
) -> list[Tensor]:
    """Every layer's values [batch head key d_head] while its attention reads `state`
    at every position."""

    def blank(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        given = first_tensor(args, kwargs)
        assert given is not None
        same = state.to(given).expand_as(given).clone()
        # Keys and values may come from another argument than queries do.
        for value in (*args, *kwargs.values()):
            if isinstance(value, Tensor) and value.shape == given.shape:
                args, kwargs = with_tensor(args, kwargs, value, same)
        return args, kwargs

    handles = [
        layer.attention.module.register_forward_pre_hook(blank, with_kwargs=True)
        for layer in layers
    ]
    try:
        seen = run(ids, whole=False)
    finally:
        for handle in handles:
            handle.remove()
    return [trail.attentions[0].value for trail in seen.layers]


def _neurons(layers: list[LayerAnatomy]) -> int:
    """The width of the widest FFN, or of an expert of it; 0 where none opens up."""
    widths = [0]
    for writer in (writer for layer in layers for writer in layer.writers):
        if writer.kind == "linear":
            widths.append((linear_shape(writer.module) or (0, 0))[0])
        elif writer.kind == "experts":
            widths.append(experts_map(writer.module)[0].shape[1])
    return max(widths)
