"""What is wrong with the rows of one shard, or of one block of merged shards."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .files import Files, Unreadable
from .plan import Plan
from .precision import CLOSURE_BOUNDS, SUM_TOLERANCE
from .record import Block, DataFile, Record
from .schema import PER_MODEL, ROWS_VERSION, TABLES

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def wrong_rows(
    files: Files, folder: str, unit: Record | Block, plan: Plan | None
) -> Iterator[str | Unreadable]:
    """Everything that is wrong with the files of a unit, a line each; Unreadable where
    one is there and may be whole."""
    import duckdb

    from .parquet import DamagedFile, read_rows

    with duckdb.connect(":memory:") as connection:
        counted = {"prompts": 0, "quarantine": 0}
        # Steps before edges, which are compared with them; the rest in any order.
        for file in sorted(unit.files, key=lambda file: file.table != "steps"):
            where = files.where(f"{folder}/{file.path}")
            try:
                rows = read_rows(files, folder, file)
            except (DamagedFile, Unreadable) as error:
                yield error if isinstance(error, Unreadable) else str(error)
                counted.pop(file.table, None)
                continue
            if lacking := _strange_columns(file.table, plan, rows.column_names):
                yield f"{where}: columns {sorted(lacking)} are missing or unknown"
                continue
            if file.table in counted:
                counted[file.table] += file.rows
            for what in _wrong(connection, file, rows, unit, plan):
                yield f"{where}: {what}"
        if plan is not None:
            yield from _wrong_counts(unit, counted, files.where(folder))


def _strange_columns(table: str, plan: Plan | None, found: list[str]) -> set[str]:
    """Columns that are missing, or unknown. A block of an older run's shards may have
    those that came later, without values."""
    version = ROWS_VERSION if plan is None else plan.rows_version
    known = {c.name for c in TABLES[table].columns}
    due = {c.name for c in TABLES[table].columns if c.since <= version}
    return (due - set(found)) | (set(found) - known)


def _wrong(
    connection: "duckdb.DuckDBPyConnection",
    file: DataFile,
    rows: "pa.Table",
    unit: Record | Block,
    plan: Plan | None,
) -> Iterator[str]:
    table = TABLES[file.table]
    connection.register("rows", rows)
    keys = ", ".join(f'"{name}"' for name in table.key)
    doubled = f"SELECT {keys} FROM rows GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
    for found in connection.execute(doubled).fetchall():
        yield f"two rows have {_said(dict(zip(table.key, found, strict=True)))}"
    if "prompt_id" in rows.column_names:
        ids = connection.execute("SELECT DISTINCT prompt_id FROM rows").fetchall()
        strange = [prompt_id for (prompt_id,) in ids if not unit.holds(prompt_id)]
        if strange:
            yield f"prompt {strange[0]} is of another shard"
    if plan is None or table.name in PER_MODEL:
        return
    if table.name == "prompts":
        yield from _not_closing(connection, plan)
    if table.name == "steps":
        connection.execute("CREATE TABLE steps AS FROM rows")
        yield from _not_one(connection, plan, "resid + attn + ffn", "FROM steps")
    with_steps = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'steps'"
    ).fetchall()
    if table.name == "edges" and with_steps == [(1,)]:  # else their file is damaged
        joined = """
            FROM steps FULL JOIN (
                SELECT prompt_id, layer, step, query, sum(contribution::DOUBLE) AS kept
                FROM rows GROUP BY ALL
            ) USING (prompt_id, layer, step, query)
        """
        kept = "coalesce(kept, 0) + below_cutoff"
        yield from _not_one(connection, plan, kept, joined)


def _not_closing(connection: "duckdb.DuckDBPyConnection", plan: Plan) -> Iterator[str]:
    bound = CLOSURE_BOUNDS.get(plan.dtype)
    if bound is None:
        return
    query = "SELECT prompt_id, closure FROM rows WHERE NOT closure <= ? LIMIT 1"
    for prompt_id, closure in connection.execute(query, [bound]).fetchall():
        yield f"prompt {prompt_id} has a closure of {closure:.3g}, over {bound:g}"


def _not_one(
    connection: "duckdb.DuckDBPyConnection", plan: Plan, total: str, source: str
) -> Iterator[str]:
    settings = plan.identity.get("settings", {})
    tolerance = SUM_TOLERANCE[settings.get("precision", "rounded")]
    found = connection.execute(
        f"SELECT prompt_id, layer, step, query, ({total})::DOUBLE AS total {source} "
        f"WHERE total IS NULL OR NOT abs(total - 1) <= ? LIMIT 1",
        [tolerance],
    ).fetchall()
    for *key, sum_found in found:
        place = dict(zip(("prompt_id", "layer", "step", "query"), key, strict=True))
        yield f"{total} is {sum_found}, not 1, where {_said(place)}"


def _wrong_counts(
    unit: Record | Block, counted: dict[str, int], where: str
) -> Iterator[str]:
    shards = (unit,) if isinstance(unit, Record) else unit.shards
    for name, table in (("n_prompts", "prompts"), ("n_quarantined", "quarantine")):
        said = sum(shard.info[name] for shard in shards)
        if counted.get(table, said) != said:
            yield (
                f"{where}: shard {shards[0].shard} has {counted[table]} rows of "
                f"{table}, its record counts {said}"
            )


def _said(place: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in place.items())
