"""One layer's attention, from what a probe saw: pattern times value, then W_O."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .anatomy import AttentionAnatomy
from .errors import ModelError
from .fit import identical, same
from .linear_norm import LinearNorm
from .measure_norm import proven_norm
from .probe import AttentionCall, Call, LayerTrail
from .weights import linear_shape

Doubled = Callable[[], LayerTrail]
"""What this layer does when its attention's output is doubled on the way."""


def find_attention(
    trail: LayerTrail, block: nn.Module, where: str, tolerance: float, doubled: Doubled
) -> tuple[AttentionAnatomy, Call]:
    """The layer's attention, and the call of its output projection; b_V is not known
    yet. Raises ModelError naming what does not fit."""
    call = _only_attention(trail, where)
    name, module = _reader(trail, block, call)
    kind = type(call.module).__name__
    pattern, value, output = call.pattern, call.value, call.output
    heads, kv_heads = pattern.shape[1], value.shape[1]
    if pattern.shape[-1] == pattern.shape[-2] and pattern.triu(1).abs().max() > 1e-6:
        raise ModelError(
            f"{where}: {kind} attends to later tokens: this is no causal decoder, but "
            "an encoder"
        )
    if pattern.shape[-1] != value.shape[-2] or heads % kv_heads:
        raise ModelError(f"{where}: the attention pattern of {kind} is not per token")
    repeated = value.repeat_interleave(heads // kv_heads, 1)
    attended = torch.einsum("bhqk,bhkv->bqhv", pattern.to(value), repeated)
    scaled = not same(attended, output.reshape(attended.shape), tolerance)
    if scaled:
        factor = head_scale(attended, output)[..., None]
        if not same(attended * factor, output, tolerance):
            raise ModelError(
                f"{where}: the output of {kind} is not its pattern times its values"
            )
    flat = output.flatten(2)
    o_proj, gated, inner = _output_projection(
        trail, call, flat, where, tolerance, doubled
    )
    return AttentionAnatomy(
        name=name,
        module=module,
        out_proj=o_proj.module,
        n_heads=heads,
        n_kv_heads=kv_heads,
        d_head=value.shape[-1],
        scaled=scaled,
        gated=gated,
        inner_norm=inner,
        b_v=value.new_zeros(heads, value.shape[-1]),
    ), o_proj


def _reader(
    trail: LayerTrail, block: nn.Module, attention: AttentionCall
) -> tuple[str, nn.Module]:
    """The innermost module around an attention that reads a state of the stream's
    width, and its name: what makes queries, keys and values of it."""
    inner = next(n for n, m in block.named_modules() if m is attention.module)
    entered = trail.entered[0]
    assert entered is not None
    around = [
        call
        for call in trail.calls
        if (inner + ".").startswith(call.name + ".")
        and call.read is not None
        and call.read.numel() == entered.numel()
        and call.read.shape[-1] == entered.shape[-1]
    ]
    if not around:
        return inner, attention.module
    innermost = max(around, key=lambda call: len(call.name))
    return innermost.name, innermost.module


def head_scale(attended: Tensor, output: Tensor) -> Tensor:
    """[batch query head]: the number for which output = number * attended."""
    size = attended.square().sum(-1)
    return torch.where(size > 0, (attended * output).sum(-1) / size, 1)


def _only_attention(trail: LayerTrail, where: str) -> AttentionCall:
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
        f"{where} has {how_many} softmax attentions: {why}; its parts: "
        f"{', '.join(parts)}"
    )


def _output_projection(
    trail: LayerTrail,
    attention: AttentionCall,
    flat: Tensor,
    where: str,
    tolerance: float,
    doubled: Doubled,
) -> tuple[Call, bool, LinearNorm | None]:
    """The call of W_O, whether there is a gate before it, and a norm before it."""
    after = trail.calls[attention.at :]
    entered = trail.entered[0]
    assert entered is not None
    shape = (flat.shape[-1], entered.shape[-1])
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
        twice = {call.name: call.read for call in doubled().calls}
        for call in readers:
            read, other = call.read, twice.get(call.name)
            if (
                read is not None
                and other is not None
                and same(other, 2 * read, tolerance)
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
