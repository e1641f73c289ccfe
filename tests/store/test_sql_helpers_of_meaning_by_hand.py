"""Lens, accuracy and attribution where a real run does not go.

Expected numbers are worked out by hand.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowglass.store import open_store
from flowglass.store.run import RunWriter

from .builders import make_plan, prompt, target
from .hand_made import found, write


def lens(layer: int, state: str, token_id: int, **other: Any) -> dict[str, Any]:
    row = {"prompt_id": 0, "position": 2, "rank": 0, "token": "a", "logit": 1.0}
    return (
        row
        | {"layer": layer, "state": state, "token_id": token_id}
        | {
            "prob": 0.5,
            **other,
        }
    )


TRAJECTORY = (
    "select depth, layer, state, rank from lens_trajectory "
    "where role = 'predicted' order by depth"
)


def test_a_rank_is_recalled_from_the_next_state_only(tmp_path: Path) -> None:
    """What layer 1 says of the state before it is not said of layer 0's mid."""
    write(
        tmp_path,
        make_plan(n_shards=1),
        prompts=[prompt(0)],
        targets=[target(0)],  # predicts token 7
        lens=[
            lens(-1, "embed", 3),
            lens(0, "mid", 3, rank_before=0),
            lens(1, "mid", 7, rank_before=44),  # the state before is not stored
            lens(1, "post", 7, rank_before=0),
        ],
    )
    assert found(tmp_path, TRAJECTORY) == [
        (0, -1, "embed", None),
        (1, 0, "mid", None),
        (3, 1, "mid", 0),
        (4, 1, "post", 0),
    ]


def test_parallel_blocks_have_one_state_a_layer(tmp_path: Path) -> None:
    """So the state before a layer's is the post of the layer below."""
    write(
        tmp_path,
        replace(make_plan(n_shards=1), block_kind="parallel"),
        prompts=[prompt(0)],
        targets=[target(0)],
        lens=[
            lens(-1, "embed", 3),
            lens(0, "post", 3, rank_before=0),
            lens(1, "post", 7, rank_before=44),
        ],
    )
    assert found(tmp_path, TRAJECTORY) == [
        (0, -1, "embed", None),
        (1, 0, "post", 44),
        (2, 1, "post", 0),
    ]


def answered(prompt_id: int, position: int, rank: int, **other: Any) -> dict[str, Any]:
    return target(prompt_id, position) | {
        "answer_token_id": 5,
        "answer_rank": rank,
        "answer_prob": 0.5,
        "correct": rank == 0,
        **other,
    }


def test_accuracy_by_target_and_by_prompt(tmp_path: Path) -> None:
    """A prompt is right if all its answer tokens are; without answer it is left out."""
    write(
        tmp_path,
        make_plan(n_shards=1),
        prompts=[prompt(0), prompt(1), prompt(2, category="x")],
        targets=[
            answered(0, 1, 0, distractor_prob=0.75),
            answered(0, 2, 4),
            answered(1, 2, 0, distractor_prob=0.25),
            target(2),
        ],
    )
    query = "from accuracy select * exclude (run_id, dataset)"
    due = (None, 2, 3, pytest.approx(2 / 3), 0.5, 0.5, pytest.approx(4 / 3), 0.5)
    assert found(tmp_path, query) == [due]


def test_accuracy_without_distractors(tmp_path: Path) -> None:
    """Nothing was preferred to nothing: null."""
    write(
        tmp_path,
        make_plan(n_shards=1),
        prompts=[prompt(0)],
        targets=[answered(0, 2, 0)],
    )
    assert found(tmp_path, "select prefers_answer from accuracy") == [(None,)]


def attributed(prompt_id: int, role: str, value: float) -> Mapping[str, Any]:
    row = {"prompt_id": prompt_id, "target": 2, "role": role, "token_id": 5}
    return row | {"layer": 0, "component": "head", "index": 1, "value": value}


def test_the_difference_is_over_targets_that_have_both(tmp_path: Path) -> None:
    """An answer without a distractor is in the mean answer, not in the difference."""
    write(
        tmp_path,
        make_plan(n_shards=1),
        prompts=[prompt(0), prompt(1)],
        targets=[answered(0, 2, 0, distractor_token_id=6), answered(1, 2, 0)],
        logit_attribution=[
            attributed(0, "predicted", 1.0),
            attributed(0, "answer", 1.0),
            attributed(0, "distractor", -2.0),
            attributed(1, "predicted", 3.0),
            attributed(1, "answer", 3.0),
        ],
    )
    query = (
        "select n_targets, predicted, answer, distractor, n_pairs, "
        "answer_over_distractor from attribution_by_category"
    )
    assert found(tmp_path, query) == [(2, 2.0, 2.0, -2.0, 1, 3.0)]


def test_helpers_of_an_empty_store_have_no_rows(tmp_path: Path) -> None:
    """A run that has committed nothing is no error."""
    RunWriter(tmp_path, make_plan())
    with open_store(tmp_path) as store:
        for call in ("activation_frequency()", "accuracy", "lens_trajectory"):
            assert store.sql(f"from {call}").fetchall() == []
