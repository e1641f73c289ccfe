"""The benchmarks run: on a tiny model here, for real with `make bench`."""

import runpy
from pathlib import Path

import pytest

from flowglass.pipeline.model import prepare

from .pipeline.tiny_models import tiny_gpt2

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_costs_by_stage_and_table() -> None:
    """Every stage that is timed exists, and every table is measured."""
    script = runpy.run_path(str(BENCHMARKS / "tables.py"))
    tiny = prepare(tiny_gpt2(), name="tiny")
    stages, sizes = script["costs"](tiny, n_prompts=2, length=16)
    named = set(stages.columns[0].cells)
    assert named == {
        *script["MADE_BY"].values(),
        *script["PROJECTIONS"].values(),
        "all",
    }
    assert {"edges", "lens", "writes", "tensors"} <= set(sizes.columns[0].cells)


def test_sweep_over_plain_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    """One ratio, with its rate."""
    script = runpy.run_path(str(BENCHMARKS / "sweep.py"))
    monkeypatch.setitem(script["measure"].__globals__, "PAIRS", 1)
    ratio, rate = script["measure"](prepare(tiny_gpt2(), name="tiny"), 16)
    assert ratio > 0
    assert rate > 0
