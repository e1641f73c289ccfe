"""`tensors`: with --tensors dense every head's whole triangles, as bytes."""

from pathlib import Path

import numpy as np
import pytest

from flowglass.pipeline import Trace, sweep, trace
from flowglass.store import open_store

from .tiny_models import TINY_MODELS, random_tokens


def traced(name: str, precision: str) -> Trace:
    """A tiny model's 9 tokens, with the whole triangles."""
    model, ids = TINY_MODELS[name](), random_tokens(9, seed=2)
    found: Trace = trace(model, ids, tensors="dense", precision=precision)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("name", sorted(TINY_MODELS))
def test_one_row_per_head(name: str) -> None:
    """Every (layer, head) once, of as many positions as the prompt has."""
    config = TINY_MODELS[name]().config

    rows = traced(name, "rounded").tensors.to_pylist()

    heads = [(row["layer"], row["head"]) for row in rows]
    assert sorted(heads) == [
        (layer, head)
        for layer in range(config.num_hidden_layers)
        for head in range(config.num_attention_heads)
    ]
    assert {(row["prompt_id"], row["n"]) for row in rows} == {(0, 9)}


@pytest.mark.parametrize("name", sorted(TINY_MODELS))
def test_full_precision_keeps_every_bit(name: str) -> None:
    """float32 bytes: the lower triangle of what a trace gives, row by row."""
    t = traced(name, "full")
    lower = np.tril_indices(9)
    for row in t.tensors.to_pylist():
        at = (row["layer"], row["head"])
        for column, of_head in (
            ("attention", t.attention),
            ("contribution", t.contributions),
        ):
            found = np.frombuffer(row[column], np.float32)
            np.testing.assert_array_equal(found, of_head(*at)[lower])


@pytest.mark.parametrize("name", sorted(TINY_MODELS))
def test_otherwise_halves(name: str) -> None:
    """float16 bytes, each the nearest to the exact number."""
    exact = traced(name, "full")
    lower = np.tril_indices(9)
    for row in traced(name, "rounded").tensors.to_pylist():
        at = (row["layer"], row["head"])
        for column, of_head in (
            ("attention", exact.attention),
            ("contribution", exact.contributions),
        ):
            found = np.frombuffer(row[column], np.float16)
            due = of_head(*at)[lower]
            # Half a step of float16; 2**-25 where it is subnormal.
            np.testing.assert_allclose(found, due, rtol=2**-11, atol=2**-25)


def test_sparse_is_the_default() -> None:
    """Nobody who does not ask gets the triangles."""
    assert trace(TINY_MODELS["llama"](), (1, 2)).tensors.num_rows == 0


def test_a_sweep_stores_the_triangles_of_a_trace(tmp_path: Path) -> None:
    """Prompts of different lengths in one batch: each its own n, no padding."""
    sweep(
        model="tiny-gpt2",
        data=["facts", "ioi"],
        store=tmp_path,
        limit=2,
        tensors="dense",
    )
    with open_store(tmp_path) as store:
        prompts = store.table("select * from prompts").to_pylist()
        rows = store.table("select * from tensors").to_pylist()

    assert len({prompt["n_tokens"] for prompt in prompts}) > 1
    for prompt in prompts:
        t, n = trace("tiny-gpt2", prompt["text"], precision="full"), prompt["n_tokens"]
        own = [row for row in rows if row["prompt_id"] == prompt["prompt_id"]]
        assert len(own) == 4 * 4
        for row in own:
            found = np.frombuffer(row["contribution"], np.float16)
            due = t.contributions(row["layer"], row["head"])[np.tril_indices(n)]
            assert row["n"] == n
            np.testing.assert_allclose(found, due, rtol=2**-10, atol=1e-6)
