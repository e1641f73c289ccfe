"""Sources by name, and the files that come with flowglass."""

import doctest
import json
from hashlib import sha256
from pathlib import Path

import pytest

from flowglass.datasets import catalog, hub, prompt, record
from flowglass.datasets.build import builtin_file
from flowglass.datasets.catalog import BUILTIN, FOLDER, MODELS, builtin_prompts, load
from flowglass.datasets.errors import DatasetError
from flowglass.datasets.prompt import Prompt
from flowglass.datasets.tasks import sample


@pytest.mark.parametrize("task", BUILTIN)
def test_the_builtin_file_is_what_its_task_generates(task: str) -> None:
    """Written again, the file would be the same, byte for byte."""
    path = FOLDER / "builtin" / f"{task}.jsonl"

    assert path.read_bytes() == builtin_file(task).encode()


@pytest.mark.parametrize("task", BUILTIN)
def test_builtin_prompts_are_the_tasks_held_out_ones(task: str) -> None:
    """Reading the file gives back 500 generated prompts, metadata and all."""
    assert builtin_prompts(task) == sample(task, "held-out", 500)


def test_a_builtin_dataset_loads_by_name() -> None:
    """The name is the dataset's; a limit takes the first prompts."""
    dataset = load("ioi", limit=3)

    assert dataset.name == "ioi"
    assert dataset.prompts == builtin_prompts("ioi")[:3]


def test_a_file_is_called_by_its_stem(tmp_path: Path) -> None:
    """A path loads, as text or as a Path; its extension is not in the name."""
    path = tmp_path / "my prompts.v2.txt"
    path.write_text("a\nb\n")

    assert load(path).name == load(str(path)).name == "my prompts.v2"
    assert load(path, limit=1).prompts == [Prompt("a")]


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    """Another file name or format changes nothing; the name is not in it."""
    (tmp_path / "one.txt").write_text("a\nb\n")
    (tmp_path / "two.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')

    one, two = load(tmp_path / "one.txt"), load(tmp_path / "two.jsonl")

    assert one.digest == two.digest


@pytest.mark.parametrize(
    "other",
    [
        '{"text": "b", "category": "c", "answer": "d", "distractor": "e", "n": 1}',
        '{"text": "a", "category": "x", "answer": "d", "distractor": "e", "n": 1}',
        '{"text": "a", "category": "c", "answer": "x", "distractor": "e", "n": 1}',
        '{"text": "a", "category": "c", "answer": "d", "distractor": "x", "n": 1}',
        '{"text": "a", "category": "c", "answer": "d", "distractor": "e", "n": "1"}',
    ],
)
def test_the_digest_tells_prompts_apart(tmp_path: Path, other: str) -> None:
    """Every field is in it."""
    mine, yours = tmp_path / "mine.jsonl", tmp_path / "yours.jsonl"
    mine.write_text(
        '{"text": "a", "category": "c", "answer": "d", "distractor": "e", "n": 1}'
    )
    yours.write_text(other)

    assert load(mine).digest != load(yours).digest


def test_the_digest_is_the_canonical_jsons() -> None:
    """However many prompts are encoded at once, it is the hash of one JSON array."""
    prompts = [Prompt(f"é{i}", "c", None, "d", {"z": i, "a": []}) for i in range(7)]
    rows = [[p.text, "c", None, "d", dict(p.metadata)] for p in prompts]
    text = json.dumps(rows, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    due = sha256(text.encode()).hexdigest()

    assert {catalog.digest_of(prompts, at_once=n) for n in (1, 3, 7, 8)} == {due}


def test_the_digest_of_a_known_file_stays(tmp_path: Path) -> None:
    """A run's identity must not change with a release."""
    (tmp_path / "mine.txt").write_text("The capital of France is\n")

    due = sha256(b'[["The capital of France is",null,null,null,{}]]').hexdigest()

    assert load(tmp_path / "mine.txt").digest == due


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("greater-than", "did you mean greater_than?"),
        ("colours", "did you mean colors?"),
        ("xyzzy", "A source is a built-in name"),
        ("The capital of France is " * 40, "A source is a built-in name"),
    ],
)
def test_an_unknown_name_gets_near_ones(source: str, hint: str) -> None:
    """The message offers the nearest names and says what a source may be."""
    with pytest.raises(DatasetError) as caught:
        load(source)

    message = str(caught.value)
    assert f'"{source}"' in message
    assert hint in message
    assert all(form in message for form in ("ioi", ".parquet", "hf:name"))
    assert "\n" not in message


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_is_at_least_one(limit: int) -> None:
    """Nothing is no corpus."""
    with pytest.raises(DatasetError, match=f"1 or more, not {limit}"):
        load("ioi", limit=limit)


def test_bundled_models_lie_in_datasets_models() -> None:
    """Each has a folder of its name."""
    assert set(MODELS) == {"tiny-gpt2", "tiny-llama"}
    for name, folder in MODELS.items():
        assert folder == FOLDER / "models" / name


@pytest.mark.parametrize("module", [catalog, hub, prompt, record])
def test_the_examples_in_docstrings_hold(module: object) -> None:
    """They run, and there are some."""
    found = doctest.testmod(module)  # type: ignore[arg-type]

    assert found.attempted > 0
    assert found.failed == 0
