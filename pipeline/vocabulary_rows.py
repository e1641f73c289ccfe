"""Columns that say what logits or scores mean in tokens: `lens`, `writes`, neurons."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from .ranking import leading
from .rows import Columns
from .text import TokenText

SIGNS = (1, -1)
"""Promoted, suppressed."""


def ranked_tokens(
    ids: Int[Tensor, "row rank"], token_text: TokenText, **measures: Tensor
) -> Columns:
    """`rank`, `token_id`, `token` and some measures, rank by rank, row by row."""
    n, k = ids.shape
    flat = ids.cpu().numpy().ravel().astype(np.int32)
    return {
        "rank": np.tile(np.arange(k, dtype=np.int16), n),
        "token_id": flat,
        "token": spelled(flat, token_text),
        **{
            name: value.cpu().numpy().ravel().astype(np.float32)
            for name, value in measures.items()
        },
    }


def spelled(ids: NDArray[np.integer], token_text: TokenText) -> pa.Array:
    """The tokens' texts; each distinct token is spelled once."""
    present = np.flatnonzero(np.bincount(ids))
    texts = pa.array([token_text(i) for i in present.tolist()], pa.string())
    return texts.take(pa.array(np.searchsorted(present, ids)))


def promoted_and_suppressed(
    scores: Float[Tensor, "write vocab"], k: int
) -> Iterator[tuple[int, Float[Tensor, "write rank"], Int[Tensor, "write rank"]]]:
    """(sign, scores, token ids): the k highest and the k lowest of every write."""
    for sign in SIGNS:
        yield sign, *leading(scores, k, sign=sign)
