"""CORE MATHS: a layer's two writes, taken apart (DESIGN 2.1, 2.5).

The attention's write at query i is the sum over heads h and keys j of
`pattern[h, i, j] * head_values[h, j]`, plus a bias part. A value bias b_V is the same
for every token, so it is no information from a token: it moves into the bias part.

The FFN's write is the sum over neurons n of `activation[n] * w_down[n]`, plus a bias.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .contributions import (
    Step,
    closure,
    contributions,
    proximity,
    share_of,
)
from .proximity_kernel import proximities_of_multiples


@dataclass(frozen=True, eq=False)
class OutputWeights:
    """What turns one layer's attended values into its write."""

    w_o: Float[Tensor, "head d_head d_model"]
    b_o: Float[Tensor, " d_model"]
    b_v: Float[Tensor, "head d_head"]
    """Value bias, repeated to query heads."""


@dataclass(frozen=True, eq=False)
class FfnWeights:
    """What turns one layer's activations into its FFN's write."""

    w_down: Float[Tensor, "neuron d_model"]
    b_down: Float[Tensor, " d_model"]


@dataclass(frozen=True, eq=False)
class LayerWeights:
    """The weights of one layer that parts are made of, in the reductions' dtype."""

    attention: OutputWeights
    ffn: FfnWeights


@dataclass(frozen=True, eq=False)
class LayerCapture:
    """Everything one layer did in one forward pass; all reductions' dtype already."""

    resid_pre: Float[Tensor, "batch position d_model"]
    resid_mid: Float[Tensor, "batch position d_model"]
    resid_post: Float[Tensor, "batch position d_model"]
    pattern: Float[Tensor, "batch head query key"]
    value: Float[Tensor, "batch head key d_head"]
    """As the attention used it, repeated to query heads."""
    attn_write: Float[Tensor, "batch position d_model"]
    activation: Float[Tensor, "batch position neuron"]
    """What `w_down` is multiplied by."""
    ffn_write: Float[Tensor, "batch position d_model"]


def head_values(
    value: Float[Tensor, "batch head key d_head"], weights: OutputWeights
) -> Float[Tensor, "batch head key d_model"]:
    """What each head would write if it looked at one key alone: (v - b_V) W_O."""
    return torch.einsum(
        "bhkv,hvd->bhkd", value - weights.b_v[:, None], weights.w_o
    ).contiguous()


def bias_part(
    pattern: Float[Tensor, "batch head query key"], weights: OutputWeights
) -> Float[Tensor, "batch query d_model"]:
    """The output bias, and the value bias as the attention passed it on."""
    passed_on = torch.einsum("hv,hvd->hd", weights.b_v, weights.w_o)
    return torch.einsum("bhqk,hd->bqd", pattern, passed_on) + weights.b_o


def attention_step(layer: LayerCapture, weights: OutputWeights) -> tuple[Step, Tensor]:
    """Contributions to `resid_mid`, and the closure of the step [batch, query]."""
    values = head_values(layer.value, weights)
    bias = bias_part(layer.pattern, weights)
    whole = layer.resid_mid
    proximities = Step(
        resid=proximity(layer.resid_pre, whole),
        attn=proximities_of_multiples(layer.pattern, values, whole, causal=True),
        ffn=torch.zeros_like(whole[..., 0]),
        bias=proximity(bias, whole),
    )
    written = torch.einsum("bqhv,hvd->bqd", head_outputs(layer, weights), weights.w_o)
    error = closure(
        layer.resid_pre + written + bias, whole, layer.resid_pre, layer.attn_write
    )
    return contributions(proximities), error


def ffn_step(layer: LayerCapture) -> tuple[Step, Tensor]:
    """Contributions to `resid_post`, and the closure of the step [batch, query]."""
    whole = layer.resid_post
    nothing = torch.zeros_like(whole[..., 0])
    proximities = Step(
        resid=proximity(layer.resid_mid, whole),
        attn=layer.pattern[:, :0],
        ffn=proximity(layer.ffn_write, whole),
        bias=nothing,
    )
    error = closure(
        layer.resid_mid + layer.ffn_write, whole, layer.resid_mid, layer.ffn_write
    )
    return contributions(proximities), error


def neuron_step(
    layer: LayerCapture, weights: FfnWeights
) -> tuple[Float[Tensor, "batch position neuron"], Tensor]:
    """Every neuron's contribution to `resid_post`, beside the residual's.

    Also the closure of the step [batch, query].
    """
    whole, n_neurons = layer.resid_post, len(weights.w_down)
    # One head whose keys are the neurons, one prompt of all positions.
    nearer = proximities_of_multiples(
        layer.activation.reshape(1, 1, -1, n_neurons),
        weights.w_down[None, None],
        whole.flatten(0, 1)[None],
        causal=False,
    ).reshape(layer.activation.shape)
    total = proximity(layer.resid_mid, whole) + nearer.sum(-1)
    written = layer.activation @ weights.w_down + weights.b_down
    error = closure(layer.resid_mid + written, whole, layer.resid_mid, layer.ffn_write)
    return nearer.mul_(share_of(total)[..., None]), error


def head_outputs(
    layer: LayerCapture, weights: OutputWeights
) -> Float[Tensor, "batch position head d_head"]:
    """What each head attended to, before W_O and without the value bias.

    Its product with the head's W_O is the head's write.
    """
    return torch.einsum(
        "bhqk,bhkv->bqhv", layer.pattern, layer.value - weights.b_v[:, None]
    )
