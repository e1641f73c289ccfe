"""Writing what belongs to a model's weights, not to a run: once, layer by layer."""

from pathlib import Path
from typing import TYPE_CHECKING

from .blocks import collect_superseded
from .commit import Payload, collect_stale, commit, prepare
from .committed import read_committed
from .layout import files_at, model_folder
from .record import utc_now
from .schema import TABLES

if TYPE_CHECKING:
    import pyarrow as pa


class ModelWriter:
    """`neuron_vocab` of one model in a store; a shard is a layer."""

    def __init__(self, root: str | Path, model_hash: str) -> None:
        self._files = files_at(root)
        self._folder = model_folder(model_hash)
        prepare(self._files, self._folder)
        collect_stale(self._files, self._folder)
        collect_superseded(self._files, self._folder)

    def committed(self) -> set[int]:
        """The layers that are done, whoever did them."""
        return set(read_committed(self._files, self._folder).shards)

    def commit(self, layer: int, rows: "pa.Table") -> bool:
        """Commit one layer's rows; False if another writer has done so."""
        from .parquet import to_parquet

        table = TABLES["neuron_vocab"]
        return commit(
            self._files,
            self._folder,
            shard=layer,
            tables={table.name: Payload(to_parquet(table, rows), rows.num_rows)},
            config_sha256="",
            prompt_ids=(),
            info={},
            committed_at=utc_now(),
        )
