"""CORE MATHS: a layer's writes, taken apart (DESIGN 2.1).

The attention's write at query i is the sum over heads h and keys j of
`coefficient[h, i, j] * head_values[h, j]`, plus a bias part. A value bias b_V is the
same for every token, so it is no information from a token: it moves into the bias part.

A sequential block has two steps, `attn` into resid_mid and `ffn` into resid_post; a
parallel one has a single step `block`. Neurons are taken apart in neuron_step.py.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from .contributions import Step, closure, contributions, proximity
from .layer import AttentionCapture, LayerCapture, LayerWeights, OutputWeights
from .proximity_kernel import proximities_of_multiples

GATED_ON_CPU = 2**23
"""Floats of head values at once where a gate gives every query its own: 32 MB."""

GATED_ELSEWHERE = 2**27


class Decomposed(NamedTuple):
    """One step of a layer: its contributions, and its closure [batch, query]."""

    name: str
    step: Step
    closure: Tensor


def steps(layer: LayerCapture, weights: LayerWeights) -> Iterator[Decomposed]:
    """The steps of a layer in their order."""
    if weights.parallel:
        yield block_step(layer, weights)
    else:
        yield attention_step(layer, weights)
        yield ffn_step(layer, weights)


def attention_step(layer: LayerCapture, weights: LayerWeights) -> Decomposed:
    """Contributions to `resid_mid`."""
    whole, resid = layer.resid_mid, weights.keep_mid * layer.resid_pre
    bias = bias_part(layer.attention, weights.attention)
    proximities = Step(
        resid=proximity(resid, whole),
        attn=attention_proximities(layer.attention, weights.attention, whole),
        ffn=torch.zeros_like(whole[..., 0]),
        bias=proximity(bias, whole),
    )
    written = written_by_heads(layer.attention, weights.attention)
    error = closure(resid + written + bias, whole, resid, layer.attention.write)
    return Decomposed("attn", contributions(proximities), error)


def ffn_step(layer: LayerCapture, weights: LayerWeights) -> Decomposed:
    """Contributions to `resid_post`."""
    whole, resid = layer.resid_post, weights.keep_post * layer.resid_mid
    write = layer.ffn.write
    proximities = Step(
        resid=proximity(resid, whole),
        attn=layer.attention.pattern[:, :0],
        ffn=proximity(write, whole),
        bias=torch.zeros_like(whole[..., 0]),
    )
    error = closure(resid + write, whole, resid, write)
    return Decomposed("ffn", contributions(proximities), error)


def block_step(layer: LayerCapture, weights: LayerWeights) -> Decomposed:
    """Contributions to `resid_post` of a parallel block: attention and FFN at once."""
    whole, resid = layer.resid_post, weights.keep_mid * layer.resid_pre
    bias = bias_part(layer.attention, weights.attention)
    write = layer.ffn.write
    proximities = Step(
        resid=proximity(resid, whole),
        attn=attention_proximities(layer.attention, weights.attention, whole),
        ffn=proximity(write, whole),
        bias=proximity(bias, whole),
    )
    parts = resid + written_by_heads(layer.attention, weights.attention) + bias + write
    error = closure(parts, whole, resid, layer.attention.write, write)
    return Decomposed("block", contributions(proximities), error)


def head_values(
    value: Float[Tensor, "batch head key d_head"], weights: OutputWeights
) -> Float[Tensor, "batch head key d_model"]:
    """What each head would write if it looked at one key alone: (v - b_V) W_O."""
    return torch.einsum(
        "bhkv,hvd->bhkd", value - weights.b_v[:, None], weights.w_o
    ).contiguous()


def attention_proximities(
    attention: AttentionCapture,
    weights: OutputWeights,
    whole: Float[Tensor, "batch query d_model"],
) -> Float[Tensor, "batch head query key"]:
    """The proximity of every (head, key) part to `whole`."""
    if attention.gated:
        return _gated_proximities(attention, weights, whole)
    return proximities_of_multiples(
        attention.coefficient,
        head_values(attention.value, weights),
        whole,
        causal=True,
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
                whole[b, some, None],
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


def written_by_heads(
    attention: AttentionCapture, weights: OutputWeights
) -> Float[Tensor, "batch position d_model"]:
    """The sum of all heads' writes."""
    outputs = head_outputs(attention, weights)
    return torch.einsum("bqhv,hvd->bqd", outputs, weights.w_o)


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
