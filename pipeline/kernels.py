"""How hot loops are compiled and spread over the cores; each lies beside its maths.

numba compiles plain loops over arrays, on a CPU only: it needs no compiler on the
machine, takes seconds the first time and remembers the result on disk. On a CUDA device
PyTorch compiles the tensor form of the same mathematics (Triton), and any other device
runs that form as it is. Every form gives the same bits on every call, and each
is tested against the plain one.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from os import environ
from shutil import which
from types import FunctionType
from typing import Any

import numpy as np
import torch

Loop = Callable[..., Any]


def name_of(device: torch.device) -> str:
    """The kind of kernels used on a device, as `runs.config` says it."""
    if device.type == "cpu":
        return "numba"
    return "torch.compile" if can_fuse(device) else "torch"


def can_fuse(device: torch.device) -> bool:
    """Whether PyTorch can compile for a device here: Triton needs a C compiler."""
    compilers = (environ.get("CC"), "cc", "gcc", "clang")
    return (
        device.type == "cuda"
        and find_spec("triton") is not None
        and any(which(name) for name in compilers if name)
    )


@cache
def compiled(loop: Loop) -> Loop:
    """The loop as machine code that holds no lock; there must be no NaN in its sums.

    Functions of its own file that it calls are compiled with it.
    """
    import numba  # takes half a second: not before it is needed

    assert isinstance(loop, FunctionType)
    known = loop.__globals__
    helpers = {
        name: compiled(known[name])
        for name in loop.__code__.co_names
        if isinstance(known.get(name), FunctionType)
        and known[name].__module__ == loop.__module__
    }
    own = FunctionType(loop.__code__, {**known, **helpers}, loop.__name__)
    fast: Loop = numba.njit(nogil=True, cache=True, fastmath=True)(own)
    return fast


@cache
def fused(work: Loop) -> Loop:
    """A function of tensors as one kernel on a CUDA device, without intermediates."""
    fast: Loop = torch.compile(work, dynamic=True)
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
