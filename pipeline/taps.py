"""Where a forward pass shows its attention patterns and its experts' activations.

1. A family that uses transformers' attention interface: while a model is watched, the
   name "eager" stands for a function that hands on to the family's own eager attention,
   whose softcap, sinks and biases are not written again here. Under a name of our own
   the model would not be causal without a mask function, and some families leave out
   parts of their mask.
2. Any other: the product whose left factor is what a softmax has just given.
3. Experts: a registered function that computes each expert on its tokens.

Nothing of a model is changed for good: `tapped` puts everything back.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from threading import RLock
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .errors import ModelError

EAGER = "eager"
EXPERTS = "flowglass"

# What transformers reads at every call.
ATTENTION_SETTING = "_attn_implementation_internal"
EXPERTS_SETTING = "_experts_implementation_internal"


class Watcher(Protocol):
    """What is told about a forward pass while it runs."""

    def attention(
        self, module: nn.Module, pattern: Tensor, value: Tensor, output: Tensor
    ) -> None:
        """pattern [batch head query key], value [batch kv_head key d_head], output
        [batch query head d_head], which may be changed in place."""

    def experts(
        self,
        module: nn.Module,
        activation: Tensor,
        expert: Tensor,
        weight: Tensor,
        output: Tensor,
    ) -> None:
        """activation [token slot neuron], expert and router's weight [token slot], by
        expert within a token; output [token d_model]."""


_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def tapped(
    model: PreTrainedModel, watcher: Watcher, *, batch: int, by_interface: bool
) -> Iterator[None]:
    """While open, the watcher is told of every attention and of all experts; what runs
    meanwhile has `batch` prompts."""
    ALL_EXPERTS_FUNCTIONS.register(EXPERTS, _experts)
    wanted = {ATTENTION_SETTING: EAGER, EXPERTS_SETTING: EXPERTS}
    token = _watcher.set(watcher)
    try:
        with (
            _configured(model, wanted),
            _eager_attention() if by_interface else SoftmaxTap(model, watcher, batch),
        ):
            yield
    finally:
        _watcher.reset(token)


@contextmanager
def _configured(model: PreTrainedModel, wanted: Mapping[str, str]) -> Iterator[None]:
    """While open, settings have other values in every configuration of a model."""
    # A model and its inner models may each have one of their own.
    configs = {
        id(m.config): m.config for m in model.modules() if hasattr(m, "config")
    }.values()
    before = [
        (config, name, getattr(config, name))
        for config in configs
        for name in wanted
        if hasattr(config, name)
    ]
    try:
        for config, name, _ in before:
            setattr(config, name, wanted[name])
        yield
    finally:
        for config, name, value in before:
            setattr(config, name, value)


_eager_lock = RLock()


@contextmanager
def _eager_attention() -> Iterator[None]:
    """While open, "eager" is `_attention`: in this thread, where somebody watches, and
    in others, where it only hands on to what it stands for."""
    with _eager_lock:
        known = ALL_ATTENTION_FUNCTIONS.get(EAGER)
        ALL_ATTENTION_FUNCTIONS[EAGER] = _attention
        try:
            yield
        finally:
            del ALL_ATTENTION_FUNCTIONS[EAGER]
            if known is not None:
                ALL_ATTENTION_FUNCTIONS[EAGER] = known


_locks: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()


def lock_of(model: nn.Module) -> RLock:
    """The lock of a model: one thread at a time may watch it."""
    return _locks.setdefault(model, RLock())


@contextmanager
def unwatched(model: PreTrainedModel) -> Iterator[None]:
    """While open, the model runs as it is, but for experts, which run in any dtype:
    the default way of transformers has no float64."""
    with lock_of(model), _configured(model, {EXPERTS_SETTING: EAGER}):
        yield


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *args: Any,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    output, pattern = _own_eager(module)(module, query, key, value, *args, **kwargs)
    if (watcher := _watcher.get()) is not None:
        watcher.attention(module, pattern, value, output)
    return output, pattern


def _own_eager(module: nn.Module) -> Any:
    """The eager attention of the family that a module's class comes from."""
    for kind in type(module).__mro__:
        family = sys.modules[kind.__module__]
        if hasattr(family, "eager_attention_forward"):
            return family.eager_attention_forward
    raise ModelError(
        f"{type(module).__name__} goes through transformers' attention interface, but "
        "there is no eager_attention_forward beside it: its pattern is hidden"
    )


class SoftmaxTap(TorchFunctionMode):
    """Finds attention by what it does: a product whose left factor is a softmax.

    The module told about is the innermost one that runs.
    """

    SOFTMAXES = (F.softmax, torch.softmax, Tensor.softmax)
    PRODUCTS = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm)

    def __init__(self, model: PreTrainedModel, watcher: Watcher, batch: int) -> None:
        super().__init__()
        self._watcher = watcher
        self._running: list[nn.Module] = []
        self._softmax: Tensor | None = None
        self._batch = batch
        self._model = model
        self._handles: list[Any] = []

    def __enter__(self) -> "SoftmaxTap":
        for module in self._model.modules():
            self._handles.append(module.register_forward_pre_hook(self._enter))
            self._handles.append(
                module.register_forward_hook(self._leave, always_call=True)
            )
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._running.append(module)

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._running.pop()

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in self.SOFTMAXES and found.ndim >= 3:
            self._softmax = found
        elif func in self.PRODUCTS and self._is_pattern(args[0]):
            self._softmax = None
            self._show(args[0], args[1], found)
        elif func is F.scaled_dot_product_attention:
            raise ModelError(
                f"{type(self._running[-1]).__name__} hides its attention pattern: load "
                "the model with attn_implementation='eager'"
            )
        return found

    def _is_pattern(self, factor: Tensor) -> bool:
        softmax = self._softmax
        return (
            softmax is not None
            and factor.numel() == softmax.numel()
            and factor.shape[-2:] == softmax.shape[-2:]
            # It may have been cast and reshaped in between, but nothing else.
            and torch.equal(factor.reshape(-1), softmax.reshape(-1).to(factor.dtype))
        )

    def _show(self, pattern: Tensor, value: Tensor, output: Tensor) -> None:
        def by_prompt(tensor: Tensor) -> Tensor:
            return tensor.view(self._batch, -1, *tensor.shape[-2:])

        self._watcher.attention(
            self._running[-1],
            by_prompt(pattern),
            value.reshape(self._batch, -1, *value.shape[-2:]),
            by_prompt(output).transpose(1, 2),
        )


def _experts(
    module: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor
) -> Tensor:
    """What transformers' own experts functions compute, activations kept."""
    # By expert, so that a token's neurons come in the order of their numbers.
    expert, order = top_k_index.sort(-1)
    weight = top_k_weights.gather(-1, order)
    kind = "gate_up" if module.has_gate else "up"
    up = getattr(module, f"{kind}_proj")
    up_bias = getattr(module, f"{kind}_proj_bias") if module.has_bias else None
    activation = None
    for e in expert.unique().tolist():
        token, slot = (expert == e).nonzero(as_tuple=True)
        x = hidden_states[token]
        x = x @ (up[e] if module.is_transposed else up[e].T)
        if up_bias is not None:
            x = x + up_bias[e]
        x = module._apply_gate(x) if module.has_gate else module.act_fn(x)
        if activation is None:
            activation = x.new_zeros(*expert.shape, x.shape[-1])
        activation[token, slot] = x
    assert activation is not None
    output = _down(module, activation, expert, weight).to(hidden_states.dtype)
    if (watcher := _watcher.get()) is not None:
        watcher.experts(module, activation, expert, weight, output)
    return output


def _down(module: Any, activation: Tensor, expert: Tensor, weight: Tensor) -> Tensor:
    """[token d_model]: the experts' down projections, weighted by the router."""
    if module.has_post_expert_norm:
        raise ModelError(f"{type(module).__name__} normalises every expert's output")
    down = module.down_proj
    width = down.shape[2] if module.is_transposed else down.shape[1]
    written = activation.new_zeros(*expert.shape, width)
    for e in expert.unique().tolist():
        token, slot = (expert == e).nonzero(as_tuple=True)
        x = activation[token, slot]
        x = x @ (down[e] if module.is_transposed else down[e].T)
        written[token, slot] = x + module.down_proj_bias[e] if module.has_bias else x
    return (written * weight[..., None]).sum(1)
