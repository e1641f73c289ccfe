"""Read a model's configuration, and refuse by it what flowglass cannot decompose.

Only what a configuration says outright is decided here; the proof is `prepare`'s.
"""

import inspect
import os.path
from pathlib import Path
from typing import Any

import transformers
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    PreTrainedConfig,
)
from transformers.quantizers.auto import (
    AUTO_QUANTIZATION_CONFIG_MAPPING,
    AutoHfQuantizer,
)
from transformers.utils.peft_utils import find_adapter_config_file

from .errors import ModelError
from .hub import LOAD_ERRORS, Origin, locate, unloadable

WEIGHTS = ("*.safetensors*", "*.bin*")


def read_config(name: str, *, origin: Origin) -> PreTrainedConfig:
    """The configuration of a decoder; raises ModelError for any other."""
    where = locate("model", name)
    if os.path.isdir(where):
        check_folder(name, Path(where), origin)
    try:
        written, _ = PreTrainedConfig.get_config_dict(where, revision=origin.revision)
        is_adapter = find_adapter_config_file(where, revision=origin.revision)
    except LOAD_ERRORS as error:
        raise unloadable("model", name, error, revision=origin.revision) from error
    # With peft installed transformers would load the adapter's base, and the adapter
    # into it but not merged; without peft it would pass the adapter over.
    if is_adapter:
        raise adapter_as_model(name)
    check_type(name, written, origin)
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            where,
            revision=origin.revision,
            trust_remote_code=origin.trust_remote_code,
        )
    except LOAD_ERRORS as error:
        raise unloadable("model", name, error, revision=origin.revision) from error
    check_decoder(name, config, origin)
    # Where a configuration names a kernel on the hub here, transformers would run it.
    config._attn_implementation = None
    return config


def check_folder(name: str, folder: Path, origin: Origin) -> None:
    """Raise ModelError for a folder that is no checkpoint."""
    if origin.revision is not None:
        raise ModelError(f"model {name!r} is a folder: --revision is for a hub id")
    if (folder / "adapter_config.json").exists():
        raise adapter_as_model(name)
    if not (folder / "config.json").exists():
        raise ModelError(
            f"model folder {name!r} has no config.json: give the folder of a "
            "checkpoint that transformers can read"
        )
    if not any(any(folder.glob(names)) for names in WEIGHTS):
        raise ModelError(
            f"model folder {name!r} has a config.json but no weights: put "
            "model.safetensors beside it"
        )


def adapter_as_model(name: str) -> ModelError:
    """The line for an adapter where a model belongs."""
    return ModelError(
        f"model {name!r} holds an adapter (adapter_config.json): give its base as "
        "--model, and a folder with the adapter only as --adapter"
    )


def check_type(name: str, written: Any, origin: Origin) -> None:
    """Raise ModelError for a config.json from which no model can be made.

    It is looked at as it is written: no code that comes with the model has run yet.
    """
    if not isinstance(written, dict) or not written:
        raise ModelError(f"model {name!r} has no JSON object in its config.json")
    model_type = written.get("model_type")
    if isinstance(model_type, str) and model_type in CONFIG_MAPPING:
        return
    if "AutoConfig" in (written.get("auto_map") or {}):
        if not origin.trust_remote_code:
            raise needs_code(name)
    elif model_type is None:
        raise ModelError(f"model {name!r} names no model_type in its config.json")
    else:
        raise ModelError(
            f"model {name!r} is of type {model_type!r}, which transformers "
            f"{transformers.__version__} does not know: a newer one may "
            "(pip install -U transformers)"
        )


def needs_code(name: str) -> ModelError:
    """The line for a checkpoint that cannot be loaded without running its code."""
    return ModelError(
        f"model {name!r} comes with Python code of its own, which is not run: read it, "
        "and if you trust it add --trust-remote-code"
    )


def check_decoder(name: str, config: PreTrainedConfig, origin: Origin) -> None:
    """Raise ModelError for what is no causal language model, as far as it says."""
    kind = config.model_type or type(config).__name__
    if config.is_encoder_decoder:
        raise ModelError(
            f"model {name!r} is an encoder-decoder ({kind}): part of what its "
            "decoder writes comes from another text; flowglass needs a decoder alone"
        )
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
        # A stack that can stand on either side says by is_decoder on which it does. A
        # few decoders have that option too, but none that lets them attend across.
        either = hasattr(config, "add_cross_attention") and hasattr(
            config, "is_decoder"
        )
        if either and not config.is_decoder:
            raise is_encoder(name, kind)
        return
    if "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {}):
        if not origin.trust_remote_code:
            raise needs_code(name)
    elif type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        raise is_encoder(name, kind)
    else:
        raise ModelError(
            f"model {name!r} is of type {kind!r}, of which transformers "
            f"{transformers.__version__} has no causal language model"
        )


def is_encoder(name: str, kind: str) -> ModelError:
    """The line for a model in which a token sees what follows it."""
    return ModelError(
        f"model {name!r} is an encoder ({kind}): its tokens read later tokens, and "
        "flowglass follows what flows from earlier ones; it needs a decoder"
    )


def multiply_out(name: str, config: PreTrainedConfig) -> bool:
    """Whether the weights are quantised; where they can be multiplied out, they will.

    Some methods of quantising round what a layer reads as well, or run kernels from the
    hub; transformers can read their weights as plain numbers instead, and does so by
    itself where it finds no GPU. Raises ModelError for a method that it does not know:
    it would take the quantised numbers for the weights.
    """
    quantization: dict[str, Any] | None = getattr(config, "quantization_config", None)
    if not quantization:
        return False
    method = quantization.get("quant_method")
    if method and not AutoHfQuantizer.supports_quant_method(quantization):
        raise ModelError(
            f"model {name!r} is quantised by {method!r}, which transformers "
            f"{transformers.__version__} does not know: give a checkpoint that is not"
        )
    kind = AUTO_QUANTIZATION_CONFIG_MAPPING.get(method or "")
    if kind and "dequantize" in inspect.signature(kind).parameters:
        quantization["dequantize"] = True
    return True
