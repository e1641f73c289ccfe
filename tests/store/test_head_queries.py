"""What is known of one head, against counting over a real sweep, row by row."""

import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flowglass.store import Store, StoreError, open_store
from flowglass.store import head_queries as ask
from flowglass.store.sources import ROLES

from .builders import important, make_plan, prompt, target
from .counted import Row, around, rows, tokens_by_prompt
from .hand_made import write
from .kinds_of_source import IS_OF_KIND, is_delimiter

RUN = "llama"
HEAD = {"layer": 3, "head": 3}


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    """18 prompts of three tasks, with one target an answer token."""
    with open_store(real_store) as opened:
        yield opened


def brought(store: Store) -> dict[int, float]:
    """What the head brings to all positions of each prompt, exactly."""
    n = {row["prompt_id"]: row["n_tokens"] for row in rows(store, RUN, "prompts")}
    heads = rows(store, RUN, "heads", **HEAD)
    return {
        row["prompt_id"]: n[row["prompt_id"]] * row["contribution"] for row in heads
    }


def check_shares(
    found: list[Row], edges: list[tuple[str, Row]], brought: dict[int, float]
) -> None:
    """Rows of shares are what the edges, each with its source, add up to."""
    whole = sum(brought.values())
    stored: dict[int, float] = defaultdict(float)
    for _, edge in edges:
        stored[edge["prompt_id"]] += edge["contribution"]
    for row in found[:-1]:
        mine = [edge for source, edge in edges if source == row["source"]]
        assert row["n_edges"] == len(mine) > 0
        assert row["n_prompts"] == len({edge["prompt_id"] for edge in mine})
        x = {
            id: sum(e["contribution"] for e in mine if e["prompt_id"] == id)
            for id in brought
        }
        share = sum(x.values()) / whole
        assert row["share"] == pytest.approx(share)
        n = len(brought)
        residuals = [x[id] - share * y for id, y in brought.items()]
        error = math.sqrt(n / (n - 1) * sum(d * d for d in residuals)) / whole
        assert row["high"] == pytest.approx(share + 2.1098 * error, rel=1e-3)  # t of 17
    missing = sum(max(0, y - stored[id]) for id, y in brought.items())
    assert found[-1]["source"] == "below cutoff"
    assert found[-1]["share"] == pytest.approx(missing / whole, abs=1e-6)
    assert sum(row["share"] for row in found) == pytest.approx(1, abs=4e-3)
    assert {source for source, _ in edges} == {row["source"] for row in found[:-1]}


def test_offsets_are_shares_of_all_it_brings(store: Store) -> None:
    """The nearest first; what is far, and what is too small to be stored, last."""
    found = ask.offsets(store, RUN, **HEAD).to_pylist()
    edges = [
        (str(distance) if distance >= -15 else "farther", edge)
        for edge in rows(store, RUN, "edges", **HEAD)
        for distance in [edge["key"] - edge["query"]]
    ]
    assert [row["source"] for row in found][:3] == ["0", "-1", "-2"]
    assert [row["source"] for row in found][-2:] == ["farther", "below cutoff"]
    check_shares(found, edges, brought(store))


def test_every_source_has_one_class_of_token(store: Store) -> None:
    """Special, delimiter, number, word, piece: each token the first that it can be."""
    tokens = tokens_by_prompt(store, RUN)

    def class_of(prompt_id: int, position: int) -> str:
        token = tokens[prompt_id][position]
        before = tokens[prompt_id][position - 1] if position else None
        if token["is_special"]:
            return "special"
        if is_delimiter(token["token"]):
            return "delimiter"
        if token["token"].strip().isdecimal():
            return "number"
        starts = before is None or before["word"] != token["word"]
        return "word" if starts else "piece"

    edges = [
        (class_of(edge["prompt_id"], edge["key"]), edge)
        for edge in rows(store, RUN, "edges", **HEAD)
    ]
    found = ask.source_tokens(store, RUN, **HEAD).to_pylist()
    assert [r["source"] for r in found] == [
        *(c for c in ask.TOKEN_CLASSES if c in {source for source, _ in edges}),
        "below cutoff",
    ]
    check_shares(found, edges, brought(store))


def test_importance_counts_targets_without_it_as_zero(store: Store) -> None:
    """Mean, share in the route, quantiles: by category, over all of its targets."""
    found = ask.importance_by_category(store, RUN, layer=3, index=3).to_pylist()
    prompts = {row["prompt_id"]: row for row in rows(store, RUN, "prompts")}
    mine = {"layer": 3, "component": "head", "index": 3}
    important = {
        (row["prompt_id"], row["target"]): (row["contribution"], row["survives_at"])
        for row in rows(store, RUN, "importance", **mine)
    }
    values = defaultdict(list)
    for row in rows(store, RUN, "targets"):
        of = prompts[row["prompt_id"]]
        value = important.get((row["prompt_id"], row["target"]), (0.0, 0.0))
        values[of["dataset"], of["category"]].append((row["prompt_id"], *value))
    assert [(row["dataset"], row["category"]) for row in found] == sorted(values)
    for row in found:
        ids, contributions, survives = zip(
            *values[row["dataset"], row["category"]], strict=True
        )
        assert row["n_prompts"] == len(set(ids))
        assert row["n_targets"] == len(ids)
        assert row["mean"] == pytest.approx(np.mean(contributions))
        assert row["frequency"] == pytest.approx(np.mean(np.array(survives) > 0.04))
        assert row["low"] is None  # fewer than ten prompts
        assert row["p75"] == pytest.approx(np.quantile(contributions, 0.75))


def test_an_interval_is_by_prompt_not_by_target(tmp_path: Path) -> None:
    """Ten prompts of two equal targets: the interval of ten values, not of twenty."""
    values = [0.1 * i for i in range(10)]
    write(
        tmp_path,
        make_plan("r", n_shards=1),
        prompts=[prompt(i) for i in range(10)],
        targets=[target(i, position) for i in range(10) for position in (1, 2)],
        importance=[
            {**important(i, 0, 1, contribution=value), "target": position}
            for i, value in enumerate(values)
            for position in (1, 2)
        ],
    )
    with open_store(tmp_path) as store:
        (row,) = ask.importance_by_category(store, "r", layer=0, index=1).to_pylist()
        with pytest.raises(StoreError, match="nothing below its cutoff"):
            ask.importance_by_category(store, "r", layer=0, index=1, tau=0.005)
    half = 2.2622 * np.std(values, ddof=1) / math.sqrt(10)  # t of 9
    assert (row["n_prompts"], row["n_targets"]) == (10, 20)
    assert row["mean"] == pytest.approx(0.45)
    assert row["high"] - row["mean"] == pytest.approx(half, rel=3e-3)


def test_examples_are_the_strongest_edges_of_different_prompts(store: Store) -> None:
    """Of all prompts, the strongest first, with what stands around both ends."""
    found = ask.examples(store, RUN, **HEAD, n=5, around=2).to_pylist()
    best: dict[int, float] = defaultdict(float)
    for edge in rows(store, RUN, "edges", **HEAD):
        best[edge["prompt_id"]] = max(best[edge["prompt_id"]], edge["contribution"])
    order = sorted(best, key=lambda id: (-best[id], id))
    tokens = tokens_by_prompt(store, RUN)
    assert [row["prompt_id"] for row in found] == order[:5]
    for row in found:
        assert row["contribution"] == best[row["prompt_id"]]
        near = around(tokens[row["prompt_id"]], [row["query"], row["key"]], 2)
        assert row["positions"] == [token["position"] for token in near]
        assert row["tokens"] == [token["token"] for token in near]


@pytest.mark.parametrize("role", [role.name for role in ROLES])
def test_examples_of_a_role_are_its_evidence(store: Store, role: str) -> None:
    """The strongest edge from such a source, where the head brings most from them."""
    column = next(r.column for r in ROLES if r.name == role)
    heads = [row for row in rows(store, RUN, "heads", **HEAD) if row[column] > 0]
    order = sorted(heads, key=lambda row: (-row[column], row["prompt_id"]))
    ids = [row["prompt_id"] for row in order[:4]]
    tokens = tokens_by_prompt(store, RUN)
    best: dict[int, float] = {}
    for edge in rows(store, RUN, "edges", **HEAD):
        id = edge["prompt_id"]
        of_kind = IS_OF_KIND[role](tokens[id], edge["query"], edge["key"])
        if id in ids and of_kind:
            best[id] = max(best.get(id, 0), edge["contribution"])
    found = ask.examples(store, RUN, **HEAD, role=role, n=4).to_pylist()
    assert {row["prompt_id"]: row["contribution"] for row in found} == best
    contributions = [row["contribution"] for row in found]
    assert contributions == sorted(contributions, reverse=True)
    for row in found:
        assert IS_OF_KIND[role](tokens[row["prompt_id"]], row["query"], row["key"])


def test_a_head_that_is_not_there_has_no_rows(store: Store) -> None:
    """And a run that is not there is named."""
    none = {"layer": 9, "head": 0}
    assert ask.offsets(store, RUN, **none).num_rows == 0
    assert ask.source_tokens(store, RUN, **none).num_rows == 0
    assert ask.examples(store, RUN, **none).num_rows == 0
    assert ask.examples(store, RUN, **none, role="self").num_rows == 0
    with pytest.raises(StoreError, match="did you mean llama"):
        ask.offsets(store, "lama", **HEAD)
