"""What tests of the store share: the program, and two runs of the bundled models."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flowglass.store import cli

from .command import Run

if TYPE_CHECKING:
    from .s3_server import S3Server


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the program; gives its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["flowglass", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


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


@pytest.fixture(scope="module")
def s3() -> "Iterator[tuple[S3Server, str]]":
    """A real S3 server on this machine, and the address of a bucket in it."""
    from .s3_server import s3_bucket  # takes a second to import

    with s3_bucket() as found:
        yield found


@pytest.fixture
def server(s3: "tuple[S3Server, str]") -> "S3Server":
    """That server."""
    return s3[0]
