"""CORE MATHS: a layer's writes, taken apart (DESIGN 2.1).

The attention's write at query i is the sum over heads h and keys j of
`coefficient[h, i, j] * head_values[h, j]`, plus a bias part. A value bias b_V is the
same for every token, so it is no information from a token: it moves into the bias part.

A sequential block has two steps, `attn` into resid_mid and `ffn` into resid_post; a
parallel one has a single step `block`. Neurons are taken apart in neuron_step.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .closure import Product, closure
from .contributions import Step, contributions
from .goal import Goal
from .layer import AttentionCapture, LayerCapture, LayerWeights, OutputWeights
from .proximity_kernel import (
    proximities_of_multiples,
    proximities_of_products,
    proximity,
)

GATED_ON_CPU = 2**23
"""Floats of head values at once where a gate gives every query its own: 32 MB."""

GATED_ELSEWHERE = 2**27


class Decomposed(NamedTuple):
    """One step of a layer: its contributions, and its closure [batch, query]."""

    name: str
    step: Step
    closure: Tensor


@dataclass(frozen=True, eq=False)
class AttentionParts:
    """A layer's attention as what its parts sum to."""

    heads: Float[Tensor, "batch query head d_head"]
    """See `head_outputs`."""
    bias: Float[Tensor, "batch query d_model"]
    """See `bias_part`."""
    w_o: Float[Tensor, "head d_head d_model"]

    @property
    def written(self) -> Product:
        """The heads' writes."""
        return Product(self.heads.flatten(2), self.w_o.flatten(0, 1))


def attention_parts(
    attention: AttentionCapture, weights: OutputWeights
) -> AttentionParts:
    """What the heads and the biases of an attention write."""
    heads, bias = head_outputs(attention, weights), bias_part(attention, weights)
    return AttentionParts(heads, bias, weights.w_o)


def steps(
    layer: LayerCapture,
    weights: LayerWeights,
    parts: AttentionParts,
    valid: Bool[Tensor, "batch position"],
) -> Iterator[Decomposed]:
    """The steps of a layer in their order; closures are of valid positions."""
    if weights.parallel:
        yield block_step(layer, weights, parts, valid)
    else:
        yield attention_step(layer, weights, parts, valid)
        yield ffn_step(layer, weights)


def attention_step(
    layer: LayerCapture, weights: LayerWeights, parts: AttentionParts, valid: Tensor
) -> Decomposed:
    """Contributions to `resid_mid`."""
    whole, resid = layer.resid_mid, kept(weights.keep_mid, layer.resid_pre)
    proximities = Step(
        resid=proximity(resid, whole),
        attn=attention_proximities(layer.attention, weights.attention, whole),
        ffn=torch.zeros_like(whole[..., 0]),
        bias=proximity(parts.bias, whole),
    )
    error = closure(
        resid + parts.bias,
        whole,
        resid,
        layer.attention.write,
        products=[parts.written],
        valid=valid,
    )
    return Decomposed("attn", contributions(proximities), error)


def ffn_step(layer: LayerCapture, weights: LayerWeights) -> Decomposed:
    """Contributions to `resid_post`."""
    whole, resid = layer.resid_post, kept(weights.keep_post, layer.resid_mid)
    write = layer.ffn.write
    proximities = Step(
        resid=proximity(resid, whole),
        attn=layer.attention.pattern[:, :0],
        ffn=proximity(write, whole),
        bias=torch.zeros_like(whole[..., 0]),
    )
    error = closure(resid + write, whole, resid, write)
    return Decomposed("ffn", contributions(proximities), error)


def block_step(
    layer: LayerCapture, weights: LayerWeights, parts: AttentionParts, valid: Tensor
) -> Decomposed:
    """Contributions to `resid_post` of a parallel block: attention and FFN at once."""
    whole, resid = layer.resid_post, kept(weights.keep_mid, layer.resid_pre)
    write = layer.ffn.write
    proximities = Step(
        resid=proximity(resid, whole),
        attn=attention_proximities(layer.attention, weights.attention, whole),
        ffn=proximity(write, whole),
        bias=proximity(parts.bias, whole),
    )
    error = closure(
        resid + parts.bias + write,
        whole,
        resid,
        layer.attention.write,
        write,
        products=[parts.written],
        valid=valid,
    )
    return Decomposed("block", contributions(proximities), error)


def kept(keep: float, state: Tensor) -> Tensor:
    """What a block keeps of the state it reads."""
    return state if keep == 1 else keep * state


def attention_proximities(
    attention: AttentionCapture,
    weights: OutputWeights,
    whole: Float[Tensor, "batch query d_model"],
) -> Float[Tensor, "batch head query key"]:
    """The proximity of every (head, key) part to `whole`."""
    if attention.gated:
        return _gated_proximities(attention, weights, whole)
    value = attention.value - weights.b_v[:, None]
    return proximities_of_products(
        attention.coefficient, value, weights.w_o, Goal(whole)
    )


def _gated_proximities(
    attention: AttentionCapture, weights: OutputWeights, whole: Tensor
) -> Tensor:
    """With a gate every query sees head values of its own: a few queries at a time,
    each as a prompt of one query."""
    value = attention.value - weights.b_v[:, None]
    batch, heads, queries, keys = attention.coefficient.shape
    most = GATED_ON_CPU if whole.is_cpu else GATED_ELSEWHERE
    at_once = max(1, most // (heads * keys * whole.shape[-1]))
    found = torch.zeros_like(attention.coefficient)
    for b in range(batch):
        for start in range(0, queries, at_once):
            some = slice(start, start + at_once)
            stop = min(start + at_once, queries)
            gated = attention.gate[b, some, :, None] * value[b, None, :, :stop]
            vectors = torch.einsum("qhkv,hvd->qhkd", gated, weights.w_o).contiguous()
            nearer = proximities_of_multiples(
                attention.coefficient[b, :, some, :stop].transpose(0, 1)[:, :, None],
                vectors,
                Goal(whole[b, some, None]),
                causal=False,
            )
            found[b, :, some, :stop] = nearer[:, :, 0].transpose(0, 1)
    return found


def head_outputs(
    attention: AttentionCapture, weights: OutputWeights
) -> Float[Tensor, "batch position head d_head"]:
    """What each head attended to, before W_O and without the value bias.

    Its product with the head's W_O is the head's write.
    """
    attended = torch.einsum(
        "bhqk,bhkv->bqhv", attention.coefficient, attention.value - weights.b_v[:, None]
    )
    return attended * attention.gate if attention.gated else attended


def bias_part(
    attention: AttentionCapture, weights: OutputWeights
) -> Float[Tensor, "batch query d_model"]:
    """The output bias, the value bias as the attention passed it on, and the biases of
    norms behind the attention."""
    seen = attention.coefficient.sum(-1)
    if attention.gated:
        held = torch.einsum("bhq,bqhv,hv->bqhv", seen, attention.gate, weights.b_v)
        passed_on = torch.einsum("bqhv,hvd->bqd", held, weights.w_o)
    else:
        by_head = torch.einsum("hv,hvd->hd", weights.b_v, weights.w_o)
        passed_on = torch.einsum("bhq,hd->bqd", seen, by_head)
    return passed_on + attention.scale[..., None] * weights.b_o + attention.constant
