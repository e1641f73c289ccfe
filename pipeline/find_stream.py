"""Where the residual stream is: decoder layers, each handing its state to the next."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from transformers import PreTrainedModel

from .errors import ModelError
from .fit import identical, relative
from .probe import LayerTrail, Probe


def decoder_layers(model: PreTrainedModel) -> tuple[str, Sequence[nn.Module]]:
    """The name and the modules of the decoder's layers.

    Of several lists of the configured length it is the one of the modules that
    transformers does not split, and of those the outermost.
    """
    config = model.config.get_text_config(decoder=True)
    n_layers = getattr(config, "num_hidden_layers", None)
    whole = set(getattr(model, "_no_split_modules", None) or ())
    found = [
        (not all(type(m).__name__ in whole for m in modules), name.count("."), name)
        for name, modules in model.named_modules()
        if isinstance(modules, nn.ModuleList) and len(modules) == n_layers
    ]
    if not found:
        raise ModelError(
            f"{type(model).__name__} has no list of num_hidden_layers = {n_layers} "
            "decoder layers"
        )
    name = min(found)[2]
    layers = model.get_submodule(name)
    assert isinstance(layers, nn.ModuleList)
    return name, list(layers)


def stream_states(probe: Probe, names: Sequence[str]) -> list[tuple[Tensor, Tensor]]:
    """(resid_pre, resid_post) of every layer, [batch, position, d_model].

    Raises ModelError where the stream is not one state that passes from layer to layer.
    """
    states = [
        _states(trail, name, probe.ids)
        for trail, name in zip(probe.layers, names, strict=True)
    ]
    for name, ((_, left), (entered, _)) in zip(
        names[1:], pairwise(states), strict=True
    ):
        if not identical(left, entered):
            raise ModelError(
                f"{name} does not read what the layer before it wrote (relative "
                f"difference {relative(entered - left, left):.1g}): something else "
                "touches the residual stream between layers"
            )
    return states


def _states(trail: LayerTrail, name: str, ids: Tensor) -> tuple[Tensor, Tensor]:
    if len(trail.entered) != 1 or len(trail.left) != 1:
        raise ModelError(f"{name} ran {len(trail.entered)} times in one forward pass")
    entered, left = trail.entered[0], trail.left[0]
    if (
        entered is None
        or left is None
        or entered.shape[:-1] != ids.shape
        or entered.shape != left.shape
    ):
        shapes = [None if t is None else tuple(t.shape) for t in (entered, left)]
        raise ModelError(
            f"{name}: the residual stream is not one state of (batch, position, "
            f"d_model): it goes from {shapes[0]} to {shapes[1]}"
        )
    return entered, left


def final_norm(model: PreTrainedModel, probe: Probe) -> nn.Module | None:
    """The norm between the last layer's state and the unembedding; None if there is
    none. Raises ModelError where something else stands between them."""
    head = model.get_output_embeddings()
    reads = [call.read for call in probe.outer if call.module is head]
    last = probe.layers[-1].left[0]
    if not reads:
        raise ModelError(f"{type(model).__name__} has no unembedding")
    if identical(reads[0], last):
        return None
    # The last one: where no layer writes anything the first state is the last as well.
    for call in reversed(probe.outer):
        inner = any(call.module.children()) or call.module is head
        if not inner and identical(call.read, last):
            return call.module
    raise ModelError(
        f"{type(model).__name__}: no norm between the last layer and the unembedding "
        "reads the last layer's state"
    )
