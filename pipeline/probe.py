"""One forward pass of a few random tokens, with everything that every module of every
decoder layer read and gave: what the anatomy is found from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .taps import tapped


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module: its name within the layer, and what went in and out."""

    name: str
    module: nn.Module
    read: Tensor | None
    gave: Tensor | None
    began: int
    """How many calls of the layer had ended when this one began."""


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """One softmax attention; shapes as in `taps.Watcher`."""

    module: nn.Module
    pattern: Tensor
    value: Tensor
    output: Tensor
    at: int
    """How many calls of the layer had ended."""


@dataclass(frozen=True, eq=False)
class ExpertsCall:
    """One bank of experts at work; shapes as in `taps.Watcher`."""

    module: nn.Module
    output: Tensor
    at: int


@dataclass(eq=False)
class LayerTrail:
    """What happened in one decoder layer."""

    entered: list[Tensor | None] = field(default_factory=list)
    """What the layer read, once for each time it ran."""
    left: list[Tensor | None] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    """Of the layer's inner modules, in the order in which they ended."""
    attentions: list[AttentionCall] = field(default_factory=list)
    experts: list[ExpertsCall] = field(default_factory=list)

    def outputs(self) -> Iterator[tuple[nn.Module, Tensor]]:
        """Every module, banks of experts included, with what it gave."""
        for bank in self.experts:
            yield bank.module, bank.output
        for call in self.calls:
            if call.gave is not None:
                yield call.module, call.gave


@dataclass(frozen=True, eq=False)
class Probe:
    """A recorded forward pass."""

    ids: Tensor
    layers: list[LayerTrail]
    outer: list[Call]
    """Calls of modules outside the decoder layers."""
    logits: Tensor


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """A module's hidden states, given by position or by name."""
    named = (kwargs.get(name) for name in ("hidden_states", "x", "input", "inputs"))
    return next((a for a in (*args, *named) if isinstance(a, Tensor)), None)


def with_tensor(
    args: tuple[Any, ...], kwargs: dict[str, Any], given: Any, other: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """A call's arguments with one tensor in the place of another."""
    replaced = tuple(other if value is given else value for value in args)
    named = {k: other if value is given else value for k, value in kwargs.items()}
    return replaced, named


def output_tensor(output: Any) -> Tensor | None:
    """A module's hidden states; some return them first in a tuple."""
    found = output[0] if isinstance(output, (tuple, list)) and output else output
    return found if isinstance(found, Tensor) else None


class _Recorder:
    """Hooks on every module, and the watcher of the taps."""

    def __init__(
        self,
        model: PreTrainedModel,
        blocks: Sequence[nn.Module],
        doubling: "Probe | None",
        replaying: "Probe | None",
    ) -> None:
        self.layers = [LayerTrail() for _ in blocks]
        self.outer: list[Call] = []
        self._doubling, self._replaying = doubling, replaying
        self._current: int | None = None
        self._open: list[tuple[Tensor | None, int]] = []
        self.handles: list[Any] = []
        inside = set()
        for index, block in enumerate(blocks):
            for name, module in block.named_modules():
                inside.add(module)
                self._hook(module, name, index)
        for name, module in model.named_modules():
            if module not in inside and not isinstance(module, nn.ModuleList):
                self._hook(module, name, None)

    def _hook(self, module: nn.Module, name: str, index: int | None) -> None:
        def enter(_: nn.Module, args: Any, kwargs: Any) -> Any:
            read = first_tensor(args, kwargs)
            if index is not None and not name and self._doubling is not None:
                was = self._doubling.layers[index].entered[0]
                args, kwargs = with_tensor(args, kwargs, read, was)
                read = was
            # Some modules add in place: what is kept must be a copy.
            read = None if read is None else read.clone()
            if index is not None and not name:
                self._current = index
                self.layers[index].entered.append(read)
            calls = self.outer if index is None else self.layers[index].calls
            self._open.append((read, len(calls)))
            return args, kwargs

        def leave(_: nn.Module, args: Any, output: Any) -> None:
            read, began = self._open.pop()
            gave = output_tensor(output)
            gave = None if gave is None else gave.clone()
            call = Call(name, module, read, gave, began)
            if index is None:
                self.outer.append(call)
            elif name:
                self.layers[index].calls.append(call)
            else:
                self.layers[index].left.append(gave)
                self._current = None

        self.handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
        self.handles.append(module.register_forward_hook(leave))

    def attention(
        self, module: nn.Module, pattern: Tensor, value: Tensor, output: Tensor
    ) -> None:
        if self._current is None:
            return
        trail = self.layers[self._current]
        kept = (pattern.clone(), value.clone(), output.clone())
        trail.attentions.append(AttentionCall(module, *kept, len(trail.calls)))
        if self._doubling is not None:
            output.mul_(2)
        if self._replaying is not None:
            output.copy_(self._replaying.layers[self._current].attentions[0].output)

    def experts(self, module: nn.Module, *seen: Tensor) -> None:
        if self._current is not None:
            trail = self.layers[self._current]
            output = seen[-1].clone()
            trail.experts.append(ExpertsCall(module, output, len(trail.calls)))


def probe(
    model: PreTrainedModel,
    blocks: Sequence[nn.Module],
    ids: Tensor,
    *,
    by_interface: bool,
    doubling: Probe | None = None,
    replaying: Probe | None = None,
) -> Probe:
    """Run the model on ids [batch, position] and record it.

    With `doubling` every layer reads what it read in that pass, and its attention's
    output is doubled: each layer for itself. With `replaying` attention outputs are
    those of that pass.
    """
    recorder = _Recorder(model, blocks, doubling, replaying)
    try:
        with (
            torch.inference_mode(),
            tapped(model, recorder, batch=len(ids), by_interface=by_interface),
        ):
            mask = torch.ones_like(ids)
            output = model(input_ids=ids, attention_mask=mask, use_cache=False)
    finally:
        for handle in recorder.handles:
            handle.remove()
    return Probe(ids, recorder.layers, recorder.outer, output.logits)
