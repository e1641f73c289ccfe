"""Prompts from the Hugging Face hub, here a stub of its package."""

import datetime as dt
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from flowglass.datasets import hub
from flowglass.datasets.catalog import load
from flowglass.datasets.errors import DatasetError
from flowglass.datasets.prompt import Prompt

ROOT = Path(__file__).parents[2]


class DatasetsError(Exception):
    """The stub's root of all errors."""


class Stub(ModuleType):
    """Stands for Hugging Face's package: serves rows, remembers what was asked."""

    def __init__(self) -> None:
        super().__init__("datasets")
        self.exceptions = SimpleNamespace(DatasetsError=DatasetsError)
        self.rows: list[Mapping[str, object]] = []
        self.error: Exception | None = None
        self.asked: tuple[str, str | None, str, bool] | None = None
        self.served = 0

    def load_dataset(
        self, path: str, name: str | None, *, split: str, streaming: bool
    ) -> Iterator[Mapping[str, object]]:
        self.asked = (path, name, split, streaming)
        if self.error:
            raise self.error
        return self.serve()

    def serve(self) -> Iterator[Mapping[str, object]]:
        for row in self.rows:
            self.served += 1
            yield row


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    stub = Stub()
    monkeypatch.setitem(sys.modules, "datasets", stub)
    return stub


def refusal(source: str, *, limit: int | None = None) -> str:
    """The one line that is said about a source that cannot be loaded."""
    with pytest.raises(DatasetError) as caught:
        load(source, limit=limit)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "name", "config", "split", "column"),
    [
        ("hf:imdb", "imdb", None, "train", "text"),
        ("hf:imdb:test", "imdb", None, "test", "text"),
        ("hf:org/name:test:body", "org/name", None, "test", "body"),
        ("hf:org/name::body", "org/name", None, "train", "body"),
        ("hf:org/name/config", "org/name", "config", "train", "text"),
    ],
)
def test_addresses(
    source: str, name: str, config: str | None, split: str, column: str
) -> None:
    """hf:name[:split[:column]], where a third part of the name is a configuration."""
    assert hub.parse(source) == hub.Address(name, config, split, column)


@pytest.mark.parametrize(
    "source", ["hf:", "hf::train", "hf:a/b/c/d", "hf:a:b:c:d", "hf:a/"]
)
def test_what_is_no_address(source: str) -> None:
    """The form of an address is said."""
    message = refusal(source)

    assert f'"{source}"' in message
    assert "hf:name[:split[:column]]" in message


def test_rows_become_prompts(stub: Stub) -> None:
    """Columns mean what they mean in a file; the dataset has the hub's name."""
    stub.rows = [
        {"text": "a", "answer": "b", "label": 1, "when": dt.date(2026, 1, 31)},
        {"text": "c", "answer": None, "label": 0, "when": None},
    ]

    dataset = load("hf:org/name/config:test")

    assert dataset.name == "org/name"
    assert dataset.prompts == [
        Prompt("a", answer="b", metadata={"label": 1, "when": "2026-01-31"}),
        Prompt("c", metadata={"label": 0, "when": None}),
    ]
    assert stub.asked == ("org/name", "config", "test", False)


def test_another_column_can_be_the_text(stub: Stub) -> None:
    """A column `text` beside it is metadata then."""
    stub.rows = [{"text": "a", "body": "b"}]

    assert load("hf:x:train:body").prompts == [Prompt("b", metadata={"text": "a"})]


def test_a_limit_streams_and_stops(stub: Stub) -> None:
    """With a limit no more rows are asked for than are needed."""
    stub.rows = [{"text": str(i)} for i in range(1000)]

    prompts = load("hf:x", limit=3).prompts

    assert [prompt.text for prompt in prompts] == ["0", "1", "2"]
    assert stub.served == 3
    assert stub.asked == ("x", None, "train", True)


def test_rows_without_text_are_skipped(stub: Stub) -> None:
    """Blank rows, of which corpora are full, do not count for the limit either."""
    stub.rows = [{"text": text} for text in ("", "a", " \n", None, "b", "c")]

    prompts = load("hf:x", limit=2).prompts

    assert [prompt.text for prompt in prompts] == ["a", "b"]


def test_a_dataset_without_any_text(stub: Stub) -> None:
    """The column is named."""
    stub.rows = [{"text": ""}]

    assert 'hf:x:train:text has no text in its column "text"' in refusal("hf:x")


def test_an_unknown_column_names_the_columns(stub: Stub) -> None:
    """What is there is said."""
    stub.rows = [{"body": "a", "label": 1}]

    message = refusal("hf:x")

    assert 'no column "text"; the columns are: body, label' in message


def test_a_column_of_numbers(stub: Stub) -> None:
    """The row is counted from 1."""
    stub.rows = [{"text": "a"}, {"text": 5}]

    assert 'hf:x:train:text, row 2: "text" must be a string' in refusal("hf:x")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionError("no route"), "the hub cannot be reached: no route"),
        (DatasetsError("'x' doesn't exist\non the Hub"), "'x' doesn't exist"),
        (ValueError("Bad split: nope"), "Bad split: nope"),
        (RuntimeError("Dataset scripts are no longer supported"), "Dataset scripts"),
    ],
)
def test_what_the_hub_says_is_passed_on(
    stub: Stub, error: Exception, reason: str
) -> None:
    """An unreachable hub, an unknown name or split: the address and one line."""
    stub.error = error

    message = refusal("hf:x:nope", limit=1)

    assert message.startswith("hf:x:nope:text: ")
    assert reason in message


@pytest.mark.parametrize("module", [None, ModuleType("datasets")])
def test_a_missing_package_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType | None
) -> None:
    """Also when `import datasets` finds our own folder, an empty namespace."""
    monkeypatch.setitem(sys.modules, "datasets", module)

    assert 'pip install "flowglass[hub]"' in refusal("hf:x")


def test_our_folder_does_not_hide_the_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the repository's root first on sys.path, the installed package is found."""
    package = tmp_path / "datasets"
    package.mkdir()
    (package / "__init__.py").write_text("from . import exceptions\nload_dataset = 1/0")
    (package / "exceptions.py").touch()
    monkeypatch.delitem(sys.modules, "datasets", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(ROOT))

    with pytest.raises(ZeroDivisionError):
        load("hf:x")
