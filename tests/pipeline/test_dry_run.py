"""What a dry run of a sweep file says, of all its runs and of the time for each."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flowglass.pipeline import dry_run
from flowglass.pipeline.dry_run import say_costs_of_file
from flowglass.pipeline.forecast import Forecast
from flowglass.pipeline.job import Job
from flowglass.pipeline.sweep_file import SweepFile, read_sweep_file

from .shards import quick_model

SECONDS = {0.01: 600.0, 0.02: 9000.0}
"""What a run takes, by its cutoff."""
PLAN = """
store = "runs"
data = "ioi"
limit = 3
budget = "9s"
[[sweep]]
model = ["./nowhere", "tiny-llama"]
[[sweep]]
model = "tiny-llama"
cutoff = 0.02
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFile:
    """A file of three runs, the first one of a model that is not there."""

    def forecast(job: Job, engine: Any) -> Forecast:
        return Forecast(
            n_prompts=len(job.corpus),
            n_tokens=90,
            seconds=SECONDS[job.settings.cutoff],
            neuron_vocab_seconds=0.0,
            peak_memory=0,
            table_bytes={},
            sampled_tokens=9,
        )

    quick_model(monkeypatch)
    monkeypatch.setattr(dry_run, "forecast", forecast)
    (tmp_path / "plan.toml").write_text(PLAN)
    return read_sweep_file(tmp_path / "plan.toml")


def said_of(
    asked: SweepFile, budget: str, capsys: pytest.CaptureFixture[str]
) -> tuple[bool, str]:
    all_can = say_costs_of_file(asked, budget, Console())
    return all_can, capsys.readouterr().out


def test_every_run_is_measured_though_one_cannot_be_done(
    asked: SweepFile, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says why, and the time of all others together."""
    all_can, said = said_of(asked, "9h", capsys)
    assert not all_can
    assert "1 of 3: ./nowhere on ioi" in said
    assert "cannot be done: model folder './nowhere' does not exist" in said
    assert "3 of 3: tiny-llama on ioi" in said
    assert "all 3 runs: 2.7 h; 1 of them cannot be done" in said


def test_each_run_has_its_part_of_the_budget(
    asked: SweepFile, capsys: pytest.CaptureFixture[str]
) -> None:
    """What one does not need is for those behind it. What is given counts, and not
    what the file says."""
    _, said = said_of(asked, "3h", capsys)
    assert "fits into 1.5 h" in said
    assert "fits into 2.8 h" in said
    _, said = said_of(asked, "1h", capsys)
    assert "fits into 30.0 m" in said
    assert "too long for 50.0 m" in said
