"""Checkpoints on disk that tests damage, and loading them: a tiny model's files."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from flowglass.pipeline.errors import ModelError
from flowglass.pipeline.hub import Origin
from flowglass.pipeline.loading import load_module

from .tiny_models import tiny_llama

WEIGHTS = "model.safetensors"
UP = "model.layers.1.mlp.up_proj.weight"

SMALL = {
    "vocab_size": 48,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
"""A configuration of any family that names these as Llama does."""


def save_llama(folder: Path) -> Path:
    """A tiny Llama of three layers, in bfloat16."""
    tiny_llama(dtype=torch.bfloat16).save_pretrained(folder)
    return folder


def edit_json(file: Path, **changes: Any) -> None:
    """Set keys of a JSON file; None removes one."""
    written = json.loads(file.read_text()) | changes
    kept = {key: value for key, value in written.items() if value is not None}
    file.write_text(json.dumps(kept))


def edit_weights(file: Path, **changes: Tensor | None) -> None:
    """Set tensors of a safetensors file; None removes one."""
    weights: dict[str, Tensor | None] = {**load_file(file), **changes}
    kept = {key: value for key, value in weights.items() if value is not None}
    save_file(kept, file, metadata={"format": "pt"})


def load(
    name: str | Path, *, dtype: str = "auto", device: str = "auto", **origin: Any
) -> PreTrainedModel:
    """The model in a folder, or of a name."""
    return load_module(str(name), dtype=dtype, device=device, origin=Origin(**origin))


def refusal(name: str | Path, **options: Any) -> str:
    """The one line that says why a model is not loaded."""
    with pytest.raises(ModelError) as refused:
        load(name, **options)
    line = str(refused.value)
    assert "\n" not in line
    return line
