"""What is known of one FFN, against counting over a real sweep; a parallel block by
hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowglass.store import Store, StoreError, open_store
from flowglass.store import ffn_queries as ask

from .builders import make_plan, prompt
from .counted import Row, around, rows, tokens_by_prompt
from .hand_made import write

RUN = "llama"


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    """18 prompts of three tasks, of two models."""
    with open_store(real_store) as opened:
        yield opened


def test_it_brings_so_much_on_average(store: Store) -> None:
    """Over every position of every prompt; the interval is of prompts' residuals."""
    mine = rows(store, RUN, "steps", layer=2, step="ffn")
    (row,) = ask.summary(store, RUN, layer=2).to_pylist()
    of_prompts: dict[int, list[float]] = {}
    for one in mine:
        of_prompts.setdefault(one["prompt_id"], []).append(one["ffn"])
    assert row["n_positions"] == len(mine) == len(rows(store, RUN, "tokens"))
    assert row["n_prompts"] == len(of_prompts) == 18
    assert row["mean"] == pytest.approx(np.mean([one["ffn"] for one in mine]))
    off = [sum(x) - row["mean"] * len(x) for x in of_prompts.values()]
    half = 2.1098 * np.sqrt(18 / 17 * np.sum(np.square(off))) / len(mine)  # t of 17
    assert row["low"] == pytest.approx(row["mean"] - half, abs=1e-5)
    assert row["high"] == pytest.approx(row["mean"] + half, abs=1e-5)


def test_examples_are_the_best_position_of_each_prompt(store: Store) -> None:
    """The most first, with the tokens around and what it brings at each of them."""
    found = ask.examples(store, RUN, layer=2, n=5, around=3).to_pylist()
    best: dict[int, Row] = {}
    share = {}
    for row in rows(store, RUN, "steps", layer=2, step="ffn"):
        share[row["prompt_id"], row["query"]] = row["ffn"]
        so_far = best.get(row["prompt_id"])
        if so_far is None or (-row["ffn"], row["query"]) < (
            -so_far["ffn"],
            so_far["query"],
        ):
            best[row["prompt_id"]] = row
    order = sorted(best.values(), key=lambda r: (-r["ffn"], r["prompt_id"]))
    of = {r["prompt_id"]: r for r in rows(store, RUN, "prompts")}
    tokens = tokens_by_prompt(store, RUN)
    assert len(found) == 5
    for row, due in zip(found, order, strict=False):
        id = due["prompt_id"]
        near = around(tokens[id], [due["query"]], 3)
        assert row == {
            "prompt_id": id,
            "dataset": of[id]["dataset"],
            "category": of[id]["category"],
            "position": due["query"],
            "contribution": due["ffn"],
            "positions": [t["position"] for t in near],
            "tokens": [t["token"] for t in near],
            "contributions": [share[id, t["position"]] for t in near],
        }


def test_in_a_parallel_block_it_is_of_the_one_step(tmp_path: Path) -> None:
    """Of two prompts and layers; where it brings nothing is no example."""

    def step(prompt_id: int, layer: int, query: int, ffn: float) -> dict[str, Any]:
        parts = {"resid": 0.9 - ffn, "attn": 0.1, "ffn": ffn}
        rest = {"bias": 0.0, "below_cutoff": 0.0, "step": "block"}
        return {"prompt_id": prompt_id, "layer": layer, "query": query, **parts, **rest}

    def token(prompt_id: int, position: int) -> dict[str, Any]:
        known = {"token_id": 7, "token": " a", "is_special": False, "entropy": 1.0}
        top = {"top_token_id": 7, "top_token": " a", "top_prob": 0.5}
        return {"prompt_id": prompt_id, "position": position, **known, **top}

    shares = {(0, 0): (0.25, 0.5, 0.5), (0, 1): (0.0, 0.75, 0.0), (1, 0): (0.0,) * 3}
    steps = [
        step(id, layer, query, shares.get((id, layer), (0.125,) * 3)[query])
        for id in range(2)
        for layer in range(2)
        for query in range(3)
    ]
    tokens = [token(id, position) for id in range(2) for position in range(3)]
    prompts = [prompt(0), prompt(1)]
    write(tmp_path, make_plan(n_shards=1), prompts=prompts, steps=steps, tokens=tokens)
    with open_store(tmp_path) as store:
        (row,) = ask.summary(store, "tiny", layer=0).to_pylist()
        assert (row["n_positions"], row["n_prompts"]) == (6, 2)
        assert row["mean"] == pytest.approx(1.25 / 6)
        assert row["low"] is None  # fewer than ten prompts
        (only,) = ask.examples(store, "tiny", layer=0, around=1).to_pylist()
        assert (only["prompt_id"], only["position"]) == (0, 1)  # the first of equals
        assert only["contributions"] == [0.25, 0.5, 0.5]
        both = ask.examples(store, "tiny", layer=1, around=0).to_pylist()
        assert [(r["prompt_id"], r["contribution"]) for r in both] == [
            (0, 0.75),
            (1, 0.125),
        ]


def test_a_run_without_steps_has_no_mean(tmp_path: Path) -> None:
    """And no example; a run that is not there is an error."""
    write(tmp_path, make_plan(n_shards=1), prompts=[prompt(0)])
    with open_store(tmp_path) as store:
        (row,) = ask.summary(store, "tiny", layer=0).to_pylist()
        assert (row["n_positions"], row["n_prompts"], row["mean"]) == (0, 0, None)
        assert ask.examples(store, "tiny", layer=0).num_rows == 0
        with pytest.raises(StoreError, match="no run"):
            ask.summary(store, "none", layer=0)
