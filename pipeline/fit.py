"""Which combination of a few vectors a state is, token by token, and whether it is one.

d_model equations for two to four unknowns: a false fit is not realistic.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def relative(
    error: Float[Tensor, "*row d_model"], whole: Float[Tensor, "*row d_model"]
) -> float:
    """The largest |error| over the largest |whole| of the same row: a row of huge
    values cannot hide the others."""
    size = whole.abs().amax(-1).clamp_min(torch.finfo(whole.dtype).tiny)
    return float((error.abs().amax(-1) / size).max())


def same(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether two tensors hold the same rows, up to rounding and views."""
    if a.numel() != b.numel() or a.shape[-1] != b.shape[-1]:
        return False
    return relative(a.reshape(b.shape) - b, b) <= tolerance


def identical(a: Tensor | None, b: Tensor | None) -> bool:
    """Whether two tensors hold the same rows bit for bit, views aside: one was handed
    on as the other."""
    if a is None or b is None or a.numel() != b.numel() or a.shape[-1] != b.shape[-1]:
        return False
    return torch.equal(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]))


def coefficients(
    goal: Float[Tensor, "*row d_model"],
    vectors: Sequence[Float[Tensor, "*row d_model"]],
    known: Sequence[float | None],
) -> list[Float[Tensor, "*row"]]:
    """Each vector's coefficient in each row: those known as they are, the others by
    least squares, in float64. A vector of zeros adds nothing: it gets 1."""
    unknown = [i for i, value in enumerate(known) if value is None]
    shape = goal.shape[:-1]
    found = [
        goal.new_ones(shape) if value is None else goal.new_full(shape, value)
        for value in known
    ]
    if not unknown:
        return found
    rest = goal.double()
    for value, vector in zip(known, vectors, strict=True):
        if value is not None:
            rest = rest - value * vector.double()
    basis = torch.stack([vectors[i].double() for i in unknown], -1)
    size = basis.square().sum(-2)
    if len(unknown) == 1:
        solved = (basis * rest[..., None]).sum(-2) / size
    else:
        solved = (torch.linalg.pinv(basis, rtol=1e-10) @ rest[..., None])[..., 0]
    solved = torch.where(size > 0, solved, 1)
    for place, i in enumerate(unknown):
        found[i] = solved[..., place].to(goal.dtype)
    return found


class Fit:
    """A state as a combination of vectors, with one number each where that fits."""

    def __init__(
        self, goal: Tensor, vectors: Sequence[Tensor], tolerance: float
    ) -> None:
        self._goal = goal.double()
        self._vectors = [vector.double().reshape(goal.shape) for vector in vectors]
        free: list[float | None] = [None] * len(vectors)
        self.error = self._error(free)
        self.coefficients = free
        """None where it differs from token to token."""
        if self.error > tolerance:
            return
        exact = max(3 * self.error, tolerance / 40)
        # One after the other, for as long as the fit stays as good. What is fixed is
        # solved for no more: vectors that are multiples of each other stay apart.
        for i in range(len(vectors)):
            for value in (1.0, 0.0, *self._estimates(i)):
                plain = value in (0.0, 1.0)
                trial = [*self.coefficients]
                trial[i] = value
                if self._error(trial) <= (exact if plain else max(tolerance, exact)):
                    self.coefficients = trial
                    break

    def _estimates(self, i: int) -> list[float]:
        """One number for all tokens, the better guess first: the one that fits them
        all at once, and the median of those that fit each."""
        known = self.coefficients
        whole = [vector.reshape(1, -1) for vector in self._vectors]
        at_once = coefficients(self._goal.reshape(1, -1), whole, known)[i]
        each = coefficients(self._goal, self._vectors, known)[i]
        guesses = float(at_once), float(each.median())
        return sorted(
            guesses, key=lambda c: self._error([*known[:i], c, *known[i + 1 :]])
        )

    def _error(self, known: Sequence[float | None]) -> float:
        found = coefficients(self._goal, self._vectors, known)
        made = sum(c[..., None] * v for c, v in zip(found, self._vectors, strict=True))
        assert isinstance(made, Tensor)
        return relative(made - self._goal, self._goal)
