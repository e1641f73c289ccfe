"""CORE MATHS: the FFN's write, taken apart into neurons (DESIGN 2.1, 2.5).

It is the sum over neurons n of `activation[n] * w_down[n]`, each times what scales its
bank's output on the way into the stream, plus a bias. A token's *candidates* are the
neurons it uses: those of its slots' experts, bank by bank, in order of their places.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .closure import Product, closure
from .contributions import share_of
from .decompose import kept
from .goal import Goal
from .layer import (
    BankCapture,
    BankWeights,
    FfnCapture,
    FfnWeights,
    LayerCapture,
    LayerWeights,
)
from .proximity_kernel import proximities_of_multiples, proximity


def neuron_step(
    layer: LayerCapture,
    weights: LayerWeights,
    valid: Bool[Tensor, "batch position"],
) -> tuple[Float[Tensor, "batch position candidate"], Float[Tensor, "batch position"]]:
    """Every candidate's contribution to `resid_post`, beside the residual's, and in a
    parallel block the attention's; and the closure of the step at valid positions."""
    whole = layer.resid_post
    others = [kept(weights.keep_post, layer.resid_mid)]
    if weights.parallel:
        others = [kept(weights.keep_mid, layer.resid_pre), layer.attention.write]
    banks = [
        (_dense if len(own.w_down) == 1 else _mixture)(bank, own, whole)
        for bank, own in zip(layer.ffn.banks, weights.ffn.banks, strict=True)
    ]
    total = [proximity(part, whole) for part in others]
    total += [bank.nearer.sum(-1) for bank in banks]
    held = [*others, layer.ffn.constant, *(bank.written for bank in banks)]
    error = closure(
        sum(held[1:], held[0]),
        whole,
        *others,
        layer.ffn.write,
        products=[product for bank in banks for product in bank.products],
        valid=valid,
    )
    nearer = [bank.nearer for bank in banks]
    shares = nearer[0] if len(nearer) == 1 else torch.cat(nearer, -1)
    return shares.mul_(share_of(torch.stack(total).sum(0))[..., None]), error


@dataclass(frozen=True, eq=False)
class _Bank:
    """One bank, taken apart."""

    nearer: Float[Tensor, "batch position candidate"]
    """The proximity of each of its candidates."""
    products: tuple[Product, ...]
    """What its neurons write,"""
    written: Float[Tensor, "batch position d_model"]
    """unless it is here, beside its biases."""


def _dense(bank: BankCapture, weights: BankWeights, whole: Tensor) -> _Bank:
    """Of a bank whose neurons every token uses."""
    factor = bank.weight[..., 0] * bank.scale
    times = bank.activation[..., 0, :]
    if not (factor == 1).all():
        times = times * factor[..., None]
    rows = weights.of(0)
    nearer = _nearer(times.flatten(0, 1), rows, whole.flatten(0, 1)).unflatten(
        0, factor.shape
    )
    bias = weights.biases(bank.expert[0, 0, 0])
    return _Bank(nearer, (Product(times, rows),), factor[..., None] * bias)


def _mixture(bank: BankCapture, weights: BankWeights, whole: Tensor) -> _Bank:
    """Of a bank of experts, of which every token uses a few."""
    factor = bank.weight * bank.scale[..., None]
    multiple = bank.activation * factor[..., None]
    written = torch.einsum("bps,bpsd->bpd", factor, weights.biases(bank.expert))
    nearer = torch.zeros_like(multiple)
    for expert in range(len(weights.w_down)):
        at = (bank.expert == expert).nonzero(as_tuple=True)
        if not len(at[0]):
            continue
        rows, times = weights.of(expert), multiple[at]
        nearer[at] = _nearer(times, rows, whole[at[:2]])
        written.index_put_(at[:2], times @ rows, accumulate=True)
    return _Bank(nearer.flatten(2), (), written)


def _nearer(
    times: Float[Tensor, "position neuron"],
    rows: Float[Tensor, "neuron d_model"],
    whole: Float[Tensor, "position d_model"],
) -> Float[Tensor, "position neuron"]:
    """The proximity of every neuron's write at every position."""
    # One head whose keys are the neurons, one prompt of all positions.
    return proximities_of_multiples(
        times[None, None], rows[None, None], Goal(whole[None]), causal=False
    )[0, 0]


def activations(
    ffn: FfnCapture, candidate: Int[Tensor, "batch position rank"]
) -> Float[Tensor, "batch position rank"]:
    """The activations of some of each token's candidates, weighted by the router."""
    found = torch.zeros_like(candidate, dtype=ffn.write.dtype)
    for bank, _, inside, within in _by_bank(ffn, candidate):
        n = bank.activation.shape[-1]
        own = bank.activation.flatten(2).gather(-1, within)
        own = own * bank.weight.gather(-1, within // n)
        found = torch.where(inside, own, found)
    return found


def places(
    ffn: FfnCapture, weights: FfnWeights, candidate: Int[Tensor, "batch position rank"]
) -> tuple[Int[Tensor, "batch position rank"], Float[Tensor, "batch position rank"]]:
    """The places of some of each token's candidates, and what scales their banks."""
    place = torch.zeros_like(candidate)
    scale = torch.ones_like(candidate, dtype=ffn.write.dtype)
    starts = weights.starts()
    for bank, number, inside, within in _by_bank(ffn, candidate):
        n = bank.activation.shape[-1]
        expert = bank.expert.gather(-1, within // n)
        own = starts[number] + expert * n + within % n
        place = torch.where(inside, own, place)
        scale = torch.where(inside, bank.scale[..., None], scale)
    return place, scale


def _by_bank(
    ffn: FfnCapture, candidate: Int[Tensor, "batch position rank"]
) -> Iterator[tuple[BankCapture, int, Tensor, Tensor]]:
    """(bank, its number, which candidates are its neurons, their number in it)."""
    low = 0
    for number, bank in enumerate(ffn.banks):
        size = bank.activation.shape[2] * bank.activation.shape[3]
        inside = (candidate >= low) & (candidate < low + size)
        yield bank, number, inside, (candidate - low).clamp(0, size - 1)
        low += size
