"""How exactly measures are stored: rounded once to few mantissa bits.

Rounded floats repeat, so Parquet's dictionary halves the file, and they stay ordinary
FLOATs that any reader understands.
"""

import numpy as np
from numpy.typing import NDArray

_MANTISSA = 23

CLOSURE_BOUNDS = {"float64": 1e-6, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}
"""The largest closure of a prompt that is stored, by the model's dtype (DESIGN 2.3)."""

SUM_TOLERANCE = {"rounded": 4e-3, "full": 1e-5}
"""How far stored shares may be from summing to 1, by `--precision` (DESIGN 2.8)."""


def round_mantissa(x: NDArray[np.float32], bits: int = 7) -> NDArray[np.float32]:
    """Each value rounded to `bits` mantissa bits, ties to even.

    The relative error of a normal number is at most 2**-(bits + 1). Rounding is
    monotone and idempotent, keeps the sign, zeros and powers of two, and leaves
    infinities and NaN alone. Any shape.

    >>> round_mantissa(np.array([0.04, 0.3, 1.0], dtype=np.float32))
    array([0.04003906, 0.30078125, 1.        ], dtype=float32)
    """
    assert 1 <= bits < _MANTISSA, bits
    assert x.dtype == np.float32, x.dtype
    dropped = np.uint32(_MANTISSA - bits)
    one = np.uint32(1)
    raw = np.ascontiguousarray(x).view(np.uint32)
    just_under_half = (one << (dropped - one)) - one
    is_odd = (raw >> dropped) & one
    rounded = (raw + just_under_half + is_odd) >> dropped << dropped
    return np.where(np.isfinite(x), rounded.view(np.float32), x)
