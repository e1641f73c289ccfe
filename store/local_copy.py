"""A store on an object store, for a reader who may not touch the network.

The one who may copies what a query reads, before it runs: whole files of whole tables,
which stay for the next query, in the user's cache folder.
"""

import os
from collections.abc import Callable, Collection

from .cache import cache_folder, fetch
from .layout import MODELS, RUNS
from .remote import RemoteFiles
from .sandbox_limits import in_bytes
from .snapshot import Snapshot

SIZE = "FLOWGLASS_CACHE_SIZE"
DEFAULT_SIZE = "50GB"


class LocalCopy:
    """The copies of one store's files; `root` is the folder that stands for it."""

    def __init__(self, files: RemoteFiles, snapshot: Callable[[], Snapshot]) -> None:
        self.root = cache_folder(files.where(""))
        self._files = files
        self._snapshot = snapshot
        for name in (RUNS, MODELS):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def bring(self, tables: Collection[str]) -> None:
        """Copy the files of these tables that are not here yet.

        They may take as much space as the variable FLOWGLASS_CACHE_SIZE says.
        """
        wanted = {
            f"{folder}/{file.path}": file
            for folder, unit in self._snapshot().units()
            for file in unit.files
            if file.table in tables
        }
        limit = in_bytes(os.environ.get(SIZE, DEFAULT_SIZE))
        fetch(self._files, wanted, self.root, limit_bytes=limit, described=wanted)
