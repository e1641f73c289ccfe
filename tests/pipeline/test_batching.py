"""What else is in the batch changes nothing."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowglass.datasets.catalog import MODELS
from flowglass.datasets.tasks import sample
from flowglass.pipeline.analyse import analyse
from flowglass.pipeline.batch import make_batches
from flowglass.pipeline.loading import load_tokenizer
from flowglass.pipeline.model import load_model
from flowglass.pipeline.prompts import TokenisedPrompt, tokenise
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.text import TokenText

FULL = Settings(precision="full", cutoff=0.001, targets="answer")
LOADED = {name: load_model(name) for name in MODELS}


def prompts_for(name: str) -> tuple[list[TokenisedPrompt], TokenText]:
    tokenizer = load_tokenizer(name)
    drawn = [
        p for task in ("ioi", "facts", "sentences") for p in sample(task, "held-out", 3)
    ]
    numbered = [(i, "mixed", p) for i, p in enumerate(drawn)]
    spell = TokenText(tokenizer)
    return tokenise(numbered, tokenizer, spell, FULL, context=128), spell


PROMPTS = {name: prompts_for(name) for name in MODELS}
KEYS = {
    "edges": ["layer", "step", "kind", "head", "query", "key"],
    "steps": ["layer", "step", "query"],
    "heads": ["layer", "head"],
    "routes": ["target", "layer", "step", "kind", "head", "query", "key"],
    "tokens": ["position"],
    "targets": ["target"],
}


def measures(table: pa.Table, name: str, prompt_id: int) -> dict[Any, dict[str, Any]]:
    rows = [row for row in table.to_pylist() if row["prompt_id"] == prompt_id]
    return {
        tuple(row[k] for k in KEYS[name]): {
            k: v for k, v in row.items() if isinstance(v, float)
        }
        for row in rows
    }


@pytest.fixture(scope="module", params=sorted(MODELS))
def alone(request: pytest.FixtureRequest) -> tuple[str, list[dict[str, pa.Table]]]:
    """Every prompt run by itself."""
    name = request.param
    some, spell = PROMPTS[name]
    return name, [analyse(LOADED[name], [p], FULL, spell) for p in some]


@given(order=st.permutations(range(9)), size=st.integers(2, 9))
@settings(deadline=None, max_examples=4)
def test_a_batch_gives_what_each_prompt_gives_alone(
    alone: tuple[str, list[dict[str, pa.Table]]], order: list[int], size: int
) -> None:
    """In any order, with any neighbours and padding: the same rows within 1e-5."""
    name, singles = alone
    some, spell = PROMPTS[name]
    chosen = order[:size]
    together = analyse(LOADED[name], [some[i] for i in chosen], FULL, spell)
    for table in KEYS:
        for i in chosen:
            expected = measures(singles[i][table], table, i)
            found = measures(together[table], table, i)
            for key in expected.keys() | found.keys():
                due, got = expected.get(key), found.get(key)
                if due is None or got is None:  # right at the cutoff
                    value = (due or got or {})["contribution"]
                    survives = (due or got or {}).get("survives_at", value)
                    assert min(value, survives) == pytest.approx(0.001, abs=1e-5)
                else:
                    assert got == pytest.approx(due, abs=1e-5)


def test_batches_keep_every_prompt_once_and_waste_little() -> None:
    """Similar lengths together; no batch exceeds its tokens unless one prompt does."""
    some, _ = PROMPTS["tiny-gpt2"]
    batches = make_batches(some, 60)
    assert sorted(p.prompt_id for batch in batches for p in batch) == list(range(9))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(map(len, batch)) <= 60
