"""DESIGN 2.1 to 2.3 written out: explicit parts, their contributions, the closure.

The independent check on flowglass.pipeline: every part is a vector of its own, every
sum a loop, all in float64, and no code is shared with the product. The way through:

    reference_parameters.py -> reference_forward.py     the model by hand
    -> reference.py                                     parts and contributions
    -> reference_tables.py, reference_routes.py         tables and routes of them
    reference_forward.py -> reference_readout.py        all that needs the unembedding
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from .reference_forward import Forward, Layer


class Part(NamedTuple):
    """A term of a step. `unit`: the head or neuron, else None; `key`: its source."""

    kind: str  # resid, attn, ffn, neuron, bias
    unit: int | None
    key: int


class At(NamedTuple):
    """Where a step is taken: one per layer, step (attn, ffn, neuron) and position."""

    layer: int
    step: str
    query: int


@dataclass(frozen=True)
class Step:
    """What a step writes to: the whole, and the parts that should add up to it."""

    whole: Tensor  # d: resid_mid or resid_post, from the forward pass
    write: Tensor  # d: what the sublayer added, from the forward pass
    parts: dict[Part, Tensor]  # each d; none is a remainder


Contributions = dict[At, dict[Part, float]]


# --- 2.1 decomposition ----------------------------------------------------------------


def decompose(forward: Forward) -> dict[At, Step]:
    """Every part of every step at every position."""
    found: dict[At, Step] = {}
    for n, layer in enumerate(forward.layers):
        for i in range(len(forward.token_ids)):
            found[At(n, "attn", i)] = attn_step(layer, i)
            found[At(n, "ffn", i)] = ffn_step(layer, i)
            found[At(n, "neuron", i)] = neuron_step(layer, i)
    return found


def attn_step(layer: Layer, i: int) -> Step:
    """resid + one part per (head, key) + bias = resid_mid.

    The value bias b_V is the same for every token: its write joins `bias`.
    """
    block = layer.block
    parts = {Part("resid", None, i): layer.resid_pre[i]}
    bias = block.b_o.clone()
    for h in range(len(block.w_o)):
        for j in range(i + 1):
            a = layer.attention[h, i, j]
            informative = layer.value[h, j] - block.b_v[h]
            parts[Part("attn", h, j)] = a * informative @ block.w_o[h]
            bias += a * block.b_v[h] @ block.w_o[h]
    parts[Part("bias", None, i)] = bias
    return Step(layer.resid_mid[i], layer.attn_write[i], parts)


def ffn_step(layer: Layer, i: int) -> Step:
    """resid + ffn = resid_post; the FFN's biases are in its write."""
    block = layer.block
    write = block.b_down.clone()
    for n in range(len(block.w_down)):
        write += layer.activation[i, n] * block.w_down[n]
    parts = {Part("resid", None, i): layer.resid_mid[i], Part("ffn", None, i): write}
    return Step(layer.resid_post[i], layer.ffn_write[i], parts)


def neuron_step(layer: Layer, i: int) -> Step:
    """resid + one part per neuron + bias = resid_post."""
    block = layer.block
    parts = {Part("resid", None, i): layer.resid_mid[i]}
    for n in range(len(block.w_down)):
        parts[Part("neuron", n, i)] = layer.activation[i, n] * block.w_down[n]
    parts[Part("bias", None, i)] = block.b_down
    return Step(layer.resid_post[i], layer.ffn_write[i], parts)


# --- 2.2 contribution, 2.3 closure ----------------------------------------------------


def contributions(forward: Forward) -> Contributions:
    """The contribution of every part of every step."""
    return {
        at: contributions_of(step.whole, step.parts)
        for at, step in decompose(forward).items()
    }


def contributions_of(whole: Tensor, parts: Mapping[Part, Tensor]) -> dict[Part, float]:
    """Proximity over the sum of the proximities of all parts but `bias`.

    The bias is on the same scale, outside the sum. If no part but the bias has a
    proximity, `resid` has the whole contribution and everything else 0.

    >>> import torch
    >>> resid, head = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> parts = {Part("resid", None, 0): resid, Part("attn", 2, 0): head}
    >>> list(contributions_of(resid + head, parts).values())
    [0.75, 0.25]
    >>> list(contributions_of(0 * resid, parts).values())
    [1.0, 0.0]
    """
    proximities = {part: proximity(z, whole) for part, z in parts.items()}
    total = sum(p for part, p in proximities.items() if part.kind != "bias")
    if total == 0:
        return {part: float(part.kind == "resid") for part in parts}
    return {part: p / total for part, p in proximities.items()}


def proximity(part: Tensor, whole: Tensor) -> float:
    """max(0, |y|_1 - |y - z|_1)."""
    return max(0.0, l1(whole) - l1(whole - part))


def l1(x: Tensor) -> float:
    """The sum of absolute values."""
    return float(x.abs().sum())


def closure(decomposed: Mapping[At, Step]) -> float:
    """The largest relative distance between the parts' sum and the whole."""
    return max(closure_of(step) for step in decomposed.values())


def closure_of(step: Step) -> float:
    """|sum of parts - whole| / max(|resid|, |write|, |whole|), with 0/0 = 0."""
    (resid,) = (z for part, z in step.parts.items() if part.kind == "resid")
    error = l1(sum(step.parts.values()) - step.whole)
    scale = max(l1(resid), l1(step.write), l1(step.whole))
    return error / scale if scale else 0.0
