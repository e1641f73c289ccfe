"""Where information comes from: a layer's own state at the same token, and from other
tokens through the attention patterns only.

Passes over other tokens and other states, with the attention's outputs held as they
were: what may not move must not.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial

import torch
from torch import Tensor

from .errors import ModelError
from .find_stream import stream_states
from .probe import Probe

LENGTH = 24
"""Tokens of the prompts on which mixing is looked for: half of them on either side."""

Run = Callable[..., Probe]
"""`probe.probe` of one model."""


def check_isolation(
    run: Run, ids: Tensor, others: Tensor, names: Sequence[str], tolerance: float
) -> None:
    """Raise ModelError if tokens mix outside the attention patterns.

    `ids` and `others` are [batch, position]. One token in the middle of the first
    prompt is changed, and all of the second prompt: of the first nothing else may move.
    """
    middle = ids.shape[1] // 2
    changed = others.clone()
    changed[0] = ids[0]
    changed[0, middle] = others[0, middle]
    first = run(ids, whole=False)
    second = run(changed, attend=first.attend, whole=False)
    rest = [i for i in range(ids.shape[1]) if i != middle]
    states = [stream_states(probe, names) for probe in (first, second)]
    mix = (
        "tokens mix outside the attention patterns, first seen {}: a convolution, a "
        "recurrence or a state beside the attention"
    )
    for name, (_, one), (_, two) in zip(names, *states, strict=True):
        if moved(one[0, rest], two[0, rest], tolerance):
            raise ModelError(mix.format(f"in {name}"))
    for name, one, two in zip(names, first.layers, second.layers, strict=True):
        value, other = (
            trail.attentions[0].value.transpose(1, 2)[0, rest] for trail in (one, two)
        )
        if moved(value, other, tolerance):
            raise ModelError(mix.format(f"in the attention's values of {name}"))


def check_sources(
    run: Run, seen: Probe, names: Sequence[str], tolerance: float
) -> None:
    """Raise ModelError if a layer reads anything but its own state.

    In each pass some layers are given the state and the heads' outputs that they had,
    and the others another prompt's; two layers are told apart by some pass, whichever
    is the earlier one.
    """
    states = seen.states()
    for bit in range((len(states) - 1).bit_length()):
        for side in (0, 1):
            own = {i for i in states if (i >> bit) & 1 == side}
            given = {i: s if i in own else s.flip(0) for i, s in states.items()}
            attend = partial(_attend_as, seen, own)
            again = run(seen.ids, states=given, attend=attend, whole=False)
            for i in sorted(own):
                _check_source(seen, again, i, names[i], tolerance)


def _attend_as(seen: Probe, own: Collection[int], layer: int, output: Tensor) -> None:
    kept = seen.layers[layer].attentions[0].output
    output.copy_(kept if layer in own else kept.flip(0))


def _check_source(
    seen: Probe, again: Probe, layer: int, name: str, tolerance: float
) -> None:
    one, two = seen.layers[layer], again.layers[layer]
    value, other = (trail.attentions[0].value for trail in (one, two))
    if moved(value.transpose(1, 2), other.transpose(1, 2), tolerance):
        raise ModelError(
            f"{name}: its attention reads values of another layer's state, so its "
            "edges would start at the wrong one (shared values, a value residual)"
        )
    if moved(one.left[0], two.left[0], tolerance):
        raise ModelError(
            f"{name}: what it writes depends on another layer's state, not only on its "
            "own"
        )


def reads_tokens(run: Run, seen: Probe, others: Tensor, tolerance: float) -> bool:
    """Whether some layer reads the tokens themselves, beside the residual stream."""
    again = run(others, states=seen.states(), attend=seen.attend, whole=False)
    pairs = zip(seen.layers, again.layers, strict=True)
    return any(moved(one.left[0], two.left[0], tolerance) for one, two in pairs)


def moved(
    one: Tensor | None, two: Tensor | None, tolerance: float, *, allowed: float = 0
) -> bool:
    """Whether more than a share of rows [..., width] differ; NaN differs from
    everything."""
    assert one is not None
    assert two is not None
    size = one.abs().amax().clamp_min(torch.finfo(one.dtype).tiny)
    differ = ~((one - two).abs().amax(-1) <= tolerance * size)
    return bool(differ.float().mean() > allowed)
