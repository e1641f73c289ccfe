"""The forward pass of a GPT-2 or a Llama by hand, with every intermediate kept.

Nothing of the model's own code runs, but for one plain call at the end, which must
give the same logits. Steps: parameters -> layer by layer -> logits -> compare.

Axes: i, j positions (i the query), h head, d residual width, n neuron, v vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from .reference_parameters import Block, Parameters, read_parameters

LOGIT_BOUND = {torch.float64: 1e-10, torch.float32: 1e-4}  # relative to the largest


@dataclass(frozen=True)
class Layer:
    """What one layer did to one prompt."""

    block: Block
    resid_pre: Tensor  # i d
    attention: Tensor  # h i j, the probabilities, 0 where j > i
    value: Tensor  # h j d_h, its bias included
    attn_write: Tensor  # i d, the output bias included
    resid_mid: Tensor  # i d
    activation: Tensor  # i n
    ffn_write: Tensor  # i d, the bias included
    resid_post: Tensor  # i d


@dataclass(frozen=True)
class Forward:
    """What a model did to one prompt: everything that the reference decomposes."""

    token_ids: tuple[int, ...]
    parameters: Parameters
    layers: tuple[Layer, ...]
    logits: Tensor  # i v

    @property
    def embedding(self) -> Tensor:
        """The state below layer 0, positions included where they are learned."""
        return self.layers[0].resid_pre

    @property
    def final_state(self) -> Tensor:
        """The state above the last layer, before the final norm."""
        return self.layers[-1].resid_post


@torch.no_grad()
def forward(
    model: GPT2LMHeadModel | LlamaForCausalLM, token_ids: Sequence[int]
) -> Forward:
    """Run the model by hand; raises AssertionError unless its logits agree."""
    parameters = read_parameters(model)
    ids = torch.tensor(list(token_ids))
    state = parameters.embed(ids)
    layers = []
    for block in parameters.blocks:
        layers.append(run_layer(block, state, parameters))
        state = layers[-1].resid_post
    logits = parameters.final_norm(state) @ parameters.w_u

    own = model(ids[None], use_cache=False).logits[0]
    bound = LOGIT_BOUND[own.dtype] * max(1.0, float(own.abs().max()))
    error = float((own.double() - logits).abs().max())
    assert error <= bound, f"the hand-made logits are off by {error}, bound {bound}"
    return Forward(tuple(ids.tolist()), parameters, tuple(layers), logits)


def run_layer(block: Block, resid_pre: Tensor, parameters: Parameters) -> Layer:
    """One sequential pre-norm layer: attention, then the FFN."""
    normed = block.attn_norm(resid_pre)
    attention, values, attn_write = [], [], block.b_o.expand_as(resid_pre)
    for h in range(len(block.w_q)):
        query = parameters.rotate(normed @ block.w_q[h] + block.b_q[h])
        key = parameters.rotate(normed @ block.w_k[h] + block.b_k[h])
        value = normed @ block.w_v[h] + block.b_v[h]
        probabilities = attend(query, key, parameters.softmax_dtype)
        attn_write = attn_write + probabilities @ value @ block.w_o[h]
        attention.append(probabilities)
        values.append(value)
    resid_mid = resid_pre + attn_write
    activation = block.activate(block.ffn_norm(resid_mid))
    ffn_write = activation @ block.w_down + block.b_down
    return Layer(
        block=block,
        resid_pre=resid_pre,
        attention=torch.stack(attention),
        value=torch.stack(values),
        attn_write=attn_write,
        resid_mid=resid_mid,
        activation=activation,
        ffn_write=ffn_write,
        resid_post=resid_mid + ffn_write,
    )


def attend(query: Tensor, key: Tensor, softmax_dtype: torch.dtype) -> Tensor:
    """Causal softmax attention of one head, [query, key]."""
    scores = query @ key.T * query.shape[-1] ** -0.5
    later = torch.ones_like(scores, dtype=torch.bool).triu(1)
    scores = scores.masked_fill(later, -math.inf)
    return torch.softmax(scores, -1, dtype=softmax_dtype).double()
