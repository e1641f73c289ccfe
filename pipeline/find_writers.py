"""What a layer writes into the residual stream, from what a probe saw.

1. Candidates: the attention's output projection, banks of experts, and every linear map
   outside the attention that gives d_model numbers at every position.
2. Norms behind them: modules that read a combination of candidates' outputs.
3. resid_mid, if some module reads it: else the block is parallel.
4. The layer's output as a combination of resid_mid and the writes. A candidate that
   only feeds another one gets coefficient 0 and drops out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .anatomy import LayerAnatomy, PostNorm, Writer
from .errors import ModelError
from .fit import Fit, coefficients, identical, same
from .measure_norm import proven_norm
from .trails import Layer
from .weights import linear_shape

NOTHING = 1e-4
"""A coefficient below this is none."""


@dataclass(eq=False)
class _Candidate:
    """A possible writer, and the image of its output behind the norms so far."""

    writer: Writer
    image: Tensor
    ended: int
    """How many calls of the layer had ended when it had."""


@dataclass(frozen=True, eq=False)
class _Sum:
    """How a layer's output adds up from the stream and the writers."""

    mid_reader: nn.Module | None
    keep_mid: float | None
    keep_post: float | None
    writers: list[Writer]
    """All candidates, with their coefficients."""
    norms: list[PostNorm]


def find_writers(layer: Layer, *, parallel: bool = False) -> LayerAnatomy:
    """The layer's anatomy; raises ModelError where its writes do not add up.

    With `parallel` no resid_mid is looked for.
    """
    found = _add_up(layer, parallel=parallel)
    if found.mid_reader is not None and _is_deaf(layer, found, found.mid_reader):
        # Somebody reads resid_mid, but not the FFN.
        found = _add_up(layer, parallel=True)
    if not found.keep_mid or not found.keep_post:
        raise ModelError(
            f"{layer.where}: the residual stream is not carried on as it is, nor times "
            "one number: a norm behind the addition (post-LN), or a weight by channel "
            "or by token"
        )
    kept = [i for i, writer in enumerate(found.writers) if writer.coefficient != 0]
    if 0 not in kept:
        raise ModelError(
            f"{layer.where}: the attention's output projection {layer.o_proj.name} "
            "does not reach the residual stream"
        )
    if len(kept) < 2:
        raise ModelError(f"{layer.where}: no FFN write was found")
    if found.mid_reader is None and _follows(layer, found):
        raise ModelError(
            f"{layer.where}: the FFN depends on what the attention wrote, but no "
            "module reads the stream plus that: is a norm a mere function, or does "
            "something else write in between?"
        )
    number = {i: place for place, i in enumerate(kept)}
    return LayerAnatomy(
        name=layer.name,
        block=layer.block,
        attention=layer.attention,
        writers=tuple(found.writers[i] for i in kept),
        norms=tuple(
            replace(norm, writers=tuple(number[i] for i in norm.writers))
            for norm in found.norms
            if set(norm.writers) <= set(number)
        ),
        mid_reader=found.mid_reader,
        keep_mid=found.keep_mid,
        keep_post=found.keep_post,
    )


def _add_up(layer: Layer, *, parallel: bool) -> _Sum:
    candidates = _candidates(layer)
    norms, doubts = _norms(layer, candidates)
    attention, *others = candidates
    found = None if parallel else _mid(layer, attention)
    base = [layer.resid_pre, attention.image] if found is None else [found.state]
    fit = Fit(layer.resid_post, [*base, *(c.image for c in others)], layer.tolerance)
    if fit.error > layer.tolerance:
        others, fit = _opaque(layer, base, fit, others, doubts)
        norms = [norm for norm in norms if norm.writers == (0,)]
    numbers = [0 if c is not None and abs(c) < NOTHING else c for c in fit.coefficients]
    if found is None:
        keep_mid, attn, *rest = numbers
        keep_post: float | None = 1
    else:
        keep_mid, attn = found.coefficients
        keep_post, *rest = numbers
    return _Sum(
        mid_reader=None if found is None else found.reader,
        keep_mid=keep_mid,
        keep_post=keep_post,
        writers=[
            replace(candidate.writer, coefficient=c)
            for candidate, c in zip([attention, *others], [attn, *rest], strict=True)
        ],
        norms=norms,
    )


def _candidates(layer: Layer) -> list[_Candidate]:
    """Possible writers, the attention's first."""
    trail, like = layer.trail, layer.resid_pre
    names = {module: name for name, module in layer.block.named_modules()}
    assert layer.o_proj.gave is not None
    found = [
        _Candidate(
            Writer(layer.o_proj.name, layer.o_proj.module, "attention", 1.0),
            layer.o_proj.gave.reshape(like.shape),
            trail.calls.index(layer.o_proj) + 1,
        )
    ]
    for bank in trail.experts:
        writer = Writer(names[bank.module], bank.module, "experts", 1.0)
        found.append(_Candidate(writer, bank.output.reshape(like.shape), bank.at))
    for i, call in enumerate(trail.calls):
        shape, gave = linear_shape(call.module), call.gave
        if shape is None or shape[1] != like.shape[-1] or layer.in_attention(call):
            continue
        if gave is not None and gave.numel() == like.numel():
            writer = Writer(call.name, call.module, "linear", 1.0)
            found.append(_Candidate(writer, gave.reshape(like.shape), i + 1))
    return found


def _norms(
    layer: Layer, candidates: Sequence[_Candidate]
) -> tuple[list[PostNorm], list[str]]:
    """The norms behind candidates, whose images they change; and what was no norm."""
    found: list[PostNorm] = []
    doubts: list[str] = []
    for call in layer.trail.calls:
        read = layer.reads_stream(call)
        if read is None or linear_shape(call.module) or any(call.module.children()):
            continue
        if call.gave is None or identical(call.read, call.gave):
            continue
        before = [i for i, c in enumerate(candidates) if c.ended <= call.began]
        group = _read_together(read, candidates, before, layer.tolerance)
        if group is None:
            continue
        try:
            norm = proven_norm(call, layer.where, layer.tolerance)
        except ModelError as error:
            doubts.append(str(error))
            continue
        members, numbers = group
        found.append(PostNorm(call.name, call.module, norm, members, numbers))
        images = [candidates[i].image for i in members]
        gave = call.gave.reshape(read.shape)
        own = norm.to(read)
        scale = own.scale(read, gave)
        solved = coefficients(read, images, numbers)
        for place, (i, times) in enumerate(zip(members, solved, strict=True)):
            image = own.direction(candidates[i].image) * (times * scale)[..., None]
            candidates[i].image = image + own.bias if place == 0 else image
    return found, doubts


def _read_together(
    read: Tensor,
    candidates: Sequence[_Candidate],
    before: Sequence[int],
    tolerance: float,
) -> tuple[tuple[int, ...], tuple[float | None, ...]] | None:
    """The candidates that a state is a combination of, and their coefficients."""
    ffn = [i for i in before if i != 0]
    for some in [[i] for i in before] + ([ffn] if len(ffn) > 1 else []):
        fit = Fit(read, [candidates[i].image for i in some], tolerance)
        if fit.error > tolerance:
            continue
        used = [
            (i, c)
            for i, c in zip(some, fit.coefficients, strict=True)
            if c is None or abs(c) >= NOTHING
        ]
        if used:
            members, numbers = zip(*used, strict=True)
            return members, numbers
    return None


@dataclass(frozen=True, eq=False)
class _Mid:
    """resid_mid: who reads it, and what it is of the stream and the attention."""

    reader: nn.Module
    state: Tensor
    coefficients: list[float | None]


def _mid(layer: Layer, attention: _Candidate) -> _Mid | None:
    for call in layer.trail.calls:
        read = layer.reads_stream(call)
        if read is None or call.began < attention.ended:
            continue
        fit = Fit(read, [layer.resid_pre, attention.image], layer.tolerance)
        carried = all(c is None or abs(c) >= NOTHING for c in fit.coefficients)
        if fit.error <= layer.tolerance and carried:
            return _Mid(call.module, read, fit.coefficients)
    return None


def _follows(layer: Layer, found: _Sum) -> bool:
    """Whether the FFN writes something else when the attention does."""
    return any(
        not same(two, one, layer.tolerance) for one, two in _ffn_outputs(layer, found)
    )


def _is_deaf(layer: Layer, found: _Sum, mid_reader: nn.Module) -> bool:
    """Whether the FFN writes the same, to the bit, though resid_mid is another. One
    that writes the same at every token says nothing."""
    mids = [
        next(call.read for call in trail.calls if call.module is mid_reader)
        for trail in (layer.trail, layer.changed)
    ]
    if identical(*mids):
        return False
    pairs = list(_ffn_outputs(layer, found))
    rows = [one.reshape(-1, one.shape[-1]) for one, _ in pairs]
    speaks = not layer.silent and any((some != some[0]).any() for some in rows)
    return speaks and all(torch.equal(one, two) for one, two in pairs)


def _ffn_outputs(layer: Layer, found: _Sum) -> Iterator[tuple[Tensor, Tensor]]:
    """What each FFN writer gave, and what it gave when the heads' outputs changed."""
    for writer in found.writers[1:]:
        if writer.coefficient != 0:
            one, two = (
                next(
                    gave for module, gave in trail.outputs() if module is writer.module
                )
                for trail in (layer.trail, layer.changed)
            )
            yield one, two


def _opaque(
    layer: Layer,
    base: Sequence[Tensor],
    opened: Fit,
    candidates: Sequence[_Candidate],
    doubts: Sequence[str],
) -> tuple[list[_Candidate], Fit]:
    """The FFN as one module that does not open up; ModelError if that fails too."""
    for call in layer.trail.calls:
        gave = call.gave
        if gave is None or "." in call.name or gave.numel() != layer.resid_pre.numel():
            continue
        inner = set(call.module.modules())
        if layer.attention.module in inner or layer.attention.out_proj in inner:
            continue
        image = gave.reshape(layer.resid_pre.shape)
        fit = Fit(layer.resid_post, [*base, image], layer.tolerance)
        last = fit.coefficients[-1]
        if fit.error <= layer.tolerance and (last is None or abs(last) >= NOTHING):
            writer = Writer(call.name, call.module, "opaque", 1.0)
            return [_Candidate(writer, image, 0)], fit
    names = ", ".join(c.writer.name for c in candidates) or "none"
    raise ModelError(
        f"{layer.where}: the residual stream, the attention's write and the FFN's do "
        f"not add up to its output (relative error {opened.error:.1g}); FFN writers "
        f"found: {names}{''.join(f'; {doubt}' for doubt in doubts)}"
    )
