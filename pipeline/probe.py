"""One forward pass of a few random tokens, with everything that every module of every
decoder layer read and gave: what the anatomy is found from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from .taps import lock_of, tapped


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

    def states(self) -> dict[int, Tensor]:
        """What every layer read."""
        found = {i: trail.entered[0] for i, trail in enumerate(self.layers)}
        return {i: state for i, state in found.items() if state is not None}

    def attend(self, layer: int, output: Tensor) -> None:
        """Put this pass's attention output in the place of another's."""
        output.copy_(self.layers[layer].attentions[0].output)


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


Attend = Callable[[int, Tensor], None]
"""(layer, attention's output): changes it in place."""


class _SeenEnough(Exception):
    """Ends a pass behind the last layer: the unembedding is a good part of it."""


class _Recorder:
    """Hooks on the decoder layers, or on every module; and the watcher of the taps."""

    def __init__(
        self,
        model: PreTrainedModel,
        blocks: Sequence[nn.Module],
        states: Mapping[int, Tensor],
        attend: Attend | None,
        *,
        whole: bool,
    ) -> None:
        self.layers = [LayerTrail() for _ in blocks]
        self.outer: list[Call] = []
        self._states, self._attend, self._whole = states, attend, whole
        self._current: int | None = None
        self._open: list[tuple[Tensor | None, int]] = []
        self.handles: list[Any] = []
        inside = set()
        for index, block in enumerate(blocks):
            for name, module in block.named_modules():
                inside.add(module)
                if whole or not name:
                    self._hook(module, name, index)
        for name, module in model.named_modules():
            if whole and module not in inside and not isinstance(module, nn.ModuleList):
                self._hook(module, name, None)

    def _hook(self, module: nn.Module, name: str, index: int | None) -> None:
        def elsewhere() -> bool:
            """A module that layers share belongs to the layer that runs."""
            return index is not None and bool(name) and index != self._current

        def enter(_: nn.Module, args: Any, kwargs: Any) -> Any:
            if elsewhere():
                return None
            read = first_tensor(args, kwargs)
            if index is not None and index in self._states and not name:
                other = self._states[index].to(read)
                args, kwargs = with_tensor(args, kwargs, read, other)
                read = other
            # Some modules add in place: what is kept must be a copy.
            read = None if read is None else read.clone()
            if index is not None and not name:
                self._current = index
                self.layers[index].entered.append(read)
            calls = self.outer if index is None else self.layers[index].calls
            self._open.append((read, len(calls)))
            return args, kwargs

        def leave(_: nn.Module, args: Any, output: Any) -> None:
            if elsewhere():
                return
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
                if not self._whole and index == len(self.layers) - 1:
                    raise _SeenEnough

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
        if self._attend is not None:
            self._attend(self._current, output)

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
    states: Mapping[int, Tensor] | None = None,
    attend: Attend | None = None,
    whole: bool = True,
) -> Probe:
    """Run the model on ids [batch, position] and record it.

    With `states` layers read those instead of what the layer before gave; with `attend`
    every attention's output is changed once it is recorded. Without `whole` only the
    layers' states and their attention are recorded, and there are no logits.
    """
    with lock_of(model), torch.inference_mode():
        recorder = _Recorder(model, blocks, states or {}, attend, whole=whole)
        try:
            with tapped(model, recorder, batch=len(ids), by_interface=by_interface):
                mask = torch.ones_like(ids)
                output = model(input_ids=ids, attention_mask=mask, use_cache=False)
                logits = output.logits
        except _SeenEnough:
            logits = torch.empty(0)
        finally:
            for handle in recorder.handles:
                handle.remove()
    return Probe(ids, recorder.layers, recorder.outer, logits)
