"""A shard of the bundled model, to be done in this process, and ways to disturb it."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flowglass.datasets.tasks import sample
from flowglass.pipeline import run_shard
from flowglass.pipeline.batch import make_batches
from flowglass.pipeline.corpus import Tokeniser
from flowglass.pipeline.model import LoadedModel
from flowglass.pipeline.prompts import TokenisedPrompt
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.shard_worker import ModelRequest, tokeniser_of
from flowglass.store.files import LocalFiles
from flowglass.store.suspects import Trail

REQUEST = ModelRequest(model="tiny-llama")
SETTINGS = Settings(neurons=0, project="none", batch_tokens=128)
PROMPTS = [
    (prompt_id, "mixed", prompt)
    for prompt_id, prompt in enumerate(
        [*sample("ioi", "held-out", 8), *sample("facts", "held-out", 8)]
    )
]
FOLDER = "runs/run_id=mine"

Rows = dict[str, pa.Table]


@cache
def loaded() -> LoadedModel:
    return REQUEST.load()


@cache
def tokeniser() -> Tokeniser:
    return tokeniser_of(REQUEST, SETTINGS, loaded().anatomy.context)


@cache
def batches() -> list[list[TokenisedPrompt]]:
    """The batches that an undisturbed shard is run in: of 1, 2, 5, 5, 2 and 1."""
    return make_batches(tokeniser()(PROMPTS), SETTINGS.batch_tokens)


def ids_of(batch: Iterable[TokenisedPrompt]) -> set[int]:
    return {prompt.prompt_id for prompt in batch}


def died(folder: Path, *notes: Iterable[int]) -> None:
    """Leave what these attempts noted last, behind a first one that noted nothing."""
    Trail(LocalFiles(folder), FOLDER, 0)
    for note in notes:
        Trail(LocalFiles(folder), FOLDER, 0).note(note)


class Disturbed:
    """`analyse` with something before it; knows what it was asked for."""

    def __init__(self, before: Callable[[Sequence[TokenisedPrompt]], None]) -> None:
        self._analyse, self._before = run_shard.analyse, before
        self.asked: list[set[int]] = []

    def __call__(
        self, model: LoadedModel, prompts: Sequence[TokenisedPrompt], *more: Any
    ) -> Rows:
        self.asked.append(ids_of(prompts))
        self._before(prompts)
        return self._analyse(model, prompts, *more)


def disturb(
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[Sequence[TokenisedPrompt]], None] = lambda prompts: None,
) -> Disturbed:
    """Let this be called with every batch, before it is run."""
    disturbed = Disturbed(before)
    monkeypatch.setattr(run_shard, "analyse", disturbed)
    return disturbed


def quick_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sweeps of this model share the one that is loaded."""

    there = loaded()

    def load(request: ModelRequest) -> LoadedModel:
        assert request.model == REQUEST.model
        return there

    monkeypatch.setattr(ModelRequest, "load", load)
