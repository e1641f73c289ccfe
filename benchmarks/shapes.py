"""Models of known shapes with random weights, and prompts of random tokens."""

from collections.abc import Sequence

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from flowglass.pipeline.model import LoadedModel, prepare
from flowglass.pipeline.prompts import TokenisedPrompt, from_ids
from flowglass.pipeline.settings import Settings

SHARPER = 3.0
"""Random weights spread their attention thinly and use all neurons alike. Peaked ones
have queries and keys so many times larger, and the lengths of the neurons' output
weights"""

SPREAD = 1.5
"""are log-normal with this deviation. Attention is then as peaked as the bundled models
on English text of 64 tokens: a query's largest is 0.46 on average (there 0.38, 0.43).
A layer has 4.0 edges a token at or above the cutoff (8.5, 5.9) and 2.9 neurons (9.6,
6.7), as density.py counts."""


def gpt2_small(*, layers: int = 12, peaked: bool = True) -> LoadedModel:
    """GPT-2 small, or with another number of layers."""
    torch.manual_seed(0)
    module = GPT2LMHeadModel(GPT2Config(n_layer=layers)).eval()
    if peaked:
        with torch.no_grad():
            for block in module.transformer.h:
                block.attn.c_attn.weight[:, : 2 * block.attn.embed_dim] *= SHARPER
                lengths = (SPREAD * torch.randn(block.mlp.c_proj.nf * 4, 1)).exp()
                block.mlp.c_proj.weight *= lengths
    return prepare(module, name=f"GPT-2 small, {layers} layers")


def llama_1b(*, layers: int = 2) -> LoadedModel:
    """The shape of Llama 3.2 1B with fewer layers (of 16)."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=layers,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        vocab_size=128256,
        tie_word_embeddings=True,
    )
    return prepare(LlamaForCausalLM(config).eval(), name=f"Llama 1B, {layers} layers")


def prompts_of(
    loaded: LoadedModel, *, tokens: int, length: int, settings: Settings
) -> tuple[torch.Tensor, Sequence[TokenisedPrompt]]:
    """One batch of so many tokens in prompts of one length."""
    generator = torch.Generator().manual_seed(0)
    shape = (max(1, tokens // length), length)
    ids = torch.randint(loaded.anatomy.vocab_size, shape, generator=generator)
    return ids, [from_ids(row.tolist(), settings, context=None) for row in ids]
