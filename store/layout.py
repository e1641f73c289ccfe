"""Where things lie in a store, and whether a folder is one."""

import json
from pathlib import Path

from .errors import StoreError
from .files import Files, LocalFiles
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


def files_at(store: str | Path) -> Files:
    """The files of a store: a folder, or the address of one on an object store."""
    if "://" in str(store):
        from .remote import remote_files

        return remote_files(str(store))
    return LocalFiles(Path(store).absolute())


def store_files(path: str | Path) -> Files:
    """The files of a store that can be read; StoreError where there is none."""
    files = files_at(path)
    if not files.exists(FORMAT):
        raise StoreError(
            f"no store at {path}: give a folder or address that `flowglass sweep "
            f"--store` has written (it has a {FORMAT})"
        )
    check_format(files)
    return files


def check_format(files: Files) -> int:
    """The schema version of a store; refuses what is none, or of a later flowglass."""
    where = files.where(FORMAT)
    try:
        said = json.loads(files.read(FORMAT))
        known = said["format"] == "flowglass"
        version = int(said["schema_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{where} is damaged ({error}): restore it") from error
    if not known:
        raise StoreError(f"{where} is of no flowglass store: it says {said['format']}")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{where} says schema version {version}, this flowglass reads up to "
            f"{SCHEMA_VERSION}: upgrade flowglass"
        )
    return version


def raise_format(files: Files) -> None:
    """Say that the store has this schema version: an older flowglass, which would
    overlook what this one is about to write, refuses it from here on."""
    if check_format(files) < SCHEMA_VERSION:
        files.replace(FORMAT, format_bytes())
