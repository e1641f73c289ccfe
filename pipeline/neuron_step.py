"""CORE MATHS: the FFN's write, taken apart into neurons (DESIGN 2.1, 2.5).

It is the sum over neurons n of `activation[n] * w_down[n]`, each times what scales its
bank's output on the way into the stream, plus a bias. A token's *candidates* are the
neurons it uses: those of its slots' experts, bank by bank, in order of their places.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .contributions import closure, proximity, share_of
from .layer import (
    BankCapture,
    BankWeights,
    FfnCapture,
    FfnWeights,
    LayerCapture,
    LayerWeights,
)
from .proximity_kernel import proximities_of_multiples


def neuron_step(
    layer: LayerCapture, weights: LayerWeights
) -> tuple[Float[Tensor, "batch position candidate"], Float[Tensor, "batch position"]]:
    """Every candidate's contribution to `resid_post`, beside the residual's, and in a
    parallel block the attention's; and the closure of the step."""
    whole = layer.resid_post
    others = [weights.keep_post * layer.resid_mid]
    if weights.parallel:
        others = [weights.keep_mid * layer.resid_pre, layer.attention.write]
    banks = [
        _bank(bank, own, whole)
        for bank, own in zip(layer.ffn.banks, weights.ffn.banks, strict=True)
    ]
    nearer = [found for found, _ in banks]
    parts = [*others, layer.ffn.constant, *(written for _, written in banks)]
    total = [*(proximity(part, whole) for part in others), *(x.sum(-1) for x in nearer)]
    error = closure(torch.stack(parts).sum(0), whole, *others, layer.ffn.write)
    shares = nearer[0] if len(nearer) == 1 else torch.cat(nearer, -1)
    return shares.mul_(share_of(torch.stack(total).sum(0))[..., None]), error


def _bank(
    bank: BankCapture, weights: BankWeights, whole: Tensor
) -> tuple[Tensor, Tensor]:
    """The proximity of each of a bank's candidates, and the bank's whole write."""
    multiple = bank.activation * (bank.weight * bank.scale[..., None])[..., None]
    biases = bank.weight * bank.scale[..., None]
    written = torch.einsum("bps,bpsd->bpd", biases, weights.biases(bank.expert))
    nearer = torch.zeros_like(multiple)
    for expert in range(len(weights.w_down)):
        at = (bank.expert == expert).nonzero(as_tuple=True)
        if not len(at[0]):
            continue
        rows, goal = weights.of(expert), whole[at[:2]]
        times = multiple[at]
        # One head whose keys are the neurons, one prompt of all positions.
        nearer[at] = proximities_of_multiples(
            times[None, None], rows[None, None], goal[None], causal=False
        )[0, 0]
        written.index_put_(at[:2], times @ rows, accumulate=True)
    return nearer.flatten(2), written


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
