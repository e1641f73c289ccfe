"""Load a model and its tokenizer: from a folder, the hub, or one of the bundled ones.

1. Read the configuration, and refuse by it what is no decoder.
2. Read the weights, every one of them.
3. Merge the adapter, if there is one, and move the model to its device.

Code that comes with a checkpoint runs only if the origin says that it may. The answer
is always given: transformers asks on the terminal where it is None.
"""

from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .adapter import find_adapter, merge_adapter
from .configuration import multiply_out, needs_code, read_config
from .errors import ModelError
from .hub import LOAD_ERRORS, PLAIN, Origin, first_line, locate, unloadable
from .placement import Placement, check_on_gpus, place

NO_FILES = "Couldn't instantiate the backend tokenizer"
"""How transformers begins, for other classes, where there are no files."""

DTYPES = ("auto", "float32", "float16", "bfloat16", "float64")


def load_module(
    name: str, *, dtype: str, device: str, origin: Origin
) -> PreTrainedModel:
    """The model in eval mode, with every weight in place and the adapter merged.

    `dtype` auto is float32 on a CPU and the checkpoint's own elsewhere. Raises
    ModelError naming the reason for anything that would give wrong numbers.
    """
    if dtype not in DTYPES:
        raise ModelError(f"unknown dtype {dtype!r}: {', '.join(DTYPES)}")
    config = read_config(name, origin=origin)
    placement = place(device, quantized=multiply_out(name, config))
    if dtype == "auto" and placement.device.type == "cpu":
        dtype = "float32"
    adapter = find_adapter(origin.adapter) if origin.adapter else None
    module = read_weights(name, config, placement, dtype=dtype, origin=origin)
    module.eval()
    if adapter is not None:
        module = merge_adapter(module, adapter, base=name)
    if placement.device_map is None:
        try:
            torch.nn.Module.to(module, placement.device)
        except LOAD_ERRORS as error:
            raise unloadable("model", name, error) from error
    return module


def read_weights(
    name: str,
    config: PreTrainedConfig,
    placement: Placement,
    *,
    dtype: str,
    origin: Origin,
) -> PreTrainedModel:
    """The module with the weights of the checkpoint; raises ModelError if any lack."""
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            locate("model", name),
            config=config,
            dtype=dtype,
            device_map=placement.device_map,
            # Some families choose once, here; others hide their pattern otherwise.
            attn_implementation="eager",
            revision=origin.revision,
            trust_remote_code=origin.trust_remote_code,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except LOAD_ERRORS as error:
        raise unloadable("model", name, error, revision=origin.revision) from error
    module, info = loaded
    check_complete(name, info)
    check_used(name, module, info)
    check_on_gpus(name, module)
    assert isinstance(module, PreTrainedModel)
    return module


def check_complete(name: str, info: dict[str, Any]) -> None:
    """Raise ModelError for a weight that transformers had to make up."""
    if wrong := sorted(info["mismatched_keys"]):
        key, there, here = wrong[0]
        raise ModelError(
            f"model {name!r} has weights of other shapes than its config.json asks "
            f"for: {key} is {list(there)}, not {list(here)}{more(wrong, after=1)}"
        )
    if missing := sorted(info["missing_keys"]):
        raise ModelError(
            f"model {name!r} lacks weights, which would be random: "
            f"{', '.join(missing[:3])}{more(missing, after=3)}"
        )


def check_used(name: str, module: PreTrainedModel, info: dict[str, Any]) -> None:
    """Raise ModelError for a weight beside one in use that the model has no place for.

    A bias that the configuration does not mention, or the scale of quantised weights,
    would be left out. A whole module too many may stay: a head for another task.
    """
    used = {key.rpartition(".")[0] for key, _ in module.named_parameters()}
    left = sorted(k for k in info["unexpected_keys"] if k.rpartition(".")[0] in used)
    if left:
        raise ModelError(
            f"model {name!r} has weights that its config.json leaves out: "
            f"{', '.join(left[:3])}{more(left, after=3)}"
        )


def more(found: list[Any], *, after: int) -> str:
    """How many of a list are not named in a message.

    >>> more(["a", "b", "c"], after=1)
    ' and 2 more'
    """
    return f" and {len(found) - after} more" if len(found) > after else ""


def load_tokenizer(name: str, *, origin: Origin = PLAIN) -> PreTrainedTokenizerBase:
    """The model's tokenizer; raises ModelError if it has none.

    The model's configuration is looked at too: what is wrong with the model is said
    before what is wrong with its tokenizer.
    """
    read_config(name, origin=origin)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            locate("model", name),
            revision=origin.revision,
            trust_remote_code=origin.trust_remote_code,
        )
    except Exception as error:  # the package tokenizers raises nothing narrower
        if "trust_remote_code" in str(error):
            raise needs_code(name) from error
        if NO_FILES in str(error):
            raise no_tokenizer(name) from error
        if isinstance(error, OSError):
            raise unloadable("model", name, error, revision=origin.revision) from error
        raise ModelError(
            f"model {name!r} has a broken tokenizer: {first_line(error)}"
        ) from error
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    # Where there are no files some families' classes make an empty tokenizer.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise no_tokenizer(name)
    return tokenizer


def no_tokenizer(name: str) -> ModelError:
    """The line for a checkpoint without the files of a tokenizer."""
    return ModelError(
        f"model {name!r} has no tokenizer: put tokenizer.json and "
        "tokenizer_config.json beside its weights"
    )
