"""Where things lie in a store, and whether a folder is one."""

import json
from pathlib import Path

from .errors import StoreError
from .schema import SCHEMA_VERSION

FORMAT = "FORMAT.json"
RUNS = "runs"
MODELS = "models"


def run_folder(run_id: str) -> str:
    """A run's folder, relative to the store."""
    return f"{RUNS}/run_id={run_id}"


def model_folder(model_hash: str) -> str:
    """The folder of what belongs to a model's weights, relative to the store."""
    return f"{MODELS}/model_hash={model_hash}"


def format_bytes() -> bytes:
    """What FORMAT.json says."""
    return json.dumps(
        {"format": "flowglass", "schema_version": SCHEMA_VERSION}
    ).encode()


def check_format(root: Path) -> None:
    """Refuse a folder that is no store, or that a later flowglass has written."""
    try:
        said = json.loads((root / FORMAT).read_bytes())
        known = said["format"] == "flowglass"
        version = int(said["schema_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{root / FORMAT} is damaged ({error}): restore it") from error
    if not known:
        raise StoreError(
            f"{root} is no flowglass store: {FORMAT} says {said['format']}"
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the store {root} has schema version {version}, this flowglass reads up "
            f"to {SCHEMA_VERSION}: upgrade flowglass"
        )
