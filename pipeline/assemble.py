"""What one layer's modules showed in a forward pass, as a LayerCapture.

A writer's output goes through its norms into the stream. A norm's scale is one number
for each position, from what it read and gave; a coefficient that differs from token to
token is the one number with which the writes add up to the model's own state.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .anatomy import LayerAnatomy
from .errors import ModelError
from .find_attention import head_scale
from .fit import coefficients
from .layer import AttentionCapture, BankCapture, FfnCapture, LayerCapture


@dataclass(frozen=True, eq=False)
class SeenExperts:
    """Experts at work; shapes as in `taps.Watcher`."""

    activation: Float[Tensor, "token slot neuron"]
    expert: Int[Tensor, "token slot"]
    weight: Float[Tensor, "token slot"]


@dataclass(eq=False)
class Seen:
    """What was seen of one layer so far, in the reductions' dtype."""

    resid_pre: Tensor
    pattern: Tensor | None = None
    value: Tensor | None = None
    heads_output: Tensor | None = None
    """[batch query head d_head], before a gate or a norm."""
    resid_mid: Tensor | None = None
    read: dict[nn.Module, Tensor] = field(default_factory=dict)
    """By writers and norms; of the shape [batch position width]."""
    gave: dict[nn.Module, Tensor] = field(default_factory=dict)
    experts: dict[nn.Module, SeenExperts] = field(default_factory=dict)


@dataclass(eq=False)
class _Way:
    """A writer's output on its way into the stream."""

    image: Tensor
    """All of it, with the biases of the norms so far."""
    constant: Tensor | None
    """Of the image what comes from those biases; None: nothing."""
    scale: Tensor
    """What its linear part was multiplied by, gains and centring aside."""

    def times(self, factor: Tensor) -> None:
        self.image = self.image * factor[..., None]
        self.scale = self.scale * factor
        if self.constant is not None:
            self.constant = self.constant * factor[..., None]


def assemble(seen: Seen, resid_post: Tensor, layer: LayerAnatomy) -> LayerCapture:
    """The layer's capture, now that it has given `resid_post`."""
    ways = _through_norms(seen, layer)
    attention, *ffn = ways
    first, *others = (writer.coefficient for writer in layer.writers)
    if layer.mid_reader is None:
        base = seen.resid_pre
        found = coefficients(
            resid_post,
            [base, *(way.image for way in ways)],
            [layer.keep_mid, first, *others],
        )[1:]
        resid_mid = layer.keep_mid * base + attention.image * found[0][..., None]
    else:
        assert seen.resid_mid is not None
        resid_mid = seen.resid_mid
        found = coefficients(
            resid_mid, [seen.resid_pre, attention.image], [layer.keep_mid, first]
        )[1:]
        found += coefficients(
            resid_post,
            [resid_mid, *(way.image for way in ffn)],
            [layer.keep_post, *others],
        )[1:]
    for way, coefficient, writer in zip(ways, found, layer.writers, strict=True):
        if writer.coefficient != 1:
            way.times(coefficient)
    return LayerCapture(
        resid_pre=seen.resid_pre,
        resid_mid=resid_mid,
        resid_post=resid_post,
        attention=_attention(seen, layer, attention),
        ffn=_ffn(seen, layer, ffn),
    )


def _through_norms(seen: Seen, layer: LayerAnatomy) -> list[_Way]:
    used = [(w.name, w.module) for w in layer.writers]
    used += [(norm.name, norm.module) for norm in layer.norms]
    hidden = [name for name, module in used if module not in seen.gave]
    if hidden or seen.pattern is None:
        raise ModelError(
            f"{layer.name}: {', '.join(hidden) or 'its attention'} did not run where "
            "it can be seen: compiled layers hide their modules, load the plain model"
        )
    ones = torch.ones_like(seen.resid_pre[..., 0])
    ways = [_Way(seen.gave[w.module], None, ones) for w in layer.writers]
    for norm in layer.norms:
        read, gave = seen.read[norm.module], seen.gave[norm.module]
        own = norm.norm.to(read)
        scale = own.scale(read, gave)
        group = [ways[i] for i in norm.writers]
        solved = coefficients(read, [way.image for way in group], norm.coefficients)
        for way, coefficient in zip(group, solved, strict=True):
            way.times(coefficient * scale)
            way.image = own.direction(way.image)
            if way.constant is not None:
                way.constant = own.direction(way.constant)
        if own.bias.any():
            bias = own.bias.expand_as(read)
            leader = group[0]
            leader.image = leader.image + bias
            leader.constant = (
                bias if leader.constant is None else leader.constant + bias
            )
    return ways


def _constant(ways: Sequence[_Way], like: Tensor) -> Tensor:
    found = [way.constant for way in ways if way.constant is not None]
    return torch.stack(found).sum(0) if found else torch.zeros_like(like)


def _attention(seen: Seen, layer: LayerAnatomy, way: _Way) -> AttentionCapture:
    own, pattern, value = layer.attention, seen.pattern, seen.value
    assert pattern is not None
    assert value is not None
    assert seen.heads_output is not None
    value = value.repeat_interleave(own.n_heads // value.shape[1], 1)
    output = seen.heads_output
    by_query = way.scale[:, None]
    if own.scaled:
        attended = torch.einsum("bhqk,bhkv->bqhv", pattern, value)
        by_query = by_query * head_scale(attended, output).transpose(1, 2)
    gate = output.new_ones(1, 1, 1, 1)
    reads = seen.read[own.out_proj]
    if own.inner_norm is not None:
        norm = own.inner_norm.to(output)
        by_query = by_query * norm.scale(output.flatten(2), reads)[:, None]
    if own.gated:
        gate = reads.reshape(output.shape) / output
        gate = torch.where(output == 0, 0, gate)
    plain = not (own.scaled or own.inner_norm is not None or layer.norms_of(0))
    plain = plain and layer.writers[0].coefficient == 1
    return AttentionCapture(
        pattern=pattern,
        coefficient=pattern if plain else pattern * by_query[..., None],
        value=value,
        gate=gate,
        scale=way.scale,
        constant=_constant([way], way.image),
        write=way.image,
    )


def _ffn(seen: Seen, layer: LayerAnatomy, ways: Sequence[_Way]) -> FfnCapture:
    banks = []
    for writer, way in zip(layer.writers[1:], ways, strict=True):
        shape = way.scale.shape
        if writer.kind == "experts":
            experts = seen.experts[writer.module]
            activation = experts.activation.unflatten(0, shape)
            expert = experts.expert.unflatten(0, shape)
            weight = experts.weight.unflatten(0, shape)
        elif writer.kind == "linear":
            activation = seen.read[writer.module][:, :, None]
            expert = torch.zeros_like(way.scale, dtype=torch.long)[..., None]
            weight = torch.ones_like(way.scale)[..., None]
        else:
            continue
        banks.append(BankCapture(activation, expert, weight, way.scale))
    write = (
        ways[0].image if len(ways) == 1 else torch.stack([w.image for w in ways]).sum(0)
    )
    return FfnCapture(tuple(banks), _constant(ways, write), write)
