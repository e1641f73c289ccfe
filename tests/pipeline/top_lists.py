"""Stored rows as arrays, and top-k lists against the full scores of the reference.

Two lists are the same if only tokens whose scores are within EQUAL of each other have
changed places: float32 cannot tell these apart.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from torch import Tensor

EQUAL = 1e-5

Array = NDArray[np.float64]


def where(table: pa.Table, **values: str | int) -> pa.Table:
    """The rows that have these values in these columns."""
    for column, value in values.items():
        table = table.filter(pc.equal(table[column], value))
    return table


def grid(table: pa.Table, column: str, *axes: str) -> Array:
    """A column [*axes], where each axis is a column of integers that count from 0.

    Raises AssertionError unless every cell has exactly one row.
    """
    places = tuple(table[axis].to_numpy() for axis in axes)
    shape = tuple(int(axis.max()) + 1 for axis in places)
    flat = np.ravel_multi_index(places, shape)
    assert sorted(flat) == list(range(int(np.prod(shape)))), f"{axes} leave gaps"
    cells = np.empty(shape)
    cells[places] = table[column].to_numpy()
    return cells


def assert_leads(ids: Array, scores: Array | Tensor) -> None:
    """`ids` [..., rank] have the highest scores [..., vocab], the highest first."""
    full = np.asarray(scores)
    places = ids.astype(int)
    assert (np.diff(np.sort(places, -1), axis=-1) > 0).all(), "a token comes twice"
    k = places.shape[-1]
    due = -np.sort(np.partition(-full, k - 1, axis=-1)[..., :k], -1)
    found = np.take_along_axis(full, places, -1)
    np.testing.assert_allclose(found, due, rtol=0, atol=EQUAL)


def assert_ranks(ranks: Array, ids: Array, scores: Array | Tensor) -> None:
    """`ranks` are those of the tokens `ids` [..., token] in a full sort of scores."""
    full = np.asarray(scores)[..., None, :]
    own = np.take_along_axis(full[..., 0, :], ids.astype(int), -1)[..., None]
    surely_above = (full > own + EQUAL).sum(-1)
    maybe_above = (full > own - EQUAL).sum(-1) - 1  # without the token itself
    assert (surely_above <= ranks).all()
    assert (ranks <= maybe_above).all()
