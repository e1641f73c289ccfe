"""Made-up prompts whose contributions look like those of the bundled, trained models.

No weights are needed, so a store of any size and shape can be made. Heads are of six
kinds: on the first position, on the previous one, on near ones, broad, behind the same
token (induction), on one key that all queries like. Softmax over random logits with
these leanings, times random value lengths, half of all parts zero as half of all
proximities are, and normalised to the share that attention has of a step. The numbers
below are set so that rows a token, kinds, distances, sizes and the mass below the
cutoff lie between those of tiny-gpt2 and tiny-llama: `density.py --store` prints them
side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

FLOOR = 0.0099
"""Parts below this would be rounded to less than the cutoff of 0.01."""
CUTOFF = 0.01
TOP = 16
"""Most neurons of a layer and position."""
LEAST_GAIN = 0.85
"""Copies of a prompt differ: what a layer brings is up to so much less."""
SOURCES = 8
"""All sources of a head's contribution, and seven kinds of source."""

LIKED = 2.5
"""How much more all heads read from some positions than from others; without that a
route would reach every position within a few layers."""

FIRST, PREVIOUS, NEAR, BROAD, INDUCTION, SALIENT = range(6)
SHARE_OF_KIND = (0.12, 0.17, 0.4, 0.13, 0.1, 0.08)


@dataclass(frozen=True)
class Shape:
    """The sizes of a model; GPT-2 small unless said otherwise."""

    n_layers: int = 12
    n_heads: int = 12
    d_model: int = 768
    d_ffn: int = 3072
    vocab_size: int = 50257


@dataclass(frozen=True, eq=False)
class Heads:
    """What is the same for all prompts."""

    kind: NDArray[np.int64]
    """[layer, head]"""
    temperature: Floats
    """[layer, head]; logits are so many times larger."""
    loudness: Floats
    """[layer, head]; how long its writes are."""
    attn_share: Floats
    """[layer]; the attention's mean share of the attention step."""
    ffn_share: Floats
    """[layer]; the FFN's mean share of the FFN step."""


@dataclass(frozen=True, eq=False)
class MadeUp:
    """One prompt: exact shares, and those parts that may reach the cutoff."""

    ids: Ints
    """[position]"""
    layer: Ints
    """[part], as are the next five: what attention brings."""
    head: Ints
    query: Ints
    key: Ints
    contribution: Floats
    attention: Floats
    attn: Floats
    """[layer, position]; the share of all heads and keys, the rest is the residual."""
    ffn: Floats
    """[layer, position]; the same for the FFN."""
    sources: Floats
    """[layer, head, source]; means over queries."""
    neurons: Ints
    """[layer, position, rank]; -1 where fewer reach the cutoff."""
    neuron_shares: Floats
    """[layer, position, rank]"""


@dataclass(frozen=True, eq=False)
class Copies:
    """The prompts of a shard, their tokens one after the other.

    A store has more prompts than were made up, so it has copies of them.
    """

    prompts: Sequence[MadeUp]
    ids: NDArray[np.int32]
    """[prompt]; prompt_id."""
    shape: Shape
    gain: NDArray[np.float32]
    """[layer, prompt]"""
    rng: np.random.Generator

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[prompt]"""
        return np.array([len(p.ids) for p in self.prompts])

    @property
    def first(self) -> NDArray[np.int64]:
        """[prompt]; the place of its first token."""
        return np.cumsum(self.lengths) - self.lengths

    @property
    def prompt(self) -> NDArray[np.int64]:
        """[token]; the prompt's place in the shard."""
        return np.repeat(np.arange(len(self.prompts)), self.lengths)

    @property
    def position(self) -> NDArray[np.int64]:
        """[token]"""
        return np.arange(self.lengths.sum()) - np.repeat(self.first, self.lengths)

    def all(self, name: str, axis: int = 0) -> NDArray[Any]:
        """An array of every prompt, joined along an axis."""
        return np.concatenate([getattr(p, name) for p in self.prompts], axis)


def make_heads(shape: Shape, rng: np.random.Generator) -> Heads:
    """Draw what the heads and layers are like."""
    size = (shape.n_layers, shape.n_heads)
    return Heads(
        kind=rng.choice(len(SHARE_OF_KIND), size, p=SHARE_OF_KIND),
        temperature=rng.uniform(1.2, 3.2, size).astype(np.float32),
        loudness=np.exp(rng.normal(0, 1.4, size)).astype(np.float32),
        attn_share=rng.uniform(0.15, 0.35, shape.n_layers).astype(np.float32),
        ffn_share=rng.uniform(0.35, 0.65, shape.n_layers).astype(np.float32),
    )


def make_up(
    shape: Shape, heads: Heads, masks: NDArray[np.bool_], ids: Ints, seed: list[int]
) -> MadeUp:
    """One prompt of these tokens; `masks` [query, key, 7] says what source a key is."""
    rng = np.random.default_rng(seed)
    n = len(ids)
    attention = _attention(heads, masks, rng)
    lengths = np.exp(rng.normal(0, 0.5, (*heads.kind.shape, 1, n))).astype(np.float32)
    lengths *= np.exp(rng.normal(0, LIKED, n)).astype(np.float32)
    lengths[..., 0] *= 0.4  # what heads read when there is nothing to read is short
    alignment = rng.standard_normal(attention.shape, np.float32).clip(0)
    pulls = attention * alignment * lengths * heads.loudness[..., None, None]
    attn = _shares(heads.attn_share, 6.0, n, rng)
    total = pulls.sum((1, 3), keepdims=True) + np.float32(1e-12)
    parts = pulls * (attn[:, None, :, None] / total)
    layer, head, query, key = np.nonzero(parts >= FLOOR)
    ffn = _shares(heads.ffn_share, 1.6, n, rng)
    neurons, neuron_shares = _neurons(shape, ffn, rng)
    kinds = np.concatenate([np.ones((n, n, 1), np.float32), masks], -1)
    sources = parts.reshape(*heads.kind.shape, n * n) @ kinds.reshape(n * n, SOURCES)
    return MadeUp(
        ids=ids,
        layer=layer.astype(np.int32),
        head=head.astype(np.int32),
        query=query.astype(np.int32),
        key=key.astype(np.int32),
        contribution=parts[layer, head, query, key],
        attention=attention[layer, head, query, key],
        attn=attn,
        ffn=ffn,
        sources=(sources / n).astype(np.float32),
        neurons=neurons,
        neuron_shares=neuron_shares,
    )


def _attention(
    heads: Heads, masks: NDArray[np.bool_], rng: np.random.Generator
) -> Floats:
    """Probabilities [layer, head, query, key], zero above the diagonal."""
    n = len(masks)
    distance = (np.arange(n)[:, None] - np.arange(n)[None, :]).astype(np.float32)
    leaning = np.zeros((len(SHARE_OF_KIND), n, n), np.float32)
    leaning[FIRST] = 4.0 * (distance == np.arange(n)[:, None])
    leaning[PREVIOUS] = 4.0 * (distance == 1)
    leaning[NEAR] = -0.7 * distance
    leaning[BROAD] = -0.15 * distance
    leaning[INDUCTION] = 4.0 * masks[..., 4] - 0.15 * distance
    leaning[SALIENT] = -0.1 * distance
    logits = rng.standard_normal((*heads.kind.shape, n, n), np.float32)
    logits *= heads.temperature[..., None, None]
    logits += leaning[heads.kind]
    logits[..., distance == 0] -= 1.5  # the residual brings a state to itself
    liked = rng.normal(0, 1.5, (*heads.kind.shape, 1, n)).astype(np.float32)
    logits += liked * (heads.kind == SALIENT)[..., None, None]
    logits[..., distance < 0] = -np.inf
    logits -= logits.max(-1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(-1, keepdims=True)
    return logits


def _shares(
    means: Floats, certainty: float, n: int, rng: np.random.Generator
) -> Floats:
    """[layer, position] shares between 0 and 1 around each layer's mean."""
    a, b = means[:, None] * certainty, (1 - means[:, None]) * certainty
    return rng.beta(a, b, (len(means), n)).astype(np.float32)


def _neurons(
    shape: Shape, ffn: Floats, rng: np.random.Generator
) -> tuple[Ints, Floats]:
    """The leading neurons of each layer and position, a few of them everywhere."""
    size = (*ffn.shape, TOP)
    share = CUTOFF * rng.pareto(1.0, size).astype(np.float32) + np.float32(FLOOR)
    present = np.arange(TOP) < TOP * rng.beta(1.3, 0.6, (*ffn.shape, 1))
    share = np.where(present, share, 0)
    # Together they bring no more than their FFN does.
    share *= np.minimum(1, ffn / share.sum(-1))[..., None]
    share = -np.sort(-share, axis=-1)
    ranked = (shape.d_ffn * rng.random(size) ** 2.5).astype(np.int32)  # some are common
    neuron = (ranked + 997 * np.arange(len(ffn))[:, None, None]) % shape.d_ffn
    return np.where(share >= FLOOR, neuron, -1).astype(np.int32), share
