"""The commands as a person types them: what they say, and how they refuse."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from flowglass.datasets.catalog import MODELS

from .command_line import flowglass, refused

ROOT = Path(__file__).parents[1]


def sweeping(store: Path, **options: object) -> list[str]:
    given = {"model": "tiny-gpt2", "data": "ioi", "store": store, "limit": 4} | options
    return ["sweep", *(f"--{name}={value}" for name, value in given.items())]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four prompts of two datasets."""
    folder = tmp_path_factory.mktemp("store")
    done = flowglass(*sweeping(folder), "--data=facts", "--targets=answer")
    assert done.returncode == 0, done.stderr
    assert "8 prompts" in done.stdout
    return folder


BROKEN = {
    "missing.jsonl": (None, r"no file .*missing\.jsonl"),
    "empty.jsonl": ("", r"empty\.jsonl holds no prompts"),
    "broken.jsonl": ('{"text": "a"}\n{"text": \n', r"broken\.jsonl:2: "),
    "other.jsonl": ('{"prompt": "a"}\n', r"other\.jsonl.*text.*prompt"),
    "other.csv": ("prompt,answer\na,b\n", r"other\.csv.*text.*prompt"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_prompt_files(tmp_path: Path, name: str) -> None:
    """A file that cannot be read is named, with the line where it breaks."""
    content, message = BROKEN[name]
    if content is not None:
        (tmp_path / name).write_text(content)
    line = refused(*sweeping(tmp_path / "s", data=tmp_path / name))
    assert re.search(message, line), line
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "facs"}, r"facs.*did you mean facts"),
        ({"model": "tiny-lama"}, r"tiny-lama.*did you mean tiny-llama"),
        ({"model": "./nowhere"}, r"folder '\./nowhere' does not exist"),
        ({"targets": "first"}, r"targets 'first'.*last, answer, all or a position"),
        ({"targets": "500"}, r"prompt 0 of ioi .*target 500 lies outside"),
        ({"cutoff": "2"}, r"cutoff 2\.0"),
        ({"dtype": "int7"}, r"dtype 'int7'"),
    ],
)
def test_impossible_options(
    tmp_path: Path, options: dict[str, str], message: str
) -> None:
    """Each is one line that says what would be right."""
    line = refused(*sweeping(tmp_path / "s", **options))
    assert re.search(message, line), line


def test_too_long_prompt_is_found_before_anything_runs(tmp_path: Path) -> None:
    """The prompt is named; --truncate makes it fit."""
    prompts = tmp_path / "long.jsonl"
    rows = [{"text": "The capital of France is"}, {"text": "so it was " * 100}]
    prompts.write_text("\n".join(map(json.dumps, rows)))
    line = refused(*sweeping(tmp_path / "s", data=prompts))
    assert re.search(r"prompt 1 of long .*--truncate", line), line
    assert not (tmp_path / "s").exists()
    done = flowglass(*sweeping(tmp_path / "s", data=prompts), "--truncate")
    assert done.returncode == 0, done.stderr


def test_store_that_is_a_file(tmp_path: Path) -> None:
    """A file is never overwritten by a store."""
    file = tmp_path / "file"
    file.write_text("mine")
    assert "is a file" in refused(*sweeping(file))
    assert file.read_text() == "mine"


def test_name_of_another_configuration(tmp_path: Path) -> None:
    """A run's name cannot be taken for another configuration; what differs is said."""
    assert flowglass(*sweeping(tmp_path, run="mine")).returncode == 0
    line = refused(*sweeping(tmp_path, run="mine", cutoff=0.02))
    assert re.search(r"mine.*cutoff", line), line


def damaged_model(folder: Path, damage: str) -> Path:
    """A copy of tiny-gpt2 without its tokenizer, or with a NaN or a missing weight."""
    shutil.copytree(MODELS["tiny-gpt2"], folder)
    if damage == "tokenizer":
        for file in folder.glob("token*"):
            file.unlink()
        return folder
    weights = load_file(folder / "model.safetensors")
    name = "transformer.h.2.mlp.c_fc.weight"
    if damage == "nan":
        weights[name][3, 4] = float("nan")
    else:
        del weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("tokenizer", r"no tokenizer"),
        ("nan", r"NaN or infinite weights in transformer\.h\.2\.mlp\.c_fc\.weight"),
        ("missing", r"lacks weights.*transformer\.h\.2\.mlp\.c_fc\.weight"),
    ],
)
def test_damaged_models(tmp_path: Path, damage: str, message: str) -> None:
    """Nothing runs with a model that would give wrong numbers."""
    model = damaged_model(tmp_path / "model", damage)
    line = refused(*sweeping(tmp_path / "s", model=model))
    assert re.search(message, line), line


def test_info_and_sql_answer(store: Path) -> None:
    """info names the run; sql gives rows in every format; nothing can be written."""
    assert "tiny-gpt2" in flowglass("info", store).stdout
    query = "select dataset, count(*) as n from prompts group by all order by all"
    assert "facts" in flowglass("sql", store, query).stdout
    as_csv = flowglass("sql", store, query, "--format=csv").stdout
    assert as_csv.split() == ["dataset,n", "facts,4", "ioi,4"]
    as_json = json.loads(flowglass("sql", store, query, "--format=json").stdout)
    assert as_json == [{"dataset": "facts", "n": 4}, {"dataset": "ioi", "n": 4}]
    assert "prompts" in refused("sql", store, "select * from promts")
    refused("sql", store, "with x as (copy (select 1) to 'f') select 1")


def test_help_lists_every_command() -> None:
    """`flowglass --help` has a line for each; each has help of its own."""
    text = flowglass("--help").stdout
    for command in ("sweep", "view", "sql", "info", "datasets"):
        assert command in text
        assert flowglass(command, "--help").returncode == 0


def test_query_in_the_documentation_runs(store: Path) -> None:
    """docs/active-heads.sql, which `make demo` shows, answers for every task."""
    query = (ROOT / "docs" / "active-heads.sql").read_text()
    text = flowglass("sql", store, query).stdout
    assert "facts" in text
    assert "%" in text


def test_readme_examples_run(store: Path) -> None:
    """The README's Python examples run as they stand."""
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(blocks) >= 2
    code = "\n".join(blocks).replace('"runs/"', repr(str(store)))
    exec(compile(code, "README.md", "exec"), {})


def test_program_starts_without_torch(store: Path) -> None:
    """`flowglass sql` is a program of its own and imports no torch."""
    program = Path(sys.executable).parent / "flowglass"
    done = subprocess.run(
        [program, "sql", store, "select 41 + 1 as answer", "--format=csv"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPROFILEIMPORTTIME": "1"},
        check=True,
    )
    assert done.stdout.split() == ["answer", "42"]
    assert "pyarrow" in done.stderr
    assert "torch" not in done.stderr
