"""The parameters of a Hugging Face GPT-2 or Llama, in float64 and in one layout.

Only `state_dict()` and the configuration are read. Weights become [in, out] matrices,
one per query head where they belong to a head; a missing bias becomes zeros.
A Llama computes in float32 at three places whatever its dtype (RMSNorm, the rotary
angles, the softmax of its eager attention): these are rounded here too, or a float64
model could be matched to 1e-7 only.

Axes: i, j positions, h head, d residual width, n neuron, v vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GPT2LMHeadModel, LlamaForCausalLM


@dataclass(frozen=True)
class LayerNorm:
    """y = gain * (x - mean x) / sqrt(var x + eps) + bias."""

    gain: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return self.frozen(x, x) + self.bias

    def frozen(self, z: Tensor, state: Tensor) -> Tensor:
        """The norm's linear map of z, at the scale it has on `state`; no bias."""
        variance = state.var(-1, correction=0, keepdim=True)
        return self.direction(z) / (variance + self.eps).sqrt()

    def direction(self, z: Tensor) -> Tensor:
        """The linear map without any scale: centred, times the gain."""
        return self.gain * (z - z.mean(-1, keepdim=True))


@dataclass(frozen=True)
class RMSNorm:
    """y = gain * x / sqrt(mean x^2 + eps), rounded to float32 before the gain."""

    gain: Tensor
    bias: Tensor  # zeros: an RMSNorm has none
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        x32 = x.float()
        return self.gain * (x32 * self._scale32(x)).double()

    def frozen(self, z: Tensor, state: Tensor) -> Tensor:
        """The norm's linear map of z, at the scale it has on `state`."""
        return self.direction(z) * self._scale32(state).double()

    def direction(self, z: Tensor) -> Tensor:
        """The linear map without any scale: times the gain."""
        return self.gain * z

    def _scale32(self, x: Tensor) -> Tensor:
        return torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)


Norm = LayerNorm | RMSNorm


@dataclass(frozen=True)
class Block:
    """One layer's parameters, the key/value heads repeated to query heads."""

    attn_norm: Norm
    w_q: Tensor  # h d d_h
    b_q: Tensor  # h d_h
    w_k: Tensor
    b_k: Tensor
    w_v: Tensor
    b_v: Tensor
    w_o: Tensor  # h d_h d
    b_o: Tensor  # d
    ffn_norm: Norm
    activate: Callable[[Tensor], Tensor]  # i d (normed) -> i n, what w_down reads
    w_down: Tensor  # n d
    b_down: Tensor  # d


@dataclass(frozen=True)
class Parameters:
    """A whole model; `rotate` turns the queries or keys of one head, `i d_h`."""

    embed: Callable[[Tensor], Tensor]  # token ids, i -> i d
    rotate: Callable[[Tensor], Tensor]
    softmax_dtype: torch.dtype
    blocks: tuple[Block, ...]
    final_norm: Norm
    w_u: Tensor  # d v


def read_parameters(model: GPT2LMHeadModel | LlamaForCausalLM) -> Parameters:
    """The parameters in float64, in this file's layout."""
    assert not model.training, "put the model in eval mode: dropout would be on"
    # .clone(): the reference must not follow a model that is changed later on.
    state = {k: v.detach().double().clone() for k, v in model.state_dict().items()}
    if isinstance(model, GPT2LMHeadModel):
        return _read_gpt2(model, state)
    return _read_llama(model, state)


def _read_gpt2(model: GPT2LMHeadModel, state: dict[str, Tensor]) -> Parameters:
    config = model.config
    assert config.activation_function == "gelu_new"
    assert config.scale_attn_weights
    assert not config.scale_attn_by_inverse_layer_idx
    n_heads, eps = config.n_head, config.layer_norm_epsilon

    def norm(name: str) -> LayerNorm:
        return LayerNorm(state[name + ".weight"], state[name + ".bias"], eps)

    def block(at: str) -> Block:
        # Conv1D: weights are [in, out]; queries, keys and values side by side.
        w_q, w_k, w_v = state[at + "attn.c_attn.weight"].chunk(3, dim=-1)
        b_q, b_k, b_v = state[at + "attn.c_attn.bias"].chunk(3)
        w_in, b_in = state[at + "mlp.c_fc.weight"], state[at + "mlp.c_fc.bias"]
        return Block(
            attn_norm=norm(at + "ln_1"),
            w_q=_per_head(w_q, n_heads),
            b_q=_per_head(b_q, n_heads),
            w_k=_per_head(w_k, n_heads),
            b_k=_per_head(b_k, n_heads),
            w_v=_per_head(w_v, n_heads),
            b_v=_per_head(b_v, n_heads),
            w_o=_split(state[at + "attn.c_proj.weight"], n_heads),
            b_o=state[at + "attn.c_proj.bias"],
            ffn_norm=norm(at + "ln_2"),
            activate=lambda x: gelu_new(x @ w_in + b_in),
            w_down=state[at + "mlp.c_proj.weight"],
            b_down=state[at + "mlp.c_proj.bias"],
        )

    tokens, positions = state["transformer.wte.weight"], state["transformer.wpe.weight"]
    return Parameters(
        embed=lambda ids: tokens[ids] + positions[: len(ids)],
        rotate=lambda x: x,
        softmax_dtype=torch.float64,
        blocks=tuple(block(f"transformer.h.{n}.") for n in range(config.n_layer)),
        final_norm=norm("transformer.ln_f"),
        w_u=state["lm_head.weight"].T,
    )


def _read_llama(model: LlamaForCausalLM, state: dict[str, Tensor]) -> Parameters:
    config = model.config
    assert config.hidden_act == "silu"
    rope, n_kv_heads = config.rope_parameters, config.num_key_value_heads
    assert rope is not None
    assert rope["rope_type"] == "default"
    assert n_kv_heads is not None
    n_heads = config.num_attention_heads

    def norm(name: str) -> RMSNorm:
        gain = state[name + ".weight"]
        return RMSNorm(gain, torch.zeros_like(gain), config.rms_norm_eps)

    def linear(name: str) -> tuple[Tensor, Tensor]:
        """The weight as [in, out] and the bias, zeros where there is none."""
        weight = state[name + ".weight"].T
        return weight, state.get(name + ".bias", torch.zeros(weight.shape[1]).double())

    def key_value(x: Tensor) -> Tensor:
        """Query head h reads key/value head h // (n_heads / n_kv_heads)."""
        own = _per_head(x, n_kv_heads)
        shared_by = n_heads // n_kv_heads
        return torch.stack([own[h // shared_by] for h in range(n_heads)])

    def block(at: str) -> Block:
        (w_q, b_q), (w_k, b_k) = (linear(f"{at}self_attn.{x}_proj") for x in "qk")
        (w_v, b_v), (w_o, b_o) = (linear(f"{at}self_attn.{x}_proj") for x in "vo")
        w_gate, b_gate = linear(at + "mlp.gate_proj")
        w_up, b_up = linear(at + "mlp.up_proj")
        w_down, b_down = linear(at + "mlp.down_proj")
        return Block(
            attn_norm=norm(at + "input_layernorm"),
            w_q=_per_head(w_q, n_heads),
            b_q=_per_head(b_q, n_heads),
            w_k=key_value(w_k),
            b_k=key_value(b_k),
            w_v=key_value(w_v),
            b_v=key_value(b_v),
            w_o=_split(w_o, n_heads),
            b_o=b_o,
            ffn_norm=norm(at + "post_attention_layernorm"),
            activate=lambda x: silu(x @ w_gate + b_gate) * (x @ w_up + b_up),
            w_down=w_down,
            b_down=b_down,
        )

    tokens = state["model.embed_tokens.weight"]
    theta = float(rope["rope_theta"] or 0)
    # Anything but sdpa ends in Llama's eager function, whose softmax is float32.
    own_softmax = config._attn_implementation == "sdpa"
    return Parameters(
        embed=lambda ids: tokens[ids],
        rotate=lambda x: rotary(x, theta),
        softmax_dtype=torch.float64 if own_softmax else torch.float32,
        blocks=tuple(
            block(f"model.layers.{n}.") for n in range(config.num_hidden_layers)
        ),
        final_norm=norm("model.norm"),
        w_u=state["lm_head.weight"].T,
    )


def rotary(x: Tensor, theta: float) -> Tensor:
    """Rotate the pairs (x[p], x[p + d_h/2]) at position i by i * theta^(-2p / d_h)."""
    n_positions, width = x.shape
    half = width // 2
    exponent = torch.arange(0, width, 2, dtype=torch.float32) / width
    frequency = 1.0 / theta**exponent
    angle = torch.arange(n_positions, dtype=torch.float32)[:, None] * frequency
    cos, sin = angle.cos().double(), angle.sin().double()
    first, second = x[:, :half], x[:, half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=1)


def gelu_new(x: Tensor) -> Tensor:
    """GPT-2's tanh approximation of the Gaussian error linear unit."""
    return 0.5 * x * (1 + torch.tanh((2 / math.pi) ** 0.5 * (x + 0.044715 * x**3)))


def silu(x: Tensor) -> Tensor:
    """x * sigmoid(x), Llama's gate."""
    return x / (1 + torch.exp(-x))


def _per_head(x: Tensor, n_heads: int) -> Tensor:
    """Split the last axis, the heads side by side, and put the head axis first."""
    return torch.stack(x.chunk(n_heads, dim=-1))


def _split(w_o: Tensor, n_heads: int) -> Tensor:
    """The rows of an output projection [h * d_h, d] that belong to each head."""
    return torch.stack(w_o.chunk(n_heads, dim=0))
