"""Which tokens lead, and what rank a token has; among equals the lowest id comes first.

Ranks start at 0, the best. NaN never occurs: logits are finite.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def leading(
    scores: Float[Tensor, "row vocab"], k: int
) -> tuple[Float[Tensor, "row rank"], Int[Tensor, "row rank"]]:
    """The k highest scores of every row and where they are, the highest first.

    >>> leading(torch.tensor([[1.0, 3.0, 3.0, 0.0, 1.0]]), 3)
    (tensor([[3., 3., 1.]]), tensor([[1, 2, 0]]))
    """
    k = min(k, scores.shape[-1])
    if k == 0:
        return scores[:, :0], scores[:, :0].long()
    values, ids = scores.topk(k, dim=-1)
    # topk takes any of several equals: where more of them than places are left, sort.
    crowded = ((scores >= values[:, -1:]).sum(-1) > k).nonzero()[:, 0]
    if len(crowded):
        ordered = scores[crowded].sort(stable=True, dim=-1, descending=True)
        ids[crowded] = ordered.indices[:, :k]
    ids = ids.sort(-1).values
    values, order = scores.gather(-1, ids).sort(stable=True, dim=-1, descending=True)
    return values, ids.gather(-1, order)


def ranks(
    scores: Float[Tensor, "row vocab"], ids: Int[Tensor, "row token"]
) -> Int[Tensor, "row token"]:
    """The rank of each of some tokens in its row.

    >>> ranks(torch.tensor([[1.0, 3.0, 3.0, 0.0]]), torch.tensor([[2, 3, 1]]))
    tensor([[1, 3, 0]])
    """
    own = scores.gather(-1, ids)
    above = torch.empty_like(ids)
    equal = torch.empty_like(ids)
    for i in range(ids.shape[-1]):
        above[:, i] = (scores > own[:, i, None]).sum(-1)
        equal[:, i] = (scores >= own[:, i, None]).sum(-1) - above[:, i]
    if (tied := (equal > 1).nonzero()).numel():
        row, token = tied.T
        place = torch.arange(scores.shape[-1], device=scores.device)
        same = scores[row] == own[row, token, None]
        above[row, token] += (same & (place < ids[row, token, None])).sum(-1)
    return above
