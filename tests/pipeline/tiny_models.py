"""Tiny GPT-2 and Llama models from configs, for tests: no files, no tokenizer.

Every parameter is random, norm gains and all biases included, so that a term which a
computation forgets shows in its numbers. The same seed gives the same values in
float32 and in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

Model = TypeVar("Model", GPT2LMHeadModel, LlamaForCausalLM)

VOCAB = 48
WIDTH = 32
HEADS = 4


def tiny_gpt2(
    *, n_layers: int = 3, seed: int = 0, dtype: torch.dtype = torch.float32
) -> GPT2LMHeadModel:
    """GPT-2: LayerNorm, learned positions, biases everywhere, a tied unembedding."""
    config = GPT2Config(
        vocab_size=VOCAB,
        n_positions=32,
        n_embd=WIDTH,
        n_layer=n_layers,
        n_head=HEADS,
        n_inner=72,
        bos_token_id=0,
        eos_token_id=0,
    )
    return _random(GPT2LMHeadModel(config), seed, dtype)


def tiny_llama(
    *, n_layers: int = 3, seed: int = 1, dtype: torch.dtype = torch.float32
) -> LlamaForCausalLM:
    """Llama: RMSNorm, rotary positions, two heads to a key/value head, no biases."""
    return _llama(n_layers, seed, dtype)


def tiny_llama_biased(
    *, n_layers: int = 2, seed: int = 2, dtype: torch.dtype = torch.float32
) -> LlamaForCausalLM:
    """A Llama with biases in its attention and its FFN."""
    return _llama(n_layers, seed, dtype, attention_bias=True, mlp_bias=True)


def tiny_llama_wide_heads(
    *, n_layers: int = 2, seed: int = 3, dtype: torch.dtype = torch.float32
) -> LlamaForCausalLM:
    """A Llama with one key/value head and heads wider than d_model / n_heads."""
    return _llama(n_layers, seed, dtype, head_dim=12, num_key_value_heads=1)


TINY_MODELS: dict[str, Callable[..., GPT2LMHeadModel | LlamaForCausalLM]] = {
    "gpt2": tiny_gpt2,
    "llama": tiny_llama,
    "llama-biased": tiny_llama_biased,
    "llama-wide-heads": tiny_llama_wide_heads,
}


def random_tokens(n: int, *, seed: int = 0, vocab: int = VOCAB) -> tuple[int, ...]:
    """n token ids, in which repeats are likely from a dozen tokens on."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(vocab, (n,), generator=generator).tolist())


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Draw every parameter: matrices keep the scale of what they multiply."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("bias"):
            noise = 0.3 * noise
        elif parameter.ndim == 1:  # the gain of a norm
            noise = 1 + 0.3 * noise
        elif "wte" not in name and "embed" not in name:
            noise = noise * 1.5 / WIDTH**0.5
        parameter.data.copy_(noise)


def in_eval_mode(model: Model, dtype: torch.dtype) -> Model:
    """The model, changed in place: of this dtype, eager attention, no dropout."""
    model.set_attn_implementation("eager")
    torch.nn.Module.to(model, dtype)
    torch.nn.Module.eval(model)
    return model


def _random(model: Model, seed: int, dtype: torch.dtype) -> Model:
    randomise(model, seed)
    return in_eval_mode(model, dtype)


def _llama(
    n_layers: int, seed: int, dtype: torch.dtype, **options: Any
) -> LlamaForCausalLM:
    settings: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": WIDTH,
        "intermediate_size": 56,
        "num_hidden_layers": n_layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    config = LlamaConfig(**(settings | options))
    return _random(LlamaForCausalLM(config), seed, dtype)
