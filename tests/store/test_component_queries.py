"""component_map: the same as averaging rows by hand, target by target."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowglass.store import component_queries, facets, open_store
from flowglass.store.component_queries import MEASURES, component_map
from flowglass.store.errors import StoreError
from flowglass.store.facets import TOKEN_CLASS
from flowglass.store.store import Store

from .builders import make_plan, prompt, target
from .hand_made import write

RUN = "gpt2"
Row = dict[str, Any]
Target = tuple[int, int]


@pytest.fixture(scope="module")
def store(real_store: Path) -> Iterator[Store]:
    """Prompts of three tasks, a target for each token of an answer."""
    with open_store(real_store) as opened:
        yield opened


def rows(store: Store, table: str) -> list[Row]:
    found = store.table(
        f"SELECT * FROM {table} WHERE run_id = $run_id", {"run_id": RUN}
    )
    return list(found.to_pylist())


def values_by_hand(store: Store, measure: str, tau: float) -> dict[Target, Any]:
    """[layer, unit] of every target, the FFN being a layer's last unit."""
    plan = store.snapshot.runs[RUN].plan
    made: Callable[[], Any] = lambda: np.zeros((plan.n_layers, plan.n_heads + 1))  # noqa: E731
    values: dict[Target, Any] = defaultdict(made)
    targets = rows(store, "targets")
    asked = [(r["prompt_id"], r["target"]) for r in targets]
    signs = {"logit": {"predicted": 1}, "difference": {"answer": 1, "distractor": -1}}
    if measure in signs:
        for row in rows(store, "logit_attribution"):
            if row["component"] in ("head", "ffn"):
                place = (
                    row["layer"],
                    row["index"] if row["component"] == "head" else -1,
                )
                sign = signs[measure].get(row["role"], 0)
                values[row["prompt_id"], row["target"]][place] += sign * row["value"]
        if measure == "difference":
            roles = defaultdict(set)
            for row in rows(store, "logit_attribution"):
                roles[row["prompt_id"], row["target"]].add(row["role"])
            asked = [at for at in asked if {"answer", "distractor"} <= roles[at]]
    else:
        for row in rows(store, "importance"):
            place = (row["layer"], row["index"] if row["component"] == "head" else -1)
            frequent = float(row["survives_at"] > tau)
            value = frequent if measure == "frequency" else row["contribution"]
            values[row["prompt_id"], row["target"]][place] = value
    return {at: values[at] for at in asked}


def group_by_hand(store: Store, by: str) -> Callable[[Target], str]:
    prompts = {row["prompt_id"]: row for row in rows(store, "prompts")}
    if by in ("dataset", "category"):
        return lambda at: prompts[at[0]][by] or ""
    if by:
        return lambda at: json.loads(prompts[at[0]]["metadata"]).get(by, "")
    return lambda at: ""


@pytest.mark.parametrize("by", ["", "dataset", "category", "relation"])
@pytest.mark.parametrize("measure", MEASURES)
def test_it_equals_averaging_by_hand(store: Store, measure: str, by: str) -> None:
    """Every measure of every component and group, from sums rolled up and from rows."""
    found = component_map(
        store, RUN, measure=measure, tau=0.02, by=by
    ).table.to_pylist()

    group = group_by_hand(store, by)
    of_group: dict[str, list[Target]] = defaultdict(list)
    values = values_by_hand(store, measure, 0.02)
    for at in values:
        of_group[group(at)].append(at)
    assert {row["facet"] for row in found} == set(of_group)
    for row in found:
        members = of_group[row["facet"]]
        assert row["n_targets"] == len(members)
        assert row["n_prompts"] == len({prompt for prompt, _ in members})
        place = (row["layer"], row["index"] if row["component"] == "head" else -1)
        mean = np.mean([values[at][place] for at in members])
        assert row["value"] == pytest.approx(mean, abs=1e-6)
    plan = store.snapshot.runs[RUN].plan
    assert len(found) == len(of_group) * plan.n_layers * (plan.n_heads + 1)
    assert len({row["value"] for row in found}) > 3


@pytest.mark.parametrize("measure", ["frequency", "contribution"])
def test_rows_and_sums_agree(
    store: Store, measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `component_stats` gives is what `importance` does, intervals too."""
    rolled_up = component_map(store, RUN, measure=measure, by="category").table
    monkeypatch.setattr(component_queries, "is_rolled_up", lambda *_: False)
    counted = component_map(store, RUN, measure=measure, by="category").table
    for one, other in zip(rolled_up.to_pylist(), counted.to_pylist(), strict=True):
        assert one == pytest.approx(other, abs=1e-7)


def test_intervals_hold_their_value_and_narrow(store: Store) -> None:
    """All prompts tell more than a category's; a share's ends stay within 0 to 1."""
    whole = component_map(store, RUN).table.to_pylist()
    parts = component_map(store, RUN, by="category").table.to_pylist()
    for row in whole + parts:
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    width = lambda some: np.mean([row["high"] - row["low"] for row in some])  # noqa: E731
    assert width(whole) < width(parts)


def test_targets_are_split_by_their_token(store: Store) -> None:
    """A target's class is that of the token it stands on."""
    found = component_map(store, RUN, by=TOKEN_CLASS).table.to_pylist()
    n = {row["facet"]: row["n_targets"] for row in found}
    tokens = {(r["prompt_id"], r["position"]): r for r in rows(store, "tokens")}
    at = [(row["prompt_id"], row["target"]) for row in rows(store, "targets")]
    said = [tokens[place]["token"].strip() for place in at]
    assert sum(n.values()) == len(at)
    assert n.get("punctuation", 0) == sum(token in ",." for token in said)
    pieces = [
        tokens[p, i]["word"] == tokens[p, i - 1]["word"]
        for (p, i), token in zip(at, said, strict=True)
        if token not in ",."
    ]
    assert n["later piece of a word"] == sum(pieces) > 0


def test_its_query_finds_it_again(store: Store) -> None:
    """With every value written out, whatever they are."""
    for by in ("", "relation", "it's"):
        found = component_map(store, RUN, measure="contribution", by=by)
        again = store.table(found.sql).to_pylist()
        for one, other in zip(again, found.table.to_pylist(), strict=True):
            assert one == pytest.approx(other, abs=1e-9)


def test_only_the_largest_groups_are_told(store: Store) -> None:
    """By prompts, the largest first."""
    found = component_map(store, RUN, by="category", most=2).table.to_pylist()
    sizes = list({row["facet"]: row["n_prompts"] for row in found}.values())
    everything = component_map(store, RUN, by="category").table.to_pylist()
    all_sizes = {row["facet"]: row["n_prompts"] for row in everything}.values()
    assert sizes == sorted(all_sizes, reverse=True)[:2]


def test_a_large_table_is_read_in_part(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About so many prompts as make the rows that are read at the most."""
    everything = (
        component_map(store, RUN, measure="logit").table["n_prompts"][0].as_py()
    )
    n_rows = len(rows(store, "logit_attribution"))
    monkeypatch.setattr(facets, "MOST_ROWS", n_rows // 2)
    part = component_map(store, RUN, measure="logit").table["n_prompts"][0].as_py()
    assert everything / 2 - 2 <= part <= everything / 2 + 2
    assert component_queries.share_of(store, RUN, measure="logit", by="") == 0.5
    assert component_queries.share_of(store, RUN, measure="frequency", by="") == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"measure": "mean"}, "no measure 'mean': choose of frequency, contribution"),
        ({"tau": 0.03}, "not counted at tau 0.03"),
    ],
)
def test_what_is_not_known_is_refused(
    store: Store, given: dict[str, Any], message: str
) -> None:
    """In one line that says what there is."""
    with pytest.raises(StoreError, match=message):
        component_map(store, RUN, **given)


def test_facets_are_what_splits(tmp_path: Path) -> None:
    """Columns and keys with several values, each said by several prompts."""
    metadata = [
        {"a/b~": i % 2, "same": "x", "other": f"{i}", "deep": {"er": i % 3}}
        for i in range(6)
    ]
    prompts = [
        prompt(i, category="ab"[i % 2], metadata=json.dumps(said))
        for i, said in enumerate(metadata)
    ]
    targets = [target(i) for i in range(6)]
    write(tmp_path, make_plan(), prompts=prompts, targets=targets)
    with open_store(tmp_path) as store:
        found = facets.facets(store, "tiny").to_pylist()
        assert {row["facet"]: row["n_values"] for row in found} == {
            "category": 2,
            "a/b~": 2,
            "deep": 3,
        }
        parts = component_map(store, "tiny", by="a/b~").table.to_pylist()
        assert {row["facet"]: row["n_prompts"] for row in parts} == {"0": 3, "1": 3}


def test_nothing_stored_is_no_rows(tmp_path: Path) -> None:
    """No target yet; no logit attribution: an empty answer, never zeros."""
    write(tmp_path, make_plan(), prompts=[prompt(0)])
    write(tmp_path / "b", make_plan(), prompts=[prompt(0)], targets=[target(0)])
    with open_store(tmp_path) as store:
        assert component_map(store, "tiny").table.num_rows == 0
    with open_store(tmp_path / "b") as store:
        assert component_map(store, "tiny").table.num_rows > 0
        assert component_map(store, "tiny", measure="logit").table.num_rows == 0
