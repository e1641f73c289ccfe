"""What writes promote and add to logits, against counting over a real sweep."""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flowglass.store import Store, StoreError, open_store
from flowglass.store import write_queries as ask

from .builders import make_plan, prompt
from .counted import Row, rows
from .hand_made import write

RUN = "llama"
HEAD = {"layer": 3, "index": 3}


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    """18 prompts of three tasks, with one target an answer token."""
    with open_store(real_store) as opened:
        yield opened


def test_tokens_count_once_for_each_write(store: Store) -> None:
    """The most often promoted first, then the suppressed, of so many stored writes."""
    found = ask.promoted(store, RUN, "head", **HEAD, n=1000).to_pylist()
    mine = rows(store, RUN, "writes", component="head", **HEAD)
    by_token: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in mine:
        by_token[row["sign"], row["token_id"]].append(row)
    n_stored = len({(row["prompt_id"], row["position"]) for row in mine})
    assert n_stored > 10
    assert {row["n_stored"] for row in found} == {n_stored}
    assert {(row["sign"], row["token_id"]) for row in found} == set(by_token)
    for row in found:
        own = by_token[row["sign"], row["token_id"]]
        assert row["token"] == own[0]["token"]
        assert row["n_writes"] == len(own)
        assert row["n_prompts"] == len({r["prompt_id"] for r in own})
        assert row["mean_score"] == pytest.approx(np.mean([r["score"] for r in own]))
    order = [(-row["sign"], -row["n_writes"], -abs(row["mean_score"])) for row in found]
    assert order == sorted(order)
    few = ask.promoted(store, RUN, "head", **HEAD, n=3).to_pylist()
    promoted = [row for row in found if row["sign"] == 1]
    assert few == promoted[:3] + found[len(promoted) :][:3]


def test_attribution_is_the_mean_over_targets(store: Store) -> None:
    """Of each role, and of the difference where a target has both; by prompt."""
    found = ask.attribution(store, RUN, "head", **HEAD).to_pylist()
    values: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
    for row in rows(store, RUN, "logit_attribution", component="head", **HEAD):
        values[row["role"]][row["prompt_id"], row["target"]] = row["value"]
    values["answer - distractor"] = {
        at: value - values["distractor"][at]
        for at, value in values["answer"].items()
        if at in values["distractor"]
    }
    assert [row["role"] for row in found] == [
        "predicted",
        "answer",
        "distractor",
        "answer - distractor",
    ]
    for row in found:
        own = values[row["role"]]
        mean = np.mean(list(own.values()))
        residuals: dict[int, float] = defaultdict(float)
        for (prompt_id, _), value in own.items():
            residuals[prompt_id] += value - mean
        n = len(residuals)
        squares = sum(d * d for d in residuals.values())
        half = 2.11 * math.sqrt(n / (n - 1) * squares) / len(own)  # t of 17
        assert (row["n_targets"], row["n_prompts"]) == (len(own), n)
        assert n == 18
        assert row["mean"] == pytest.approx(mean)
        assert row["mean"] - row["low"] == pytest.approx(half, rel=1e-3)


def test_what_is_not_stored_is_no_row(tmp_path: Path) -> None:
    """Of a run that read no write in tokens; a run that is not there is named."""
    write(tmp_path, make_plan("none", n_shards=1), prompts=[prompt(0)])
    with open_store(tmp_path) as store:
        assert ask.promoted(store, "none", "head", **HEAD).num_rows == 0
        assert ask.attribution(store, "none", "neuron", **HEAD).num_rows == 0
        with pytest.raises(StoreError, match="did you mean none"):
            ask.promoted(store, "nine", "head", **HEAD)
