"""One forward pass, read layer by layer while it runs, then forgotten.

`stream` hooks the modules of the anatomy and watches the taps; when a layer returns,
its LayerCapture is handed to the consumer and dropped: memory is flat in depth.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from .anatomy import Anatomy, LayerAnatomy
from .assemble import Seen, SeenExperts, assemble
from .errors import ModelError
from .layer import LayerCapture
from .probe import first_tensor, output_tensor
from .taps import lock_of, tapped

Consume = Callable[[int, LayerCapture], None]


def stream(
    model: PreTrainedModel,
    anatomy: Anatomy,
    ids: Int[Tensor, "batch position"],
    consume: Consume,
) -> Float[Tensor, "batch position vocab"]:
    """Run the model once; `consume` gets every layer's capture in order.

    Padding stands on the right: no token before it sees it, so it is not masked. (A
    masked row of padding is NaN in some models in float64, and spreads.)

    Gives the logits. Captures are float32, or float64 if the model runs in float64, and
    all on the model's first device.
    """
    with lock_of(model), torch.inference_mode():
        recorder = _Recorder(anatomy, consume, ids.shape, model.device)
        by_interface = anatomy.by_interface
        try:
            with tapped(model, recorder, batch=len(ids), by_interface=by_interface):
                mask = torch.ones_like(ids)
                output = model(input_ids=ids, attention_mask=mask, use_cache=False)
        finally:
            recorder.remove()
    return output.logits.to(model.device)  # type: ignore[no-any-return]


class _Recorder:
    """The hooks of one forward pass, and the layer in progress."""

    def __init__(
        self,
        anatomy: Anatomy,
        consume: Consume,
        shape: torch.Size,
        device: torch.device,
    ) -> None:
        self._consume, self._shape, self._device = consume, shape, device
        self._seen: Seen | None = None
        self._handles: list[Any] = []
        for index, layer in enumerate(anatomy.layers):
            self._watch(index, layer)

    def _watch(self, index: int, layer: LayerAnatomy) -> None:
        def enter(_: nn.Module, args: Any, kwargs: Any) -> None:
            self._seen = Seen(self._stream_like(first_tensor(args, kwargs), copy=True))

        def read_mid(_: nn.Module, args: Any, kwargs: Any) -> None:
            if self._seen is not None:
                read = first_tensor(args, kwargs)
                self._seen.resid_mid = self._stream_like(read, copy=True)

        def both(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            if self._seen is not None:
                read, gave = first_tensor(args, kwargs), output_tensor(output)
                if gave is None or gave[..., 0].numel() != self._shape.numel():
                    raise ModelError(
                        f"{layer.name}: {names[module]} did not run once at every "
                        "position: is it an expert, and the router a module of its own?"
                    )
                self._seen.read[module] = self._stream_like(read)
                self._seen.gave[module] = self._stream_like(gave, copy=True)

        def leave(_: nn.Module, args: Any, output: Any) -> None:
            seen, self._seen = self._seen, None
            assert seen is not None
            post = self._stream_like(output_tensor(output))
            self._consume(index, assemble(seen, post, layer))

        block = layer.block
        names = {module: name for name, module in block.named_modules()}
        self._handles += [block.register_forward_pre_hook(enter, with_kwargs=True)]
        if layer.mid_reader is not None:
            self._handles.append(
                layer.mid_reader.register_forward_pre_hook(read_mid, with_kwargs=True)
            )
        modules = [w.module for w in layer.writers if w.kind != "experts"]
        modules += [norm.module for norm in layer.norms]
        self._handles += [
            module.register_forward_hook(both, with_kwargs=True) for module in modules
        ]
        self._handles.append(block.register_forward_hook(leave))

    def _stream_like(self, tensor: Tensor | None, *, copy: bool = False) -> Tensor:
        """A kept tensor [batch, position, width]; some layers flatten the first two."""
        assert tensor is not None
        # Some blocks add in place: what is kept must be a copy.
        kept = self._kept(tensor.clone() if copy else tensor)
        return kept.reshape(*self._shape, -1)

    def _kept(self, tensor: Tensor) -> Tensor:
        if tensor.dtype == torch.float64 or not tensor.is_floating_point():
            return tensor.to(self._device)
        return tensor.to(self._device, torch.float32)

    def attention(
        self, module: nn.Module, pattern: Tensor, value: Tensor, output: Tensor
    ) -> None:
        if self._seen is not None:
            self._seen.pattern = self._kept(pattern)
            self._seen.value = self._kept(value)
            self._seen.heads_output = self._kept(output)

    def experts(
        self,
        module: nn.Module,
        activation: Tensor,
        expert: Tensor,
        weight: Tensor,
        output: Tensor,
    ) -> None:
        if self._seen is not None:
            used = (self._kept(t) for t in (activation, expert, weight))
            self._seen.experts[module] = SeenExperts(*used)
            self._seen.gave[module] = self._stream_like(output)

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()
