"""The viewer's questions, on a store small enough to know by heart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flowglass.store import open_store, queries
from flowglass.store.run import Plan, RunWriter
from flowglass.store.schema import TABLES
from flowglass.store.store import Store

RUN, OTHER = "run-1", "run-2"
TEXTS = [
    "Mary had a lamb",
    "100% of it, they said",
    "a_b",
    "the lamb's fleece",
    "Ünïcode LAMB",
]
PROMPTS = [
    {
        "prompt_id": 0,
        "text": TEXTS[0],
        "dataset": "songs",
        "category": "x",
        "n_tokens": 5,
    },
    {
        "prompt_id": 1,
        "text": TEXTS[1],
        "dataset": "talk",
        "category": None,
        "n_tokens": 9,
    },
    {
        "prompt_id": 2,
        "text": TEXTS[2],
        "dataset": "talk",
        "category": "y",
        "n_tokens": 3,
    },
    {
        "prompt_id": 3,
        "text": TEXTS[3],
        "dataset": "songs",
        "category": "x",
        "n_tokens": 6,
    },
    {
        "prompt_id": 4,
        "text": TEXTS[4],
        "dataset": "songs",
        "category": "y",
        "n_tokens": 4,
    },
]
TARGETS = [
    # prompt 0: `last` stands for it, though answer targets come before and after
    {"prompt_id": 0, "target": 2, "reason": "answer", "predicted_token": "no"},
    {"prompt_id": 0, "target": 4, "reason": "last", "predicted_token": " sheep"},
    {"prompt_id": 0, "target": 5, "reason": "answer", "predicted_token": "no"},
    # prompt 1: the first answer position
    {"prompt_id": 1, "target": 8, "reason": "answer", "predicted_token": " yes"},
    {"prompt_id": 1, "target": 9, "reason": "answer", "predicted_token": "no"},
    # prompt 2: the last one chosen
    {"prompt_id": 2, "target": 0, "reason": "chosen", "predicted_token": "no"},
    {"prompt_id": 2, "target": 2, "reason": "chosen", "predicted_token": " c"},
    {"prompt_id": 3, "target": 5, "reason": "last", "predicted_token": " white"},
    # prompt 4 has no target
]
STANDING = {0: " sheep", 1: " yes", 2: " c", 3: " white", 4: None}
PROBABILITY = {" sheep": 0.5, " yes": 0.9, " c": 0.1, " white": 0.7}


def filled(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A whole row: what is not given is null, or nothing of its type."""
    nothing = {"string": "", "bool": False}
    return {
        c.name: row.get(c.name, None if c.nullable else nothing.get(c.type, 0))
        for c in TABLES[table].columns
    }


def arrow(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a shard's table."""
    schema = TABLES[table].schema
    return pa.Table.from_pylist([filled(table, row) for row in rows], schema=schema)


def plan(run_id: str) -> Plan:
    """A run of two shards."""
    return Plan(
        run_id=run_id, model="m", model_hash="0", architecture="a",
        block_kind="sequential", n_layers=1, n_heads=1, n_kv_heads=1, d_model=1,
        d_ffn=1, vocab_size=1, dtype="float32", device="cpu", datasets=["songs"],
        cutoff=0.01, config={"identity": {"run": run_id}, "n_prompts": 5},
        versions={}, started_at="2026-01-01T00:00:00+00:00", n_shards=2,
    )  # fmt: skip


def write(root: Path, run_id: str) -> None:
    """Prompts 0 to 2 in one shard, 3 and 4 in another."""
    writer = RunWriter(root, plan(run_id))
    for shard, ids in enumerate(([0, 1, 2], [3, 4])):
        tables = {
            "prompts": [row for row in PROMPTS if row["prompt_id"] in ids],
            "targets": [
                {**row, "predicted_prob": PROBABILITY.get(row["predicted_token"], 0.01)}
                for row in TARGETS
                if row["prompt_id"] in ids
            ],
            "tokens": [
                {"prompt_id": id, "position": position, "token": f"{id}.{position}"}
                for id in ids
                for position in range(3)
            ],
            "edges": [
                {
                    "prompt_id": id, "layer": 0, "step": "attn", "kind": "attn",
                    "head": 0, "query": query, "key": 0, "contribution": 0.5,
                }
                for id in ids
                for query in (1, 2)
            ],
        }  # fmt: skip
        info = {"n_prompts": len(ids), "n_tokens": 9, "n_quarantined": 0}
        writer.commit(
            shard,
            {name: arrow(name, rows) for name, rows in tables.items()},
            prompt_ids=ids,
            info=info,
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two runs of the same five prompts, in a folder whose name looks like a glob."""
    root = tmp_path_factory.mktemp("queries") / "runs [1]*"
    write(root, RUN)
    write(root, OTHER)
    with open_store(root) as opened:
        yield opened


def ids(table: pa.Table) -> list[int]:
    """The prompts of an answer, in its order."""
    return [int(id) for id in table["prompt_id"].to_pylist()]


def test_prompts_are_those_of_one_run_in_their_order(store: Store) -> None:
    """Each once, whatever the number of its targets."""
    table = queries.prompts(store, RUN)

    assert ids(table) == [0, 1, 2, 3, 4]
    assert tuple(table.column_names) == queries.PROMPT_COLUMNS


@pytest.mark.parametrize("sort", ["prompt_id", "predicted_prob"])
def test_a_prompt_is_shown_with_the_target_that_stands_for_it(
    store: Store, sort: str
) -> None:
    """`last`, else the first answer position, else the last chosen, else none."""
    rows = queries.prompts(store, RUN, sort=sort).to_pylist()
    assert {row["prompt_id"]: row["predicted_token"] for row in rows} == STANDING


def test_pages_together_are_the_whole_list(store: Store) -> None:
    """No prompt is shown twice or left out, for every column and direction."""
    for sort in queries.PROMPT_COLUMNS:
        for descending in (False, True):
            order = {"sort": sort, "descending": descending}
            whole = ids(queries.prompts(store, RUN, **order))
            pages = [
                ids(queries.prompts(store, RUN, **order, limit=2, offset=offset))
                for offset in (0, 2, 4, 6)
            ]
            assert pages == [whole[:2], whole[2:4], whole[4:], []]
            assert sorted(whole) == [0, 1, 2, 3, 4]


def test_unknown_values_come_last_in_either_direction(store: Store) -> None:
    """A prompt without a target never leads the list sorted by probability."""
    up = queries.prompts(store, RUN, sort="predicted_prob")
    down = queries.prompts(store, RUN, sort="predicted_prob", descending=True)

    assert ids(up) == [2, 0, 3, 1, 4]
    assert ids(down) == [1, 3, 0, 2, 4]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("lamb", [0, 3, 4]),
        ("LAMB", [0, 3, 4]),
        ("ünï", [4]),
        ("%", [1]),
        ("_", [2]),
        ("lamb's", [3]),
        ("' OR 1=1 --", []),
        ("'; DROP VIEW prompts; --", []),
        ("\\", []),
        ("", [0, 1, 2, 3, 4]),
    ],
)
def test_search_is_text_and_nothing_else(
    store: Store, search: str, found: list[int]
) -> None:
    """No wildcard, no case, no SQL; the count agrees with the list."""
    assert ids(queries.prompts(store, RUN, search=search)) == found
    assert queries.count_prompts(store, RUN, search=search) == len(found)


def test_filters_combine(store: Store) -> None:
    """Dataset, category and search narrow the list together, in list and count."""
    assert ids(queries.prompts(store, RUN, dataset="songs")) == [0, 3, 4]
    assert ids(queries.prompts(store, RUN, dataset="songs", category="x")) == [0, 3]
    narrowed = {"dataset": "songs", "category": "x", "search": "fleece"}
    assert ids(queries.prompts(store, RUN, **narrowed)) == [3]
    assert queries.count_prompts(store, RUN, **narrowed) == 1
    assert ids(queries.prompts(store, RUN, dataset="songs' OR '1'='1")) == []


@pytest.mark.parametrize("sort", ["nonsense", "1; DROP TABLE x", "text DESC, 1", ""])
def test_only_shown_columns_can_be_sorted_by(store: Store, sort: str) -> None:
    """A column's name is no value and cannot be bound, so it is checked."""
    with pytest.raises(ValueError, match="cannot sort by"):
        queries.prompts(store, RUN, sort=sort)


def test_groups_count_datasets_and_categories(store: Store) -> None:
    """Every prompt is in one group; one without a category too."""
    rows = queries.prompt_groups(store, RUN).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("songs", "x", 2),
        ("songs", "y", 1),
        ("talk", "y", 1),
        ("talk", None, 1),
    ]


def test_one_prompt_comes_from_its_own_shard(store: Store) -> None:
    """Prompt, tokens, targets and edges: its rows only, in reading order."""
    for id in (1, 3):
        assert queries.prompt(store, RUN, id)["text"].to_pylist() == [TEXTS[id]]
        tokens = queries.tokens(store, RUN, id)["token"].to_pylist()
        assert tokens == [f"{id}.{position}" for position in range(3)]
        assert queries.edges(store, RUN, id)["query"].to_pylist() == [1, 2]
    targets = queries.targets(store, RUN, 0)["target"].to_pylist()
    assert targets[0] == 4
    assert sorted(targets) == [2, 4, 5]


def test_a_prompt_without_targets_has_none(store: Store) -> None:
    """No row is no error where the prompt exists."""
    assert queries.targets(store, RUN, 4).num_rows == 0


def test_a_prompt_that_is_not_there_is_a_lookup_error(store: Store) -> None:
    """The caller decides what to say."""
    with pytest.raises(LookupError, match="no prompts of prompt 99"):
        queries.prompt(store, RUN, 99)
