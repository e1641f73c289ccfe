"""What tests of a real store share: two small runs of the bundled models."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store that docs/sql.md tells its reader to make, of six prompts a task."""
    from flowglass.pipeline import sweep

    store = tmp_path_factory.mktemp("real") / "runs"
    for model, run in (("tiny-gpt2", "gpt2"), ("tiny-llama", "llama")):
        sweep(
            model=model,
            data=["ioi", "facts", "induction"],
            store=store,
            run=run,
            limit=6,
            targets="answer",
        )
    return store
