"""Load a model and its tokenizer, and find out whether it can be decomposed."""

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from flowglass.datasets.catalog import MODELS

from .anatomy import (
    Anatomy,
    ffn_weights,
    find_anatomy,
    output_weights,
    zero_attention_input,
)
from .capture import stream
from .decompose import LayerCapture, LayerWeights
from .errors import ModelError
from .find_readout import find_readout
from .readout import Readout

# What transformers raises for a missing, unreadable or unsuitable checkpoint.
LOAD_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    KeyError,
    ImportError,
    SafetensorError,
)

CLOSURE_BOUNDS = {
    torch.float64: 1e-6,
    torch.float32: 2e-5,
    torch.float16: 4e-3,
    torch.bfloat16: 3e-2,
}
"""The largest closure a prompt may have, by the model's dtype (DESIGN 2.3)."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model that is ready to be traced."""

    name: str
    module: PreTrainedModel
    anatomy: Anatomy
    weights: tuple[LayerWeights, ...]
    """By layer."""
    readout: Readout
    model_hash: str
    """sha256 over the configuration and every weight as loaded."""

    @property
    def dtype(self) -> torch.dtype:
        return self.module.dtype

    @property
    def device(self) -> torch.device:
        return self.module.device


def locate(name: str) -> str:
    """The folder of a bundled model, or the path or hub id as given.

    Raises ModelError for what can only be a folder and does not exist.
    """
    if name in MODELS:
        return str(MODELS[name])
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_local and not Path(name).exists():
        raise ModelError(f"model folder {name!r} does not exist")
    return name


def unloadable(name: str, error: Exception) -> ModelError:
    """The one-line form of what transformers says when it cannot load `name`."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    near = difflib.get_close_matches(name, MODELS, cutoff=0.5)
    advice = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"a model is a folder, a hub id, or a bundled one: {', '.join(MODELS)}"
    )
    return ModelError(
        f"model {name!r} cannot be loaded: {lines[0] if lines else error!r} ({advice})"
    )


def load_tokenizer(
    name: str, *, revision: str | None = None, trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """The model's tokenizer; raises ModelError if it has none."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            locate(name), revision=revision, trust_remote_code=trust_remote_code
        )
    except LOAD_ERRORS as error:
        raise unloadable(name, error) from error
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    # Where there are no tokenizer files transformers makes an empty one.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelError(
            f"model {name!r} has no tokenizer: put tokenizer.json and "
            "tokenizer_config.json beside its weights"
        )
    return tokenizer


def load_model(
    model: str | PreTrainedModel,
    *,
    dtype: str = "auto",
    device: str = "auto",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> LoadedModel:
    """Load, check every weight, find the anatomy.

    `dtype` auto is float32 on a CPU and the checkpoint's own elsewhere. Raises
    ModelError naming the reason for anything that would give wrong numbers.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if isinstance(model, PreTrainedModel):
        return prepare(model.eval(), name=model.name_or_path or type(model).__name__)
    wanted = "float32" if dtype == "auto" and device == "cpu" else dtype
    if wanted not in ("auto", "float64", "float32", "float16", "bfloat16"):
        raise ModelError(
            f"unknown dtype {dtype!r}: auto, float32, float16, bfloat16 or float64"
        )
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            locate(model),
            dtype=wanted,
            revision=revision,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
        module, info = loaded
        module = module.to(device).eval()
    except LOAD_ERRORS as error:
        raise unloadable(model, error) from error
    if missing := sorted(info["missing_keys"]):
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ModelError(
            f"model {model!r} lacks weights, which would be random: "
            f"{', '.join(missing[:3])}{more}"
        )
    return prepare(module, name=model)


def prepare(module: PreTrainedModel, *, name: str) -> LoadedModel:
    """Check the weights of a loaded module, and find its anatomy and its readout."""
    for key, tensor in module.named_parameters():
        if not tensor.isfinite().all():
            raise ModelError(f"model {name!r} has NaN or infinite weights in {key}")
    anatomy = find_anatomy(module)
    at_zero: list[Tensor] = []

    def keep_value(_: int, layer: LayerCapture) -> None:
        at_zero.append(layer.value)

    ids = torch.zeros((1, 2), dtype=torch.long, device=module.device)
    with zero_attention_input(anatomy):
        stream(module, anatomy, ids, torch.ones_like(ids), keep_value)
    weights = tuple(
        LayerWeights(
            output_weights(layer, value, dtype=value.dtype),
            ffn_weights(layer, dtype=value.dtype),
        )
        for layer, value in zip(anatomy.layers, at_zero, strict=True)
    )
    return LoadedModel(
        name=name,
        module=module,
        anatomy=anatomy,
        weights=weights,
        readout=find_readout(module, anatomy, dtype=at_zero[0].dtype),
        model_hash=hash_weights(module),
    )


def hash_weights(module: PreTrainedModel) -> str:
    """sha256 over the configuration and every parameter as loaded."""
    config: dict[str, Any] = module.config.to_diff_dict()
    unstable = {"transformers_version", "_name_or_path", "dtype", "torch_dtype"}
    kept = sorted((k, str(v)) for k, v in config.items() if k not in unstable)
    digest = hashlib.sha256(repr(kept).encode())
    for key, tensor in module.named_parameters():
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
