"""The tokens around places of prompts, so that an example can be read."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from .store import Store

AROUND = 8
"""How many tokens before and after each place are given unless said otherwise."""

TOKENS = """
    SELECT prompt_id, position, token FROM read_parquet($files)
    WHERE list_contains($prompt_ids, prompt_id) ORDER BY prompt_id, position
"""


def with_context(
    store: Store,
    run_id: str,
    examples: pa.Table,
    at: Sequence[str],
    *,
    around: int = AROUND,
) -> pa.Table:
    """Examples (few, with `prompt_id`) with the tokens around the positions in `at`.

    `positions` ascend, and leave out what is far from all of them; `tokens` are theirs.
    """
    tokens = tokens_of(store, run_id, examples["prompt_id"].to_pylist())
    positions = [
        sorted(
            {
                position
                for name in at
                for position in range(row[name] - around, row[name] + around + 1)
                if (row["prompt_id"], position) in tokens
            }
        )
        for row in examples.to_pylist()
    ]
    ids = examples["prompt_id"].to_pylist()
    texts = [
        [tokens[id, position] for position in some]
        for id, some in zip(ids, positions, strict=True)
    ]
    examples = examples.append_column("positions", _lists(positions, pa.int32()))
    return examples.append_column("tokens", _lists(texts, pa.string()))


def tokens_of(
    store: Store, run_id: str, prompt_ids: Sequence[int]
) -> dict[tuple[int, int], str]:
    """Every token of these prompts, by (prompt_id, position)."""
    files = files_of(store, run_id, "tokens", prompt_ids)
    if not files:
        return {}
    values = {"files": files, "prompt_ids": list(prompt_ids)}
    found = store.table(TOKENS, values)
    columns = (found[name].to_pylist() for name in ("prompt_id", "position", "token"))
    return {(id, position): token for id, position, token in zip(*columns, strict=True)}


def files_of(
    store: Store, run_id: str, table: str, prompt_ids: Sequence[int]
) -> list[str]:
    """The files of a table that hold some prompts."""
    return sorted({f for id in prompt_ids for f in store.files(run_id, table, id)})


def _lists(rows: Sequence[Sequence[Any]], of: pa.DataType) -> pa.Array:
    return pa.array(rows, pa.list_(of))
