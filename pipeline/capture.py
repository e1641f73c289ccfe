"""One forward pass, read layer by layer while it runs, then forgotten.

1. `tapped` puts a function into transformers' attention interface that delegates to
   the family's own eager attention and shows its pattern and values to the recorder.
2. `stream` hooks the modules of the anatomy; when a layer returns, its LayerCapture is
   handed to the consumer and dropped, so that memory is flat in depth.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from .anatomy import Anatomy, LayerModules
from .decompose import LayerCapture
from .errors import ModelError

TAP = "flowglass"

Seen = Callable[[nn.Module, Tensor, Tensor], None]
_seen: ContextVar[Seen | None] = ContextVar("attention tap", default=None)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *args: Any,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    family = sys.modules[type(module).__module__]
    output, pattern = family.eager_attention_forward(
        module, query, key, value, *args, **kwargs
    )
    if (seen := _seen.get()) is not None:
        seen(module, pattern, value)
    return output, pattern


@contextmanager
def tapped(model: PreTrainedModel, seen: Seen) -> Iterator[None]:
    """While open, `seen(module, pattern, value)` is called by every attention."""
    AttentionInterface.register(TAP, _attention)
    # Without a mask function of the same name the model would silently not be causal.
    AttentionMaskInterface.register(TAP, eager_mask)
    before = model.config._attn_implementation
    model.set_attn_implementation(TAP)
    token = _seen.set(seen)
    try:
        yield
    finally:
        _seen.reset(token)
        model.set_attn_implementation(before)


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """A decoder module's hidden states, given by position or by name."""
    found = args[0] if args else kwargs["hidden_states"]
    assert isinstance(found, Tensor)
    return found


def output_tensor(output: Any) -> Tensor:
    """A module's hidden states; some return them first in a tuple."""
    found = output[0] if isinstance(output, tuple) else output
    assert isinstance(found, Tensor)
    return found


def stream(
    model: PreTrainedModel,
    anatomy: Anatomy,
    ids: Int[Tensor, "batch position"],
    mask: Int[Tensor, "batch position"],
    consume: Callable[[int, LayerCapture], None],
) -> Float[Tensor, "batch position vocab"]:
    """Run the model once; `consume` gets every layer's capture in order.

    Gives the logits. Captures are float32, or float64 if the model runs in float64.
    Raises ModelError if a layer's attention bypasses the attention interface.
    """
    shown: dict[str, Tensor] = {}  # by the layer in progress
    handles: list[Any] = []

    def keep(name: str, tensor: Tensor) -> None:
        shown[name] = tensor if tensor.dtype == torch.float64 else tensor.float()

    def seen(_: nn.Module, pattern: Tensor, value: Tensor) -> None:
        keep("pattern", pattern)
        keep("value", value.repeat_interleave(pattern.shape[1] // value.shape[1], 1))

    def enter(name: str) -> Callable[..., None]:
        # Some blocks add in place: a kept input must be a copy.
        return lambda _, args, kwargs: keep(name, first_tensor(args, kwargs).clone())

    def leave(name: str) -> Callable[..., None]:
        return lambda _, __, output: keep(name, output_tensor(output))

    def done(index: int) -> Callable[..., None]:
        def finish(block: nn.Module, _: Any, output: Any) -> None:
            keep("resid_post", output_tensor(output))
            if "pattern" not in shown:
                raise ModelError(
                    f"layer {index} ({type(block).__name__}) computes its attention "
                    "outside transformers' attention interface: its pattern is hidden"
                )
            capture = LayerCapture(**shown)
            shown.clear()
            consume(index, capture)

        return finish

    def watch(index: int, layer: LayerModules) -> None:
        before, after = "register_forward_pre_hook", "register_forward_hook"
        hooks: list[tuple[nn.Module, str, Callable[..., None]]] = [
            (layer.block, before, enter("resid_pre")),
            (layer.attention, after, leave("attn_write")),
            (layer.mid_norm, before, enter("resid_mid")),
            (layer.down_proj, before, enter("activation")),
            (layer.ffn, after, leave("ffn_write")),
            (layer.block, after, done(index)),
        ]
        for module, moment, hook in hooks:
            more = {"with_kwargs": True} if moment == before else {}
            handles.append(getattr(module, moment)(hook, **more))

    for index, layer in enumerate(anatomy.layers):
        watch(index, layer)
    try:
        with torch.inference_mode(), tapped(model, seen):
            output = model(input_ids=ids, attention_mask=mask, use_cache=False)
            return output.logits  # type: ignore[no-any-return]
    finally:
        for handle in handles:
            handle.remove()
