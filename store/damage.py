"""Which file a complaint about damage is about, where DuckDB does not say."""

from collections.abc import Collection

from .errors import StoreError
from .layout import run_folder
from .parquet import DamagedFile, read_rows
from .sql_errors import UNNAMED
from .store import Store


def named(
    store: Store,
    error: StoreError,
    run_id: str,
    *,
    tables: Collection[str],
    prompt_id: int | None = None,
) -> StoreError:
    """The complaint with the name of the file, found by its checksum.

    Looks at the run's files of these tables, with a prompt only at those of its shard,
    and at none where the complaint names one.
    """
    state = store.snapshot.runs.get(run_id)
    if UNNAMED not in str(error) or state is None:
        return error
    for unit in state.committed.units:
        if prompt_id is not None and not unit.holds(prompt_id):
            continue
        for file in unit.files:
            try:
                if file.table in tables:
                    read_rows(store.files_of_store, run_folder(run_id), file)
            except DamagedFile as damaged:
                return damaged
    return error
