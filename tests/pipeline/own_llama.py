"""Llamas with an attention or a layer of their own: changed in one place each."""

from __future__ import annotations

from collections.abc import Callable
from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import (
    apply_rotary_pos_emb,
    eager_attention_forward,
)

from .families import build

Change = Callable[[nn.Module, Tensor], Tensor]
"""(attention, tensor) -> what stands in its place."""


def unchanged(_: nn.Module, tensor: Tensor) -> Tensor:
    return tensor


def own_attention(
    *,
    reads: Change = unchanged,
    values: Change = unchanged,
    outputs: Change = unchanged,
    null_key: bool = False,
) -> PreTrainedModel:
    """A Llama whose attention reads another state, uses other values [batch head key
    d_head], gives W_O other outputs [batch query head d_head], or has one more key."""

    def forward(
        self: Any,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor,
        **more: Any,
    ) -> tuple[Tensor, Tensor]:
        state = reads(self, hidden_states)
        q, k, v = (
            projection(state).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = apply_rotary_pos_emb(q, k, *position_embeddings)
        v = values(self, v)
        if null_key:
            k, v = (torch.cat([t, torch.ones_like(t[:, :, :1])], 2) for t in (k, v))
            attention_mask = F.pad(attention_mask, (0, 1))
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        output, pattern = attend(
            self, q, k, v, attention_mask, dropout=0.0, scaling=self.scaling
        )
        return self.o_proj(outputs(self, output).flatten(2)), pattern

    model = build("llama", dtype=torch.float64)
    for layer in model.model.layers:
        layer.self_attn.forward = MethodType(forward, layer.self_attn)
    return model


def of_layer_0() -> Change:
    """What layer 0 had in this place, in every layer."""
    kept: dict[str, Tensor] = {}

    def change(attention: nn.Module, tensor: Tensor) -> Tensor:
        if attention.layer_idx == 0:
            kept["it"] = tensor
        return kept["it"]

    return change


def own_ffn(change: Callable[[Tensor], Tensor]) -> PreTrainedModel:
    """A Llama whose FFNs read what `change` makes of their input."""
    model = build("llama", dtype=torch.float64)
    for layer in model.model.layers:
        plain = layer.mlp.forward
        layer.mlp.forward = lambda x, plain=plain: plain(change(x))
    return model
