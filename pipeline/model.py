"""A model that is loaded, and found out to be one that can be decomposed."""

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from flowglass.store import precision

from .anatomy import Anatomy
from .errors import ModelError
from .find_anatomy import find_anatomy
from .find_readout import find_readout
from .hub import PLAIN, Origin
from .loading import load_module
from .readout import Readout
from .taps import lock_of
from .weights import ModelWeights

CLOSURE_BOUNDS = {
    getattr(torch, name): bound for name, bound in precision.CLOSURE_BOUNDS.items()
}
"""The largest closure a prompt may have, by the model's dtype (DESIGN 2.3)."""


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model that is ready to be traced."""

    name: str
    module: PreTrainedModel
    anatomy: Anatomy
    weights: ModelWeights
    readout: Readout
    model_hash: str
    """sha256 over the configuration and every weight as loaded."""

    @property
    def dtype(self) -> torch.dtype:
        return self.module.dtype

    @property
    def device(self) -> torch.device:
        return self.module.device


def load_model(
    model: str | PreTrainedModel,
    *,
    dtype: str = "auto",
    device: str = "auto",
    origin: Origin = PLAIN,
) -> LoadedModel:
    """Load a model by its name, or take a loaded module, which is put into eval mode;
    find its anatomy.

    Raises ModelError naming the reason for anything that would give wrong numbers.
    """
    if isinstance(model, str):
        module = load_module(model, dtype=dtype, device=device, origin=origin)
        return prepare(module, name=model)
    if origin != PLAIN:
        raise ModelError(
            "revision, adapter and trust_remote_code are for a model that is loaded "
            "by its name, not for a loaded module"
        )
    return prepare(model.eval(), name=model.name_or_path or type(model).__name__)


def prepare(module: PreTrainedModel, *, name: str) -> LoadedModel:
    """Check the weights of a loaded module, and find its anatomy and its readout."""
    for key, tensor in module.named_parameters():
        if tensor.is_meta:
            raise ModelError(f"model {name!r} has no values in {key}: load its weights")
        # Floats of one byte know few operations.
        small = tensor.is_floating_point() and tensor.element_size() == 1
        if not (tensor.float() if small else tensor).isfinite().all():
            raise ModelError(f"model {name!r} has NaN or infinite weights in {key}")
    # peft's name for what an adapter stands around.
    if any(hasattr(inner, "base_layer") for inner in module.modules()):
        raise ModelError(
            f"model {name!r} has an adapter that is not merged: call "
            "merge_and_unload(), or give a name and adapter="
        )
    # Before anything runs: packed weights may be laid out anew by the first pass.
    model_hash = hash_weights(module)
    dtype = torch.promote_types(module.dtype, torch.float32)
    with lock_of(module):
        anatomy = find_anatomy(module, CLOSURE_BOUNDS[module.dtype])
        readout = find_readout(module, anatomy, dtype=dtype)
    return LoadedModel(
        name=name,
        module=module,
        anatomy=anatomy,
        weights=ModelWeights(anatomy, dtype, module.device),
        readout=readout,
        model_hash=model_hash,
    )


def hash_weights(module: PreTrainedModel) -> str:
    """sha256 over the configuration, every parameter and every stored buffer."""
    config: dict[str, Any] = module.config.to_diff_dict()
    unstable = {"transformers_version", "_name_or_path", "dtype", "torch_dtype"}
    kept = sorted((k, str(v)) for k, v in config.items() if k not in unstable)
    digest = hashlib.sha256(repr(kept).encode())
    parameters = dict(module.named_parameters())
    # A tied weight has two names in the state, and is one parameter.
    stored = module.state_dict()
    buffers = {k: stored[k] for k, _ in module.named_buffers() if k in stored}
    for key, tensor in (parameters | buffers).items():
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().cpu().reshape(-1).contiguous()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
