"""What is sent to other processes, with paths that mean the same there.

A worker has a working folder of its own, so a path is sent absolute where there is such
a folder here. Anything else is a bundled name, an id of the hub or an address, or lies
on the worker's machine alone, and stays as it is.
"""

from dataclasses import replace
from pathlib import Path

from flowglass.datasets.catalog import MODELS

from .shard_worker import ModelRequest, RunRequest


def model_elsewhere(request: ModelRequest) -> ModelRequest:
    """The request for a model, for a worker."""
    assert isinstance(request.model, str)  # a loaded module is not sent
    model = request.model if request.model in MODELS else folder(request.model)
    adapter = request.origin.adapter and folder(request.origin.adapter)
    return replace(
        request, model=model, origin=replace(request.origin, adapter=adapter)
    )


def run_elsewhere(request: RunRequest) -> RunRequest:
    """The request for shards of a run, for a worker."""
    return replace(
        request,
        model=model_elsewhere(request.model),
        store=store_elsewhere(request.store),
    )


def store_elsewhere(store: str | Path) -> str:
    """A store, for a worker.

    >>> store_elsewhere("s3://bucket/runs")
    's3://bucket/runs'
    """
    return str(store) if "://" in str(store) else str(Path(store).absolute())


def folder(name: str) -> str:
    """The absolute path of a folder that is here; else the name as it is.

    >>> folder("gpt2"), folder("/") == "/"
    ('gpt2', True)
    """
    path = Path(name).expanduser()
    return str(path.absolute()) if path.is_dir() else name
