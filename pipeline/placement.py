"""Where a model's weights go: onto one device, or spread over all GPUs."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.utils.import_utils import is_accelerate_available

from .errors import ModelError

SPLIT = "split"
"""The device that stands for all GPUs, each with some of the layers."""

OFFLOADED = ("cpu", "disk")


@dataclass(frozen=True)
class Placement:
    """How weights reach their devices."""

    device: torch.device
    """Of all weights, or of the first of them."""
    device_map: Any
    """For transformers, which then places the weights itself; None to move them."""


def place(device: str, *, quantized: bool) -> Placement:
    """What `--device` asks for; raises ModelError for a device that is not there.

    Quantised weights cannot be moved: transformers reads them onto their device.
    """
    if device == SPLIT:
        check_can_split()
        return Placement(torch.device("cuda", 0), "auto")
    found = find_device(device)
    return Placement(found, {"": found} if quantized else None)


def find_device(name: str) -> torch.device:
    """The device of that name; auto is the first GPU where there is one.

    >>> find_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (AssertionError, ImportError, NotImplementedError, RuntimeError) as error:
        raise no_device(name) from error
    # The one is a device without numbers, the other without float64, which finding an
    # anatomy and rounding rows need.
    if device.type in ("meta", "mps"):
        raise no_device(name)
    return device


def no_device(name: str) -> ModelError:
    """The line for a device that torch does not know or does not have."""
    gpus = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    there = ["auto", "cpu", *gpus, *([SPLIT] if gpus else [])]
    without = "" if gpus else f" (torch {torch.__version__} sees no GPU)"
    return ModelError(
        f"device {name!r} cannot be used here: choose from {', '.join(there)}{without}"
    )


def check_can_split() -> None:
    """Raise ModelError where there is nothing to spread layers over, or with."""
    if not torch.cuda.is_available():
        raise ModelError(
            f"device {SPLIT!r} spreads a model over GPUs, and torch "
            f"{torch.__version__} sees none: --device cpu"
        )
    if not is_accelerate_available():
        raise ModelError(f"device {SPLIT!r} needs accelerate: pip install accelerate")


def check_on_gpus(name: str, module: PreTrainedModel) -> None:
    """Raise ModelError if a part of a split model lies outside the GPUs.

    accelerate brings such weights in when their module runs and takes them away after:
    they are not there to be read when the model is decomposed.
    """
    places: dict[str, Any] = getattr(module, "hf_device_map", {})
    outside = [part for part, where in places.items() if where in OFFLOADED]
    if outside:
        raise ModelError(
            f"model {name!r} does not fit on the GPUs ({torch.cuda.device_count()}): "
            f"{outside[0]} and {len(outside) - 1} more parts would be fetched for each "
            "use; --dtype bfloat16, a GPU more, or --device cpu"
        )
