"""Where models and adapters come from, a folder or the hub; and why one cannot be had.

`unloadable` turns what transformers, huggingface_hub and peft raise into one line that
names the culprit and the cure. They raise from one another, so the kinds of failure are
told apart by the types along the chain of causes, not by their texts.
"""

import os.path
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import torch
from huggingface_hub import constants, is_offline_mode
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    StrictDataclassError,
)
from safetensors import SafetensorError, safe_open

from flowglass.datasets.catalog import MODELS

from .errors import ModelError

Kind = Literal["model", "adapter"]

# What is raised for a missing, unreadable or unsuitable checkpoint; a configuration
# with nonsense in it fails wherever it is first computed with.
LOAD_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    SafetensorError,
    StrictDataclassError,
    SyntaxError,
    TypeError,
    UnpicklingError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a model comes from, beside its name."""

    revision: str | None = None
    """A branch, tag or commit on the hub; None is the newest."""
    adapter: str | None = None
    """A PEFT adapter, folder or hub id, which is merged into the weights."""
    trust_remote_code: bool = False
    """Whether code that comes with the model may run."""


PLAIN = Origin()
"""The newest revision, no adapter, and no code that comes with the model."""


def locate(kind: Kind, name: str) -> str:
    """The folder of a bundled model, or the folder or hub id as given.

    Raises ModelError for a file, and for what can only be a folder and does not exist.
    """
    if kind == "model" and name in MODELS:
        return str(MODELS[name])
    path = os.path.expanduser(name)
    if os.path.isfile(path):
        raise ModelError(f"{kind} {name!r} is a file: give the folder that it is in")
    if os.path.exists(path):
        return path
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"{kind} folder {name!r} does not exist")
    return name


def unloadable(
    kind: Kind, name: str, error: Exception, *, revision: str | None = None
) -> ModelError:
    """The line for an error that was raised while `name` was loaded."""
    for cause in chain(error):
        if reason := reason_of(cause, kind, name, revision):
            return ModelError(f"{kind} {name!r} {reason}")
    return ModelError(f"{kind} {name!r} cannot be loaded: {first_line(error)}")


def reason_of(
    cause: BaseException, kind: Kind, name: str, revision: str | None
) -> str | None:
    """What one error of a chain says about `name`; None if it is no known kind."""
    hub = constants.ENDPOINT
    match cause:
        case GatedRepoError():
            return f"is gated: accept its terms at {hub}/{name}, then `hf auth login`"
        case RepositoryNotFoundError():
            return (
                f"is not on the hub, or is private (then `hf auth login`); "
                f"{hint(kind, name)}"
            )
        case RevisionNotFoundError():
            return f"has no revision {revision!r}: see {hub}/{name}/tree/main"
        case LocalEntryNotFoundError() | OfflineModeIsEnabled():
            offline = "may not be asked (HF_HUB_OFFLINE is set)"
            why = offline if is_offline_mode() else f"{hub} cannot be reached"
            return (
                f"is not in {constants.HF_HUB_CACHE}, and the hub {why}; "
                f"{hint(kind, name)}"
            )
        case HFValidationError():
            return f"is neither a folder nor a hub id; {hint(kind, name)}"
        case HfHubHTTPError():
            return f"cannot be had from the hub: {first_line(cause)}"
        case torch.OutOfMemoryError():
            return "does not fit on the device: --dtype bfloat16, or --device split"
        case ModuleNotFoundError(name=package):
            return f"needs the package {package}: pip install {package}"
        case UnpicklingError():
            return (
                "has weights in a pickle that is damaged, or that holds code, which is "
                "not run: convert them to safetensors"
            )
        case SafetensorError():
            file = damaged(name)
            return f"has damaged weights{file}: {first_line(cause)}; copy them again"
    return None


def damaged(name: str) -> str:
    """The first file of weights in a folder that cannot be opened."""
    for file in sorted(Path(os.path.expanduser(name)).glob("*.safetensors")):
        try:
            with safe_open(file, "pt"):
                pass
        except (OSError, SafetensorError):
            return f" in {file.name}"
    return ""


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from, the innermost first."""
    if error.__cause__ is not None:
        yield from chain(error.__cause__)
    yield error


def first_line(error: BaseException) -> str:
    """What an error says first, or what it is where it says next to nothing.

    >>> first_line(ValueError("  no weights\\nsee the manual"))
    'no weights'
    >>> first_line(ValueError("of three:\\n  the first\\n  the second"))
    'of three: the first'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or isinstance(error, KeyError):
        return repr(error)
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def hint(kind: Kind, name: str) -> str:
    """What the name was perhaps meant to be."""
    if kind == "adapter":
        return "an adapter is a folder or a hub id"
    near = get_close_matches(name, MODELS, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"a model is a folder, a hub id, or a bundled one: {', '.join(MODELS)}"
