"""One layer's attention, from what a probe saw: pattern times value, then W_O."""

from dataclasses import fields

import torch
from torch import Tensor, nn

from .anatomy import AttentionAnatomy
from .errors import ModelError
from .fit import identical, same
from .linear_norm import LinearNorm
from .measure_norm import proven_norm
from .probe import AttentionCall, Call
from .trails import Layer, Trails
from .weights import linear_shape


def find_attention(layer: Trails) -> Layer:
    """The layer with its attention and output projection; b_V is not known yet.

    Raises ModelError naming what does not fit.
    """
    call = _only_attention(layer)
    name, module = _reader(layer, call)
    scaled = _is_scaled(layer, call)
    o_proj, gated, inner = _output_projection(layer, call)
    heads, d_head = call.pattern.shape[1], call.value.shape[-1]
    attention = AttentionAnatomy(
        name=name,
        module=module,
        out_proj=o_proj.module,
        n_heads=heads,
        n_kv_heads=call.value.shape[1],
        d_head=d_head,
        scaled=scaled,
        gated=gated,
        inner_norm=inner,
        b_v=call.value.new_zeros(heads, d_head),
    )
    known = {field.name: getattr(layer, field.name) for field in fields(Trails)}
    return Layer(**known, attention=attention, o_proj=o_proj)


def _is_scaled(layer: Trails, call: AttentionCall) -> bool:
    """Whether the heads' outputs are pattern times value times a number a head and
    query, rather than just pattern times value; ModelError if neither."""
    kind = f"{layer.where}: {type(call.module).__name__}"
    pattern, value, output = call.pattern, call.value, call.output
    heads, kv_heads = pattern.shape[1], value.shape[1]
    tokens = layer.resid_pre.shape[1]
    if pattern.shape[-2:] != (tokens, tokens) or value.shape[-2] != tokens:
        raise ModelError(
            f"{kind} attends to {value.shape[-2]} keys at {tokens} tokens: keys that "
            "are no token have no place in a route"
        )
    if pattern.triu(1).abs().max() > 1e-6:
        raise ModelError(
            f"{kind} attends to later tokens: this is no causal decoder, but an encoder"
        )
    if heads % kv_heads:
        raise ModelError(f"{kind} has {heads} heads on {kv_heads} of keys and values")
    repeated = value.repeat_interleave(heads // kv_heads, 1)
    attended = torch.einsum("bhqk,bhkv->bqhv", pattern.to(value), repeated)
    if same(attended, output.reshape(attended.shape), layer.tolerance):
        return False
    factor = head_scale(attended, output)[..., None]
    if not same(attended * factor, output, layer.tolerance):
        raise ModelError(f"{kind} gives something else than its pattern times values")
    return True


def _reader(layer: Trails, attention: AttentionCall) -> tuple[str, nn.Module]:
    """The innermost module around an attention that reads a state of the stream's
    width, and its name: what makes queries, keys and values of it."""
    modules = layer.block.named_modules()
    inner = next(name for name, module in modules if module is attention.module)
    around = [
        call
        for call in layer.trail.calls
        if (inner + ".").startswith(call.name + ".")
        and call.read is not None
        and call.read.numel() == layer.resid_pre.numel()
        and call.read.shape[-1] == layer.resid_pre.shape[-1]
    ]
    if not around:
        return inner, attention.module
    innermost = max(around, key=lambda call: len(call.name))
    return innermost.name, innermost.module


def head_scale(attended: Tensor, output: Tensor) -> Tensor:
    """[batch query head]: the number for which output = number * attended."""
    size = attended.square().sum(-1)
    return torch.where(size > 0, (attended * output).sum(-1) / size, 1)


def _only_attention(layer: Trails) -> AttentionCall:
    trail = layer.trail
    if len(trail.attentions) == 1:
        return trail.attentions[0]
    parts = dict.fromkeys(
        f"{call.name} ({type(call.module).__name__})"
        for call in trail.calls
        if "." not in call.name and linear_shape(call.module) is None
    )
    how_many = len(trail.attentions) or "no"
    why = (
        "a state-space, convolution or linear-attention layer has no attention "
        "pattern to decompose"
        if not trail.attentions
        else "a layer must have one"
    )
    raise ModelError(
        f"{layer.where} has {how_many} softmax attentions: {why}; its parts: "
        f"{', '.join(parts)}"
    )


def _output_projection(
    layer: Trails, attention: AttentionCall
) -> tuple[Call, bool, LinearNorm | None]:
    """The call of W_O, whether there is a gate before it, and a norm before it."""
    where, tolerance = layer.where, layer.tolerance
    flat = attention.output.flatten(2)
    after = layer.trail.calls[attention.at :]
    shape = (flat.shape[-1], layer.resid_pre.shape[-1])
    readers = [call for call in after if linear_shape(call.module) == shape]
    for call in readers:
        if identical(call.read, flat):
            return call, False, None
    for between in after:
        if identical(between.read, flat) and not identical(between.gave, flat):
            for call in readers:
                if identical(call.read, between.gave):
                    return call, False, proven_norm(between, where, tolerance)
    if readers:
        assert layer.factors is not None
        factors = layer.factors.to(flat).flatten(2)
        changed = {call.name: call.read for call in layer.changed.calls}
        for call in readers:
            read, other = call.read, changed.get(call.name)
            if (
                read is not None
                and other is not None
                and same(other, read.reshape(flat.shape) * factors, tolerance)
            ):
                return call, True, None
        names = ", ".join(call.name for call in readers)
        raise ModelError(
            f"{where}: {names} reads no linear image of the attention's output"
        )
    raise ModelError(
        f"{where}: no linear map reads the output of {type(attention.module).__name__}"
        f" ({shape[0]} wide)"
    )
