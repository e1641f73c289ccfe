"""What a prediction's parts mean, as asked and as the query says it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flowglass.store import open_store
from flowglass.store import prediction_queries as ask
from flowglass.store.answer import Answer
from flowglass.store.model_tables import ModelWriter
from flowglass.store.run import RunWriter
from flowglass.store.schema import TABLES
from flowglass.store.store import Store

from .builders import make_plan

RUN, HASH = "a-run", "0" * 64


def promoted(**place: Any) -> list[dict[str, Any]]:
    """A promoted and a suppressed token of a write."""
    token = {**place, "expert": None, "rank": 0, "token_id": 7, "token": " it's"}
    return [{**token, "sign": 1, "score": 2.5}, {**token, "sign": -1, "score": -1.5}]


WRITE = {"prompt_id": 3, "layer": 1, "component": "head", "index": 2, "position": 4}
NEURON = {"prompt_id": 3, "layer": 1, "position": 4, "rank": 0, "neuron": 9}
EDGE = {"prompt_id": 3, "layer": 1, "step": "attn", "kind": "attn", "query": 4}
ROWS: dict[str, list[dict[str, Any]]] = {
    "writes": promoted(**WRITE) + promoted(**{**WRITE, "prompt_id": 5}),
    "neurons": [{**NEURON, "expert": None, "contribution": 0.1, "activation": -2.0}],
    "edges": [
        {**EDGE, "head": 0, "key": 1, "contribution": 0.25, "attention": 0.5},
        {**EDGE, "head": 2, "key": 1, "contribution": 0.50, "attention": 0.5},
        {**EDGE, "head": 2, "key": 2, "contribution": 0.125, "attention": 0.25},
    ],
    "tensors": [
        {
            "prompt_id": 3,
            "layer": 1,
            "head": 2,
            "n": 2,
            "attention": np.array([1, 0.25, 0.75], np.float16).tobytes(),
            "contribution": np.array([0.5, 0, 0.125], np.float32).tobytes(),
        }
    ],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with a few rows of two prompts, and of a model."""
    root: Path = tmp_path_factory.mktemp("asked") / "runs"
    tables = {
        name: pa.Table.from_pylist(rows, schema=TABLES[name].schema)
        for name, rows in ROWS.items()
    }
    writer = RunWriter(root, make_plan(RUN, n_shards=1))
    info = {"n_prompts": 2, "n_tokens": 10, "n_quarantined": 0}
    writer.commit(0, tables, prompt_ids=[3, 5], info=info)
    rows = promoted(layer=1, neuron=9)
    schema = TABLES["neuron_vocab"].schema
    ModelWriter(root, HASH).commit(1, pa.Table.from_pylist(rows, schema=schema))
    with open_store(root) as opened:
        yield opened


def answers(store: Store) -> dict[str, Answer]:
    """One of everything that can be asked; some of it was not stored."""
    at = {"layer": 1, "position": 4}
    return {
        "lens": ask.lens(store, RUN, 3, "mid", **at),
        "writes": ask.writes(store, RUN, 3, "head", index=2, **at),
        "neuron_vocab": ask.neuron_vocab(store, HASH, layer=1, neuron=9),
        "neurons": ask.neurons(store, RUN, 3, **at),
        "attribution": ask.logit_attribution(store, RUN, 3, target=4),
        "step": ask.step(store, RUN, 3, layer=1, step="attn", query=4),
        "mean": ask.head_mean(store, RUN, 3, layer=1, head=2),
        "edge": ask.edge_heads(store, RUN, 3, layer=1, query=4, key=1),
        "head": ask.head_edges(store, RUN, 3, layer=1, head=2),
    }


def test_an_answers_query_finds_the_same_rows(store: Store) -> None:
    """Over the views, value for value and type for type; also where there are none."""
    for name, answer in answers(store).items():
        assert store.table(answer.sql).equals(answer.table), name


def test_rows_come_in_the_order_a_reader_wants(store: Store) -> None:
    """Promoted before suppressed, the strongest head first; one prompt's alone."""
    found = answers(store)
    assert found["writes"].table["score"].to_pylist() == [2.5, -1.5]
    assert found["neuron_vocab"].table["sign"].to_pylist() == [1, -1]
    assert found["edge"].table["head"].to_pylist() == [2, 0]
    assert found["head"].table["key"].to_pylist() == [1, 2]
    assert found["lens"].table.num_rows == 0


def test_a_heads_whole_maps_are_squares(store: Store) -> None:
    """From half or single precision; none where the run stored none."""
    maps, sql = ask.dense_head(store, RUN, 3, layer=1, head=2)
    assert maps is not None
    assert maps.attention.tolist() == [[1, 0], [0.25, 0.75]]
    assert maps.contribution.tolist() == [[0.5, 0], [0, 0.125]]
    assert maps.table["key"].to_pylist() == [0, 0, 1]
    assert store.table(sql).num_rows == 1

    assert ask.dense_head(store, RUN, 3, layer=0, head=2)[0] is None
