"""Ways to change one layer of what flowglass knows of a model, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from flowglass.pipeline import capture
from flowglass.pipeline.anatomy import LayerAnatomy
from flowglass.pipeline.layer import AttentionCapture, LayerWeights, OutputWeights
from flowglass.pipeline.model import LoadedModel
from flowglass.pipeline.weights import ModelWeights

LAYER = 1
"""The layer that is changed."""

Patch = pytest.MonkeyPatch


@dataclass(frozen=True, eq=False)
class ChangedWeights(ModelWeights):
    """Weights of which one layer's are changed when they are asked for."""

    change: Callable[[LayerWeights], LayerWeights]

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return self.change(found) if index == LAYER else found


def with_weights(
    model: LoadedModel, change: Callable[[LayerWeights], LayerWeights]
) -> LoadedModel:
    own = model.weights
    changed = ChangedWeights(own.anatomy, own.dtype, own.device, change)
    return replace(model, weights=changed)


def with_output_weights(
    model: LoadedModel, change: Callable[[OutputWeights], OutputWeights]
) -> LoadedModel:
    return with_weights(model, lambda w: replace(w, attention=change(w.attention)))


def with_banks(model: LoadedModel, change: Callable[[Any], Any]) -> LoadedModel:
    """`change` is of BankWeights."""

    def changed(weights: LayerWeights) -> LayerWeights:
        banks = tuple(change(bank) for bank in weights.ffn.banks)
        return replace(weights, ffn=replace(weights.ffn, banks=banks))

    return with_weights(model, changed)


def with_layers(model: LoadedModel, *layers: LayerAnatomy) -> LoadedModel:
    """Another anatomy, and the weights that it leads to."""
    anatomy = replace(model.anatomy, layers=layers)
    weights = replace(model.weights, anatomy=anatomy)
    return replace(model, anatomy=anatomy, weights=weights)


def with_layer(model: LoadedModel, **changes: Any) -> LoadedModel:
    layers = list(model.anatomy.layers)
    layers[LAYER] = replace(layers[LAYER], **changes)
    return with_layers(model, *layers)


def with_attention(model: LoadedModel, **changes: Any) -> LoadedModel:
    attention = model.anatomy.layers[LAYER].attention
    return with_layer(model, attention=replace(attention, **changes))


def patch_captures(
    patch: Patch, change: Callable[[AttentionCapture], AttentionCapture]
) -> None:
    """From now on the attention is captured wrongly."""
    right = capture.assemble

    def wrong(seen: Any, resid_post: Any, layer: LayerAnatomy) -> Any:
        found = right(seen, resid_post, layer)
        if not layer.name.endswith(f".{LAYER}"):
            return found
        return replace(found, attention=change(found.attention))

    patch.setattr(capture, "assemble", wrong)
