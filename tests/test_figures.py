"""The README's figures: one command makes them, and their numbers are the store's."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from flowglass.datasets.catalog import BUILTIN, MODELS
from flowglass.pipeline import sweep
from flowglass.store import Store, open_store
from flowglass.store.cohorts import Cohort

ROOT = Path(__file__).parents[1]
MAKE = ROOT / "docs" / "figures" / "make.py"
IMAGES = ROOT / "docs" / "images"
README = (ROOT / "README.md").read_text()
SHOWN = dict(re.findall(r"!\[(.*?)\]\(docs/images/([\w.-]+\.svg)\)", README, re.S))
"""The README's figures by what is said of them where they cannot be seen."""

SOAK = bool(os.environ.get("FLOWGLASS_SOAK"))
TITLE = "{http://www.w3.org/2000/svg}title"
(TASKS,) = re.findall(r"^TASKS := (.*)$", (ROOT / "Makefile").read_text(), re.M)
ROUNDED = 1e-4
"""Figures hold four digits."""

Marks = dict[tuple[str, str], dict[str, str]]
"""Attributes of marks, by panel and name."""


def swept(folder: Path, data: list[str], limit: int) -> Path:
    """A store as `make demo` leaves it; what the figures do not show left out."""
    for model in MODELS:
        sweep(
            model=model,
            data=data,
            store=folder,
            limit=limit,
            targets="answer",
            project="none",
            neurons=0,
        )
    return folder


def made(store: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    """The command, run."""
    command = [sys.executable, str(MAKE), str(store), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve prompts of each dataset that the figures name, in both models."""
    folder = tmp_path_factory.mktemp("figures") / "runs"
    return swept(folder, ["addition", "translation", "facts"], limit=12)


@pytest.fixture(scope="module")
def store(path: Path) -> Iterator[Store]:
    with open_store(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def figures(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the command writes."""
    out = tmp_path_factory.mktemp("images")
    done = made(path, out)
    assert done.returncode == 0, done.stderr
    return out


def run_of(store: Store, model: str) -> str:
    query = "select run_id from runs where model = $model"
    ((run,),) = store.sql(query, {"model": model}).fetchall()
    return str(run)


def marks(picture: Path) -> Marks:
    """Every mark that shows a number."""
    root = ElementTree.parse(picture).getroot()
    panels = [g for g in root.iter() if "data-panel" in g.attrib]
    return {
        (panel.attrib["data-panel"], mark.attrib["data-name"]): mark.attrib
        for panel in panels
        for mark in panel
        if "data-name" in mark.attrib
    }


def numbers(of: Marks, part: str) -> dict[tuple[str, str], float]:
    """One number of every mark that has it."""
    return {key: float(m[part]) for key, m in of.items() if part in m}


def expected(rows: list[dict[str, Any]], panel: str, value: str) -> dict[Any, Any]:
    """The same of the store's rows, where there is a number."""
    return {
        (panel, f"{row['layer']} {row['component']} {row['index']}"): row[value]
        for row in rows
        if row[value] is not None
    }


def test_activation_is_how_often_components_are_in_routes(
    figures: Path, store: Store
) -> None:
    """Every head and FFN of both models, within an interval of its own."""
    found = marks(figures / "activation.svg")
    due: dict[Any, Any] = {}
    for model in MODELS:
        frequency = store.activation_frequency(run_of(store, model))
        due |= expected(frequency.to_pylist(), model, "share")
    assert numbers(found, "data-value") == pytest.approx(due, abs=ROUNDED)
    for mark in found.values():
        low, value, high = (
            float(mark[f"data-{end}"]) for end in ("low", "value", "high")
        )
        assert low <= value + ROUNDED
        assert value <= high + ROUNDED
        assert low < high


def test_shares_are_means_over_positions(figures: Path, store: Store) -> None:
    """What attention brings to the attention's state, and the FFN to the FFN's."""
    query = """
        select model, layer, step, avg(if(step = 'attn', attn, ffn)::double) as share
        from steps join runs using (run_id) group by all
    """
    due = {
        (model, f"{layer} {step}"): share
        for model, layer, step, share in store.sql(query).fetchall()
    }
    assert len(due) == 16
    found = numbers(marks(figures / "shares.svg"), "data-value")
    assert found == pytest.approx(due, abs=ROUNDED)


@pytest.mark.parametrize("dataset", ["addition", "translation"])
def test_datasets_are_compared(figures: Path, store: Store, dataset: str) -> None:
    """Differences and intervals of the heads; filled is what is different for sure."""
    panel, run = f"{dataset} against facts", run_of(store, "tiny-llama")
    compared = store.compare(
        Cohort(run, f"dataset = '{dataset}'"),
        Cohort(run, "dataset = 'facts'"),
        measure="frequency",
    )
    rows = [row for row in compared.to_pylist() if row["component"] == "head"]
    assert len(rows) == 16
    every = marks(figures / "datasets.svg")
    found = {key: mark for key, mark in every.items() if key[0] == panel}
    names = {"data-value": "difference", "data-low": "low", "data-high": "high"}
    for part, column in names.items():
        due = expected(rows, panel, column)
        assert len(due) == 16
        assert numbers(found, part) == pytest.approx(due, abs=ROUNDED)
    filled = {key for key, mark in found.items() if mark["fill"] == "var(--attn)"}
    assert filled == set(expected([r for r in rows if r["q"] < 0.05], panel, "q"))


def test_the_readme_says_how_to_get_the_numbers(figures: Path, store: Store) -> None:
    """Its lines of Python give the numbers of the last run's panels."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    (lines,) = (block for block in blocks if "layer_shares" in block)
    names: dict[str, Any] = {"store": store}
    exec(lines, names)
    for answer, name, panel, value in (
        (names["frequency"], "activation.svg", "tiny-llama", "share"),
        (names["difference"], "datasets.svg", "addition against facts", "difference"),
    ):
        due = expected(answer.to_pylist(), panel, value)
        found = numbers(marks(figures / name), "data-value")
        shown = {key: number for key, number in found.items() if key[0] == panel}
        assert len(shown) >= 16
        assert shown == pytest.approx({key: due[key] for key in shown}, abs=ROUNDED)
    found = numbers(marks(figures / "shares.svg"), "data-value")
    for row in names["shares"].to_pylist():
        if row["step"] == row["part"]:
            mark = "tiny-llama", f"{row['layer']} {row['step']}"
            assert found[mark] == pytest.approx(row["share"], abs=ROUNDED)


def test_figures_stand_alone(figures: Path) -> None:
    """The README shows all of them, in words too; they load nothing and run nothing."""
    assert {*SHOWN.values()} == {picture.name for picture in figures.iterdir()}
    for told, name in SHOWN.items():
        assert len(told) > 20
        for picture in (figures / name, IMAGES / name):
            text = picture.read_text()
            assert not re.search(r"<script|href|url\(|@import", text)
            assert ElementTree.fromstring(text).find(TITLE) is not None


def test_figures_of_the_readme_are_of_all_datasets() -> None:
    """200 prompts of each, of both models."""
    text = (IMAGES / "activation.svg").read_text()
    assert text.count(f"{200 * len(BUILTIN):,} prompts") == len(MODELS)


def test_what_the_readme_says_of_them() -> None:
    """Its sentences hold of the figures that it shows."""
    often = numbers(marks(IMAGES / "activation.svg"), "data-value")
    assert min(often[key] for key in often if " ffn " in key[1]) > 0.95
    heads = [often[key] for key in often if " head " in key[1]]
    assert min(heads) < 0.06
    assert max(heads) > 0.95
    brought = numbers(marks(IMAGES / "shares.svg"), "data-value")
    for model in MODELS:
        of = {name: share for (panel, name), share in brought.items() if panel == model}
        assert of["0 ffn"] > 0.9
        middle = [of[f"{layer} {step}"] for layer in (1, 2) for step in ("attn", "ffn")]
        assert max(middle) < 1 / 3 < of["3 ffn"]
    differ = numbers(marks(IMAGES / "datasets.svg"), "data-value")
    added, translated = (
        {key[1]: differ[key] for key in differ if key[0].startswith(dataset)}
        for dataset in ("addition", "translation")
    )
    largest = sorted(added, key=lambda name: -abs(added[name]))[:3]
    assert sorted(largest) == ["0 head 1", "2 head 2", "3 head 3"]
    assert max(map(abs, translated.values())) < 0.17
    words = (IMAGES / "datasets.svg").read_text()
    assert re.findall(r">(\d+) % → (\d+) %<", words) == [
        ("26", "88"),
        ("36", "93"),
        ("32", "97"),
    ]


@pytest.mark.skipif(not SOAK, reason="sweeps 1,800 prompts twice: `make soak`")
def test_figures_of_the_readme_are_up_to_date(tmp_path: Path) -> None:
    """A store as `make demo` leaves it gives the same numbers."""
    out = tmp_path / "images"
    done = made(swept(tmp_path / "runs", TASKS.split(), limit=200), out)
    assert done.returncode == 0, done.stderr
    for name in SHOWN.values():
        old, new = marks(IMAGES / name), marks(out / name)
        for part in ("data-value", "data-low", "data-high"):
            due = pytest.approx(numbers(new, part), abs=0.005)
            assert numbers(old, part) == due, "out of date: run `make docs`"


def test_another_store_has_no_such_figures(tmp_path: Path) -> None:
    """One line says what is missing, and no figure is written."""
    sweep(model="tiny-gpt2", data="facts", limit=2, store=tmp_path / "runs")
    done = made(tmp_path / "runs", tmp_path / "images")
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "no run of tiny-llama in this store; `make demo` makes one"
    )
    assert not (tmp_path / "images").exists()
