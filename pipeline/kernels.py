"""How hot loops are compiled and spread over the cores; each lies beside its maths.

numba compiles plain loops over arrays, on a CPU only: it needs no compiler on the
machine, takes a second the first time and remembers the result on disk. Elsewhere the
PyTorch form beside the loop works, which is also what the loop is tested against. Every
loop gives the same bits on every call.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch

Loop = Callable[..., Any]


def name_of(device: torch.device) -> str:
    """The kind of kernels used on a device, as `runs.config` says it."""
    return "numba" if device.type == "cpu" else "torch"


@cache
def compiled(loop: Loop) -> Loop:
    """The loop as machine code that holds no lock; there must be no NaN in its sums."""
    import numba  # takes half a second: not before it is needed

    fast: Loop = numba.njit(nogil=True, cache=True, fastmath=True)(loop)
    return fast


def in_threads(work: Callable[..., None], tasks: Iterable[tuple[int, ...]]) -> None:
    """Call `work` with every task, as many at once as PyTorch uses threads."""
    for _ in _pool(torch.get_num_threads()).map(lambda task: work(*task), tasks):
        pass


def pieces(n: int, *, of: int = 1) -> list[tuple[int, int]]:
    """[0, n) cut so that every thread finds work when there are `of` such ranges.

    >>> torch.set_num_threads(1)
    >>> pieces(10, of=3)
    [(0, 5), (5, 10)]
    """
    count = max(1, min(n, -(-4 * torch.get_num_threads() // of)))
    bounds = np.linspace(0, n, count + 1).astype(int).tolist()
    return list(pairwise(bounds))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernel")
