"""The helpers where a real run does not go: two cutoffs, no category, gaps, no answer.

Expected numbers are worked out by hand.
"""

from pathlib import Path

import pytest

from flowglass.store import StoreError, open_store

from .builders import important, make_plan, prompt, target
from .hand_made import found, write


def two_cutoffs(root: Path) -> None:
    """Run `fine` follows routes down to 0.01, run `coarse` only to 0.05.

    Prompt 0 has no category, prompts 1 and 2 have `x`; each has one target, and head
    0.1 is in the routes of prompts 0 and 1, up to 0.25 and 0.04.
    """
    for run_id, cutoff in (("fine", 0.01), ("coarse", 0.05)):
        write(
            root,
            make_plan(run_id, n_shards=1, cutoff=cutoff),
            prompts=[prompt(0), prompt(1, category="x"), prompt(2, category="x")],
            targets=[target(0), target(1), target(2)],
            importance=[important(0, 0, 1), important(1, 0, 1, survives_at=0.04)],
        )


def test_a_component_in_no_route_counts_with_zero(tmp_path: Path) -> None:
    """Two layers of three heads and an FFN are eight rows, seven of them 0."""
    two_cutoffs(tmp_path)
    rows = found(
        tmp_path,
        "select layer, component, index, n_targets, n_in_route, frequency "
        "from activation_frequency(0.03) where run_id = 'fine' order by all",
    )
    assert rows.pop(2) == (0, "head", 1, 3, 2, pytest.approx(2 / 3))
    assert len(rows) == 7
    assert {row[3:] for row in rows} == {(3, 0, 0.0)}


@pytest.mark.parametrize("by", ["", "_by_category"])
def test_a_route_at_tau_is_strictly_above_it(tmp_path: Path, by: str) -> None:
    """At 0.04 the head that survives up to 0.04, as FLOAT on disk, is out."""
    two_cutoffs(tmp_path)
    query = (
        f"select sum(n_in_route)::INTEGER from activation_frequency{by}({{}}) "
        "where run_id = 'fine' and layer = 0 and index = 1"
    )
    assert found(tmp_path, query.format(0.039)) == [(2,)]
    assert found(tmp_path, query.format("0.04::FLOAT")) == [(1,)]


def test_no_category_is_a_category_of_its_own(tmp_path: Path) -> None:
    """Null is matched with null, not dropped or shown as 0."""
    two_cutoffs(tmp_path)
    for source in (
        "select category, n_targets, frequency from "
        "activation_frequency_by_category(0.02)",
        "select category, n_targets, frequency_002 from importance_by_category",
    ):
        query = f"{source} where run_id = 'fine' and layer = 0 and index = 1"
        assert set(found(tmp_path, query)) == {(None, 1, 1.0), ("x", 2, 0.5)}


@pytest.mark.parametrize(
    "source",
    [
        "select n_in_route, frequency from activation_frequency(0.04)",
        "select n_in_route, frequency from activation_frequency_by_category(0.04)",
        "select frequency_001, frequency_004 from importance_by_category",
    ],
)
def test_a_tau_below_the_cutoff_has_no_number(tmp_path: Path, source: str) -> None:
    """Null for the run that did not follow routes so far, numbers for the other."""
    two_cutoffs(tmp_path)
    coarse = found(tmp_path, f"{source} where run_id = 'coarse'")
    assert set(coarse) == {(None, None)}
    fine = found(tmp_path, f"{source} where run_id = 'fine'")
    assert None not in {value for row in fine for value in row}


def routed(root: Path) -> None:
    """The same edge in the routes of a run with cutoff 0.01 and of one with 0.05."""
    token = {"token_id": 1, "top_token_id": 1, "top_token": "a", "top_prob": 0.5}
    edge = {"layer": 0, "step": "attn", "kind": "attn", "head": 1, "query": 2, "key": 0}
    for run_id, cutoff in (("fine", 0.01), ("coarse", 0.05)):
        write(
            root,
            make_plan(run_id, n_shards=1, cutoff=cutoff),
            prompts=[prompt(0)],
            targets=[target(0)],
            tokens=[
                {"prompt_id": 0, "position": i, "token": text, "entropy": 1.0}
                | {"is_special": i == 0, **token}
                for i, text in enumerate(["<s>", " Mary", " had"])
            ],
            routes=[
                {"prompt_id": 0, "target": 2, **edge}
                | {"contribution": 0.25, "survives_at": 0.25}
            ],
        )


def test_the_tokens_of_a_route(tmp_path: Path) -> None:
    """The text of both ends, and that the source is the start token."""
    routed(tmp_path)
    query = (
        "select run_id, query_token, key_token, query_is_special, key_is_special "
        "from route_tokens(0.2) order by run_id"
    )
    assert found(tmp_path, query) == [
        ("coarse", " had", "<s>", False, True),
        ("fine", " had", "<s>", False, True),
    ]


def test_a_route_below_the_cutoff_is_refused(tmp_path: Path) -> None:
    """The run and its cutoff are named; naming the other run is a way out."""
    routed(tmp_path)
    said = r"tau 0\.02 is below the cutoff 0\.05 of run coarse"
    with open_store(tmp_path) as store, pytest.raises(StoreError, match=said):
        store.table("from route_tokens(0.02)")
    query = "select count(*) from route_tokens(0.02) where run_id = 'fine'"
    assert found(tmp_path, query) == [(1,)]
    assert found(tmp_path, "select count(*) from route_tokens(0.05)") == [(2,)]


def test_source_positions_of_a_head(tmp_path: Path) -> None:
    """A quarter from two before, three quarters from the position itself."""
    edge = {"prompt_id": 0, "layer": 0, "step": "attn", "attention": 0.5}
    attn = edge | {"kind": "attn", "head": 1}
    write(
        tmp_path,
        make_plan(n_shards=1),
        prompts=[prompt(0)],
        edges=[
            attn | {"query": 2, "key": 0, "contribution": 0.25},
            attn | {"query": 2, "key": 2, "contribution": 0.25},
            attn | {"query": 1, "key": 1, "contribution": 0.5},
            attn | {"query": 1, "key": 0, "contribution": 0.125, "head": 2},
            edge | {"kind": "resid", "query": 2, "key": 2, "contribution": 0.5},
        ],
    )
    query = "from source_positions select * exclude (run_id) order by all"
    assert found(tmp_path, query) == [
        (0, 1, -2, 1, 0.25, 0.25, 0.5),
        (0, 1, 0, 2, 0.75, 0.75, 0.5),
        (0, 2, -1, 1, 0.125, 1.0, 0.5),
    ]
