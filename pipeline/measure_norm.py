"""A norm's gain, bias and centring, measured with a few inputs: any norm will do,
whatever its class and however it writes its gain, and what is no norm is found out.
"""

from collections.abc import Callable
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .errors import ModelError
from .fit import relative
from .linear_norm import LinearNorm
from .probe import Call

FAR = 1e3
"""Coordinates this large drown a norm's epsilon."""


def measure_norm(
    module: nn.Module, zeros: Float[Tensor, "1 d_model"]
) -> tuple[LinearNorm, Callable[[Tensor], Tensor]]:
    """A norm as a linear map with a scale, and the norm itself in the dtype of `zeros`.

    That the module is a norm is for the caller to prove.
    """
    # A copy of its own: no hook of the model's sees it, and its dtype may differ.
    own = deepcopy(module).to(zeros).requires_grad_(False)

    def normalise(x: Tensor) -> Tensor:
        found = own.forward(x)
        assert isinstance(found, Tensor)
        return found

    bias = normalise(zeros)[0]
    probe = torch.full_like(zeros, FAR)
    level = normalise(probe)[0] - bias
    probe[:, ::2] *= -1
    seen = normalise(probe)[0] - bias
    centred = bool(level.abs().max() < 1e-3 * seen.abs().max())
    if centred:
        probe -= probe.mean()
    gain = seen * probe.square().mean().sqrt() / probe[0]
    return LinearNorm(gain, bias, centred), normalise


def proven_norm(call: Call, where: str, tolerance: float) -> LinearNorm:
    """The norm that a module is; ModelError if it did not act as one in this call."""
    read, gave = call.read, call.gave
    what = f"{where}: {call.name} ({type(call.module).__name__})"
    assert read is not None
    assert gave is not None
    if any(True for _ in call.module.children()):
        raise ModelError(f"{what} transforms a sublayer's output and is no single norm")
    read, gave = (t.reshape(-1, t.shape[-1]) for t in (read, gave))
    dtype = torch.promote_types(read.dtype, torch.float32)
    read, gave = read.to(dtype), gave.to(dtype)
    try:
        norm, _ = measure_norm(call.module, torch.zeros_like(read[:1]))
    except (RuntimeError, TypeError) as error:
        raise ModelError(f"{what} transforms a sublayer's output: {error}") from error
    made = norm.scale(read, gave)[:, None] * norm.direction(read) + norm.bias
    if not relative(made - gave, gave) <= tolerance:
        raise ModelError(f"{what} transforms a sublayer's output and is no norm")
    return norm
