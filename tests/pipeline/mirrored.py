"""Building blocks for hand-built GPT-2 models (hand_built.py): mirrored one-hot codes.

The residual stream is cut into fields of one-hot codes. A code is +1 in one coordinate
of the first half and -1 in the same one of the second half, so every state has mean
zero exactly, and LayerNorm only divides by its standard deviation. That is the same at
all positions where all states have as many codes of size 1, so there a gain of
sqrt(var + eps) makes the norm the identity. Codes in different coordinates do not
overlap, so a part's proximity is its own L1 norm, and a contribution is a share of
lengths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from .tiny_models import in_eval_mode

HARD = 60.0  # a score ahead by this much leaves exp(-60) = 9e-27 to the others


@dataclass(frozen=True)
class Blank:
    """A float64 GPT-2 that does nothing yet, and its parameters to write into."""

    model: GPT2LMHeadModel
    state: dict[str, Tensor]  # shares the model's memory
    width: int
    eps: float

    def set(self, name: str, rows: Tensor, *, first: int = 0) -> None:
        """Put rows into a parameter, from row `first` on."""
        self.state[name][first : first + len(rows)] = rows


def blank_gpt2(
    *,
    width: int,
    vocab: int,
    layers: int,
    heads: int,
    positions: int = 8,
    eps: float = 1e-5,
) -> Blank:
    """All parameters zero but the norms' gains, 1; the unembedding is not tied."""
    config = GPT2Config(
        vocab_size=vocab,
        n_positions=positions,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        n_inner=4,
        layer_norm_epsilon=eps,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    model = in_eval_mode(GPT2LMHeadModel(config), torch.float64)
    state = {name: parameter.detach() for name, parameter in model.named_parameters()}
    for name, parameter in state.items():
        is_gain = "ln_" in name and name.endswith("weight")
        parameter.fill_(1.0 if is_gain else 0.0)
    return Blank(model, state, width, eps)


def fields(*sizes: int) -> list[range]:
    """Consecutive ranges of coordinates, in the first half of the stream."""
    starts = [sum(sizes[:n]) for n in range(len(sizes))]
    return [
        range(start, start + size) for start, size in zip(starts, sizes, strict=True)
    ]


def code(blank: Blank, coordinate: int) -> Tensor:
    """The code of one symbol, [d]."""
    vector = torch.zeros(blank.width, dtype=torch.float64)
    vector[coordinate] = 1.0
    vector[coordinate + blank.width // 2] = -1.0
    return vector


def codes(blank: Blank, field: range) -> Tensor:
    """The codes of a field, one a row: also what a head writes for each one-hot."""
    return torch.stack([code(blank, coordinate) for coordinate in field])


def reader(blank: Blank, field: range, *, shift: int = 0) -> Tensor:
    """[d, symbols]: the code of symbol s becomes the one-hot s + shift, or nothing."""
    matrix = torch.zeros(blank.width, len(field), dtype=torch.float64)
    for s, coordinate in enumerate(field):
        if 0 <= s + shift < len(field):
            matrix[coordinate, s + shift] = 1.0
    return matrix


def make_identity(blank: Blank, norm: str, *, n_codes: int) -> None:
    """Set the gain to sqrt(var + eps) of states that have n_codes codes."""
    variance = 2 * n_codes / blank.width
    blank.state[norm + ".weight"].fill_(math.sqrt(variance + blank.eps))


def set_head(
    blank: Blank, layer: int, head: int, *, query: Tensor, key: Tensor
) -> None:
    """Let a head look for the keys whose one-hot is the query's; a match scores HARD.

    Heads that are not set attend uniformly and write nothing.
    """
    d_head = blank.width // blank.model.config.n_head
    scale = HARD * math.sqrt(d_head)  # GPT-2 divides the scores by sqrt(d_head)
    joined = blank.state[f"transformer.h.{layer}.attn.c_attn.weight"]
    for block, matrix in enumerate((scale * query, key)):
        start = block * blank.width + head * d_head
        joined[:, start : start + matrix.shape[1]] = matrix


def set_copy(
    blank: Blank, layer: int, head: int, *, value: Tensor, output: Tensor
) -> None:
    """Let a head write value @ output of every position that it looks at."""
    d_head = blank.width // blank.model.config.n_head
    start = 2 * blank.width + head * d_head
    joined = blank.state[f"transformer.h.{layer}.attn.c_attn.weight"]
    joined[:, start : start + value.shape[1]] = value
    blank.set(f"transformer.h.{layer}.attn.c_proj.weight", output, first=head * d_head)
