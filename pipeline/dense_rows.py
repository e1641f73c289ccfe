"""Rows of `tensors`: every head's whole lower triangles, as bytes."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from torch import Tensor

from .rows import Columns, Frame
from .settings import Precision


def tensor_rows(
    contribution: Float[Tensor, "batch head query key"],
    pattern: Float[Tensor, "batch head query key"],
    frame: Frame,
    *,
    layer: int,
    precision: Precision,
) -> Iterator[Columns]:
    """Rows of `tensors`, one part a prompt: float16, or float32 at full precision."""
    dtype = np.float32 if precision == "full" else np.float16
    maps = [
        tensor.float().cpu().numpy().astype(dtype) for tensor in (pattern, contribution)
    ]
    heads = pattern.shape[1]
    for row, n in enumerate(frame.n_tokens.tolist()):
        query, key = np.tril_indices(n)
        attention, shares = (
            [triangle.tobytes() for triangle in values[row][:, query, key]]
            for values in maps
        )
        yield {
            "prompt_id": np.full(heads, frame.prompt_ids[row]),
            "layer": np.full(heads, layer, np.int16),
            "head": np.arange(heads, dtype=np.int16),
            "n": np.full(heads, n, np.int32),
            "attention": pa.array(attention, pa.binary()),
            "contribution": pa.array(shares, pa.binary()),
        }
