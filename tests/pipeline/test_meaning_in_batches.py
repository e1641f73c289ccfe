"""What components say does not depend on what else is in the batch."""

from typing import Any

import pyarrow as pa
import pytest

from flowglass.datasets.catalog import MODELS
from flowglass.datasets.tasks import sample
from flowglass.pipeline.analyse import analyse
from flowglass.pipeline.loading import load_tokenizer
from flowglass.pipeline.model import load_model
from flowglass.pipeline.prompts import TokenisedPrompt, tokenise
from flowglass.pipeline.settings import Project, Settings
from flowglass.pipeline.text import TokenText

from .top_lists import where

KEYS = {
    "lens": ["layer", "state", "position", "rank"],
    "writes": ["layer", "component", "index", "position", "sign", "rank"],
    "neurons": ["layer", "position", "rank"],
    "logit_attribution": ["target", "role", "layer", "component", "index"],
}


def of_prompt(table: pa.Table, name: str, prompt_id: int) -> dict[Any, dict[str, Any]]:
    """A prompt's rows by their key."""
    return {
        tuple(row[key] for key in KEYS[name]): row
        for row in where(table, prompt_id=prompt_id).to_pylist()
    }


def near(row: dict[str, Any]) -> dict[str, Any]:
    """The row with every measure as good as equal to those within 1e-4."""
    return {
        column: pytest.approx(value, rel=1e-4, abs=1e-4)
        if isinstance(value, float)
        else value
        for column, value in row.items()
    }


def drawn(name: str, settings: Settings) -> tuple[list[TokenisedPrompt], TokenText]:
    """Six prompts of different lengths, with one to four targets each."""
    some = [p for task in ("facts", "ioi") for p in sample(task, "held-out", 3)]
    tokenizer = load_tokenizer(name)
    numbered = [(10 * i, "mixed", prompt) for i, prompt in enumerate(some)]
    token_text = TokenText(tokenizer)
    return tokenise(numbered, tokenizer, token_text, settings, context=128), token_text


@pytest.mark.parametrize("project", ["all", "routes"])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_batch_says_what_each_prompt_says_alone(name: str, project: Project) -> None:
    """The same rows with any neighbours and any padding, within 1e-4."""
    settings = Settings(
        project=project, targets="answer", precision="full", neurons=3, top_tokens=3
    )
    model = load_model(name)
    prompts, token_text = drawn(name, settings)
    assert len({len(prompt) for prompt in prompts}) > 2

    together = analyse(model, prompts, settings, token_text)

    for prompt in prompts:
        alone = analyse(model, [prompt], settings, token_text)
        for table in KEYS:
            found, due = (
                of_prompt(tables[table], table, prompt.prompt_id)
                for tables in (together, alone)
            )
            assert found.keys() == due.keys()
            for at, row in due.items():
                assert near(row) == found[at], at
