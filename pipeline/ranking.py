"""Which tokens lead, and what rank a token has; among equals the lowest id comes first.

Ranks start at 0, the best. There must be no NaN: logits are finite.
"""

from math import inf
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .kernels import compiled, in_threads, pieces

BLOCK = 64
"""Scores whose maximum is looked at before each of them."""

SCORES_IN_CACHE = 2048
"""Scores that all tokens asked about are compared with before the next ones."""


def leading(
    scores: Float[Tensor, "row vocab"],
    k: int,
    *,
    sign: int = 1,
    floor: float = -inf,
) -> tuple[Float[Tensor, "row rank"], Int[Tensor, "row rank"]]:
    """The k highest scores of every row and where they are, the highest first.

    With sign -1 the k lowest, the lowest first. Scores below the floor (times the sign)
    are not looked for: a row with fewer than k others ends in zeros.

    >>> leading(torch.tensor([[1.0, 3.0, 3.0, 0.0, 1.0]]), 3)
    (tensor([[3., 3., 1.]]), tensor([[1, 2, 0]]))
    """
    k = min(k, scores.shape[-1])
    if not scores.is_cpu:
        return leading_in_torch(scores, k, sign=sign, floor=floor)
    loop = compiled(_leading_loop)
    values, ids = scores.new_zeros(len(scores), k), torch.zeros(len(scores), k).long()
    given, best, places = scores.contiguous().numpy(), values.numpy(), ids.numpy()

    def work(start: int, stop: int) -> None:
        some = slice(start, stop)
        kind = given.dtype.type
        loop(given[some], kind(sign), kind(floor), best[some], places[some])

    if k:
        in_threads(work, pieces(len(scores)))
    return values, ids


def ranks(
    scores: Float[Tensor, "row vocab"], ids: Int[Tensor, "row token"]
) -> Int[Tensor, "row token"]:
    """The rank of each of some tokens in its row.

    >>> ranks(torch.tensor([[1.0, 3.0, 3.0, 0.0]]), torch.tensor([[2, 3, 1]]))
    tensor([[1, 3, 0]])
    """
    if not scores.is_cpu:
        return ranks_in_torch(scores, ids)
    loop = compiled(_ranks_loop)
    found = torch.empty_like(ids, memory_format=torch.contiguous_format)
    given, asked, out = scores.contiguous().numpy(), ids.numpy(), found.numpy()

    def work(start: int, stop: int) -> None:
        some = slice(start, stop)
        loop(given[some], asked[some], out[some])

    in_threads(work, pieces(len(scores)))
    return found


def leading_in_torch(
    scores: Tensor, k: int, *, sign: int = 1, floor: float = -inf
) -> tuple[Tensor, Tensor]:
    """`leading` in tensor operations, for any device."""
    if k == 0:
        return scores[:, :0], scores[:, :0].long()
    signed = scores * sign
    values, ids = signed.topk(k, dim=-1)
    # topk takes any of several equals: where more of them than places are left, sort.
    crowded = ((signed >= values[:, -1:]).sum(-1) > k).nonzero()[:, 0]
    if len(crowded):
        ordered = signed[crowded].sort(stable=True, dim=-1, descending=True)
        ids[crowded] = ordered.indices[:, :k]
    ids = ids.sort(-1).values
    values = signed.gather(-1, ids)
    values, order = values.sort(stable=True, dim=-1, descending=True)
    found = values >= floor
    return torch.where(found, values * sign, 0), ids.gather(-1, order) * found


def ranks_in_torch(scores: Tensor, ids: Tensor) -> Tensor:
    """`ranks` in tensor operations, for any device."""
    found = torch.empty_like(ids)
    place = torch.arange(scores.shape[-1], device=scores.device)
    for i in range(ids.shape[-1]):
        own = scores.gather(-1, ids[:, i, None])
        tied_before = (scores == own) & (place < ids[:, i, None])
        found[:, i] = ((scores > own) | tied_before).sum(-1)
    return found


def _leading_loop(scores: Any, sign: Any, floor: Any, values: Any, ids: Any) -> None:
    rows, vocab = scores.shape
    k = values.shape[1]
    for row in range(rows):
        filled = 0
        for start in range(0, vocab, BLOCK):
            stop = min(start + BLOCK, vocab)
            block = scores[row, start:stop]
            top = sign * block[0]
            for at in range(len(block)):
                top = max(top, sign * block[at])
            if top < floor or (filled == k and top <= values[row, k - 1]):
                continue
            for token in range(start, stop):
                score = sign * scores[row, token]
                if score < floor or (filled == k and score <= values[row, k - 1]):
                    continue
                filled = min(filled + 1, k)
                at = filled - 1
                while at > 0 and values[row, at - 1] < score:
                    values[row, at] = values[row, at - 1]
                    ids[row, at] = ids[row, at - 1]
                    at -= 1
                values[row, at] = score
                ids[row, at] = token
        for at in range(filled):
            values[row, at] *= sign


def _ranks_loop(scores: Any, ids: Any, found: Any) -> None:
    rows, vocab = scores.shape
    one, none = np.float32(1), np.float32(0)
    for row in range(rows):
        for i in range(ids.shape[1]):
            found[row, i] = 0
        for start in range(0, vocab, SCORES_IN_CACHE):
            stop = min(start + SCORES_IN_CACHE, vocab)
            for i in range(ids.shape[1]):
                token = ids[row, i]
                own = scores[row, token]
                # Counted in float32: integers would be widened to int64, four times
                # slower, and a block's count is exact.
                ahead = none
                # Slices that are read from 0 on: other loops are not vectorised.
                before = scores[row, start : min(max(token, start), stop)]
                behind = scores[row, max(min(token + 1, stop), start) : stop]
                for at in range(len(before)):
                    ahead += one if before[at] >= own else none
                for at in range(len(behind)):
                    ahead += one if behind[at] > own else none
                found[row, i] += np.int64(ahead)
