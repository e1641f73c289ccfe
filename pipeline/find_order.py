"""A block's parts in their order: attention reads resid_pre, the FFN resid_mid.

Two passes in which a layer's input is held: what a sublayer may not read is changed,
and what it gives may not move.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .anatomy import LayerAnatomy
from .errors import ModelError
from .find_sources import Run, moved
from .probe import Probe, output_tensor

Replace = Callable[[Tensor], Tensor]

Change = tuple[nn.Module, nn.Module, Replace]
"""(block, module, what stands in the place of what the module gives in that block)."""


def check_order(
    run: Run, seen: Probe, layers: Sequence[LayerAnatomy], tolerance: float
) -> None:
    """Raise ModelError where a sublayer reads what it should not."""
    doubled = [
        (layer.block, writer.module, lambda write: 2 * write)
        for layer in layers
        for writer in layer.writers[1:]
    ]
    with _outputs(doubled):
        again = run(seen.ids, states=seen.states(), attend=seen.attend, whole=False)
    for layer, one, two in zip(layers, seen.layers, again.layers, strict=True):
        value, other = (t.attentions[0].value.transpose(1, 2) for t in (one, two))
        if moved(value, other, tolerance):
            raise ModelError(
                f"{layer.name}: its attention reads what its FFN wrote: an edge would "
                "start before the FFN"
            )
    _check_ffn(run, seen, layers, tolerance)


def _check_ffn(
    run: Run, seen: Probe, layers: Sequence[LayerAnatomy], tolerance: float
) -> None:
    """Each sequential layer reads another prompt's state, and its attention writes what
    brings resid_mid back to where it was: then resid_post may not move."""
    states = seen.states()
    others = {i: state.flip(0) for i, state in states.items()}
    changes: list[Change] = []
    held: dict[int, LayerAnatomy] = {}
    for i, layer in enumerate(layers):
        factor = layer.writers[0].coefficient
        if layer.mid_reader is None or factor is None:
            continue
        mid = _mid_of(seen, i, layer)
        # Where the attention writes nothing, norms behind it may be unknown.
        if not torch.equal(mid, layer.keep_mid * states[i]):
            write = (mid - layer.keep_mid * others[i]) / factor
            changes.append((layer.block, _last_of_attention(layer), _always(write)))
            held[i] = layer
    with _outputs(changes):
        again = run(seen.ids, states=others, attend=_flipped(seen), whole=False)
    for i, layer in held.items():
        one, two = seen.layers[i].left[0], again.layers[i].left[0]
        assert one is not None
        # In half precision rounding flips a router's choice now and then.
        routed = any(writer.kind != "linear" for writer in layer.writers[1:])
        half = one.dtype in (torch.float16, torch.bfloat16)
        if moved(one, two, tolerance, allowed=0.25 if routed and half else 0):
            raise ModelError(
                f"{layer.name}: its FFN reads more than resid_mid: the layer's input, "
                "or the heads' outputs themselves"
            )


def _mid_of(seen: Probe, index: int, layer: LayerAnatomy) -> Tensor:
    like = seen.layers[index].entered[0]
    assert like is not None
    reads = (c.read for c in seen.layers[index].calls if c.module is layer.mid_reader)
    mid = next(read for read in reads if read is not None)
    return mid.reshape(like.shape)


def _last_of_attention(layer: LayerAnatomy) -> nn.Module:
    """The last module between the heads and the stream."""
    norms = [norm.module for norm in layer.norms if 0 in norm.writers]
    return norms[-1] if norms else layer.attention.out_proj


def _always(write: Tensor) -> Replace:
    return lambda given: write.to(given).reshape(given.shape)


def _flipped(seen: Probe) -> Callable[[int, Tensor], None]:
    def attend(layer: int, output: Tensor) -> None:
        output.copy_(seen.layers[layer].attentions[0].output.flip(0))

    return attend


@contextmanager
def _outputs(changes: Sequence[Change]) -> Iterator[None]:
    """While open, modules give what a function makes of what they give."""
    running: list[nn.Module] = []

    def begin(block: nn.Module, _: Any) -> None:
        running[:] = [block]

    def hook(block: nn.Module, replace: Replace) -> Callable[..., Any]:
        def behind(_: nn.Module, __: Any, output: Any) -> Any:
            if running != [block]:  # layers may share a module
                return None
            given = output_tensor(output)
            assert given is not None
            changed = replace(given)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return behind

    blocks = {block for block, _, _ in changes}
    handles = [block.register_forward_pre_hook(begin) for block in blocks]
    handles += [
        module.register_forward_hook(hook(block, replace))
        for block, module, replace in changes
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
