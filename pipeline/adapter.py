"""Merge a PEFT adapter, LoRA and its like, into the weights of a model.

1. `find_adapter`, before the model's weights are read: its two files are there, and it
   is of a kind that has a merge.
2. `merge_adapter`: all of it fits the model; then the model is changed.

peft warns and goes on where an adapter's weights find no place, or leave places empty;
here that is refused, and so is a merge that changes more than the adapter does.
"""

import json
import os.path
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import snapshot_download
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from .errors import ModelError
from .hub import LOAD_ERRORS, first_line, locate, unloadable

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")


@dataclass(frozen=True)
class Adapter:
    """An adapter on this machine, of a kind that can be merged."""

    name: str
    folder: Path
    config: "PeftConfig"


def find_adapter(name: str) -> Adapter:
    """The adapter in a folder or on the hub; raises ModelError if it cannot be had."""
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"adapter {name!r} needs peft: pip install 'flowglass[adapters]' ({error})"
        ) from error
    folder = fetch(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = read_config(name, folder)
    check_kind(name, config)
    return Adapter(name, folder, config)


def fetch(name: str) -> Path:
    """The adapter's folder, from the hub if it is not here, with both its files."""
    where = locate("adapter", name)
    folder = Path(where)
    if not os.path.isdir(where):
        try:
            folder = Path(snapshot_download(where, allow_patterns=[CONFIG, *WEIGHTS]))
        except LOAD_ERRORS as error:
            raise unloadable("adapter", name, error) from error
    if not (folder / CONFIG).exists():
        raise ModelError(f"adapter {name!r} has no {CONFIG}: it is no PEFT adapter")
    if not any((folder / weights).exists() for weights in WEIGHTS):
        raise ModelError(f"adapter {name!r} has no weights: {' or '.join(WEIGHTS)}")
    return folder


def read_config(name: str, folder: Path) -> "PeftConfig":
    """The configuration, all of which the installed peft understands."""
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftConfig

    try:
        written: dict[str, Any] = json.loads((folder / CONFIG).read_text())
        kind = written["peft_type"]
        if kind not in PEFT_TYPE_TO_CONFIG_MAPPING:
            raise newer_peft(name, f"the type {kind!r}")
        config: PeftConfig = PeftConfig.from_pretrained(str(folder))
    except ModelError:
        raise
    except LOAD_ERRORS as error:
        raise ModelError(
            f"adapter {name!r} has a broken {CONFIG}: {first_line(error)}"
        ) from error
    # peft drops what it does not know; an option that is off may be dropped.
    for key, value in written.items():
        if value and not hasattr(config, key):
            raise newer_peft(name, f"the option {key!r}")
    return config


def newer_peft(name: str, what: str) -> ModelError:
    """The line for a configuration that the installed peft does not understand."""
    from peft import __version__

    return ModelError(
        f"adapter {name!r} has {what}, which peft {__version__} does not know: "
        "a newer one may (pip install -U peft)"
    )


def check_kind(name: str, config: "PeftConfig") -> None:
    """Raise ModelError for a kind of adapter that has no merge, or not for us."""
    if config.is_prompt_learning or config.is_adaption_prompt:
        kind = getattr(config.peft_type, "value", config.peft_type)
        raise unmergeable(
            name, f"{kind} adds to what a prompt reads and changes no weight"
        )
    if config.task_type not in (None, "CAUSAL_LM"):
        raise ModelError(
            f"adapter {name!r} was trained for {config.task_type}, and flowglass "
            "runs causal language models"
        )


def unmergeable(name: str, why: str) -> ModelError:
    """The line for an adapter that is more than a change of weights."""
    return ModelError(f"adapter {name!r} cannot be merged into the weights: {why}")


def merge_adapter(
    module: PreTrainedModel, adapter: Adapter, *, base: str
) -> PreTrainedModel:
    """The model that `module` with the adapter is; `module` is changed.

    `base` is its name for messages. Raises ModelError for an adapter that does not fit
    or cannot be merged.
    """
    if getattr(module, "is_quantized", False):
        raise unmergeable(
            adapter.name, f"those of {base!r} are quantised and would round it off"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what peft warns of is refused here
        check_base(module, adapter, base)
        adapted = attach(module, adapter, base)
        check_not_shared(adapted, adapter)
        try:
            merged = adapted.merge_and_unload(safe_merge=True)
        except LOAD_ERRORS as error:
            raise unmergeable(adapter.name, first_line(error)) from error
    assert isinstance(merged, PreTrainedModel)
    return merged


def check_base(module: PreTrainedModel, adapter: Adapter, base: str) -> None:
    """Raise ModelError if the adapter says that it is for another architecture.

    It names its base, but another folder may hold the same model: only the kinds of
    model are compared, and only if the base that it names is on this machine.
    """
    config, kind = adapter.config, type(module).__name__
    trained_on = (config.auto_mapping or {}).get("base_model_class", kind)
    if trained_on != kind:
        raise misfit(adapter, base, f"it was trained on a {trained_on}, not a {kind}")
    kind, named = module.config.model_type, config.base_model_name_or_path
    if named and (trained_on := model_type_of(named) or kind) != kind:
        raise misfit(
            adapter, base, f"its base {named!r} is of type {trained_on}, not {kind}"
        )


def model_type_of(name: str) -> str | None:
    """The type of a model on this machine; None for one that is not here."""
    try:
        written, _ = PreTrainedConfig.get_config_dict(
            locate("model", name), local_files_only=True
        )
    except LOAD_ERRORS:
        return None
    return written.get("model_type")


def misfit(adapter: Adapter, base: str, why: str) -> ModelError:
    """The line for an adapter that was made for another model."""
    return ModelError(f"adapter {adapter.name!r} does not fit model {base!r}: {why}")


def attach(module: PreTrainedModel, adapter: Adapter, base: str) -> "PeftModel":
    """The model with the adapter beside its weights, all of it in place."""
    from peft import PeftModel
    from peft.utils import load_peft_weights

    try:
        load_peft_weights(str(adapter.folder), device="cpu")
    except LOAD_ERRORS as error:
        raise unloadable("adapter", adapter.name, error) from error
    renamed = getattr(module, "_checkpoint_conversion_mapping", {})
    try:
        adapted = PeftModel(module, adapter.config)
        loaded = adapted.load_adapter(
            str(adapter.folder), "default", torch_device="cpu", key_mapping=renamed
        )
    except LOAD_ERRORS as error:
        raise misfit(adapter, base, mismatch(error)) from error
    if left := sorted(loaded.unexpected_keys):
        raise misfit(adapter, base, f"the model has nothing like its {left[0]}")
    if empty := sorted(loaded.missing_keys):
        raise misfit(adapter, base, f"it has no weights for {empty[0]}")
    return adapted


def mismatch(error: Exception) -> str:
    r"""What does not fit: torch names it under a heading, peft in the first line.

    >>> mismatch(RuntimeError("Error(s) in loading\n\tsize mismatch for a.b: ..."))
    'size mismatch for a.b: ...'
    """
    lines = [line.strip() for line in str(error).splitlines()]
    wrong = [line for line in lines if line.startswith("size mismatch")]
    return wrong[0] if wrong else first_line(error)


def check_not_shared(adapted: "PeftModel", adapter: Adapter) -> None:
    """Raise ModelError if a merge would change a weight for more than one user of it.

    Beside its weight, an adapter changes what one module does. A matrix that embeds
    tokens and unembeds them too, or that two layers share, is changed for both; only
    the rows of trained tokens are meant for both.
    """
    from peft.tuners.trainable_tokens import TrainableTokensLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    users = Counter(
        id(weight)
        for part in adapted.modules()
        for weight in part.parameters(recurse=False)
    )
    for name, part in adapted.named_modules():
        of_one = not isinstance(part, TrainableTokensLayer)
        if isinstance(part, BaseTunerLayer) and of_one:
            changed = part.get_base_layer()
            assert isinstance(changed, nn.Module)
            if any(users[id(weight)] > 1 for weight in changed.parameters()):
                raise unmergeable(
                    adapter.name, f"{name} shares its weights with another part"
                )
