"""Roles of heads in the bundled models: the known story of induction."""

from collections.abc import Iterator

import pytest

from flowglass.store import Store, open_store

INDUCTION_HEADS = {"tiny-gpt2": [(3, 2), (3, 0)], "tiny-llama": [(3, 3), (3, 2)]}
"""The heads that lead to the answer: tests/pipeline/test_story.py."""


@pytest.fixture(scope="module", params=sorted(INDUCTION_HEADS))
def swept(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """A bundled model over the prompts in which a passage comes twice."""
    from flowglass.pipeline import sweep

    root = tmp_path_factory.mktemp("story")
    sweep(
        model=request.param,
        data="induction",
        store=root,
        run=request.param,
        limit=60,
        targets="answer",
        project="none",
        neurons=0,
    )
    with open_store(root) as store:
        yield store


def playing(store: Store, role: str) -> list[tuple[int, int]]:
    """The heads that surely play a role, the best first."""
    (run_id,) = store.runs()["run_id"].to_pylist()
    return [
        (row["layer"], row["head"])
        for row in store.roles(run_id).to_pylist()
        if row["role"] == role and (row["low"] or 0) > 0
    ]


def test_induction_heads_lead_in_induction(swept: Store) -> None:
    """The two heads that write the answer are the two with the highest score."""
    (run_id,) = swept.runs()["run_id"].to_pylist()
    assert playing(swept, "induction")[:2] == INDUCTION_HEADS[run_id]


FEEDERS = """
    WITH read AS (
        SELECT DISTINCT r.prompt_id, r.target, r.key FROM routes r
        JOIN tokens q ON q.prompt_id = r.prompt_id AND q.position = r.query
        JOIN tokens b ON b.prompt_id = r.prompt_id AND b.position = r.key - 1
        WHERE r.kind = 'attn' AND r.survives_at > 0.04 AND b.token_id = q.token_id
          AND r.layer = $layer AND list_contains($heads, r.head)
    )
    SELECT f.layer, f.head, sum(f.contribution) AS brought
    FROM read JOIN routes f USING (prompt_id, target)
    WHERE f.kind = 'attn' AND f.survives_at > 0.04
      AND f.query = read.key AND f.key = read.key - 1
    GROUP BY f.layer, f.head
"""


def test_previous_token_heads_feed_them(swept: Store) -> None:
    """What induction heads read was told by earlier layers which token stood before it.

    The three heads that lead in the previous role all lie below, and bring more than a
    third of what routes of the answer carry there from the token before (tiny-gpt2 48%,
    tiny-llama 43%; most of all bring tiny-gpt2's 0.3, which reads from everywhere, and
    tiny-llama's 2.0, the fifth in the role).
    """
    (run_id,) = swept.runs()["run_id"].to_pylist()
    induction = INDUCTION_HEADS[run_id]
    (layer,) = {layer for layer, _ in induction}
    values = {"layer": layer, "heads": [head for _, head in induction]}
    brought = {
        (row["layer"], row["head"]): row["brought"]
        for row in swept.table(FEEDERS, values).to_pylist()
    }
    leading = playing(swept, "previous")[:3]
    assert max(layer for layer, _ in leading) < layer
    share = sum(brought[head] for head in leading) / sum(brought.values())
    assert share > 1 / 3
