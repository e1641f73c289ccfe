"""The benchmarks run: on a tiny model here, for real with `make bench`."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from flowglass.pipeline.model import prepare

from .pipeline.tiny_models import tiny_gpt2

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A benchmark's names, as if it were run from its folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: runpy.run_path(str(BENCHMARKS / name))


def test_rows_and_bytes_by_table(script: Any) -> None:
    """Every table is measured."""
    names = script("tables.py")
    report = names["sizes"](prepare(tiny_gpt2(), name="tiny"), tokens=32, length=16)
    assert {"edges", "lens", "writes", "tensors"} <= set(report.columns[0].cells)


@pytest.mark.parametrize("project", ["none", "routes"])
def test_sweep_over_plain_forward(script: Any, project: str) -> None:
    """Ratio, rate, sizes and memory; the stages add up to the whole."""
    names = script("sweep.py")
    tiny = prepare(tiny_gpt2(), name="tiny")

    found = names["measure"](tiny, length=16, project=project, pairs=1)

    assert set(found.stages) == set(names["stage_names"]())
    assert all(share > 0 for share in found.stages.values())
    assert sum(found.stages.values()) == pytest.approx(found.ratio)
    assert found.tokens_per_second > 0
    assert found.bytes_per_token > 0
    assert found.edges_per_token > 0
    assert len(names["row"]("tiny", found)) == len(names["report"]().columns)


def test_every_case_has_a_name_of_its_own(script: Any) -> None:
    """What `make bench` measures can be chosen by name."""
    names = [name for name, _ in script("sweep.py")["cases"]()]
    assert len(set(names)) == len(names) > 10
