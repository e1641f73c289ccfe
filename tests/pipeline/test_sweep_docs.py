"""What docs/sweeps.md and docs/clusters.md tell people to type, against the code."""

import re
import shlex
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import typer
from distributed.cli import dask_scheduler, dask_ssh, dask_worker

from flowglass.pipeline import analyse, run_shard
from flowglass.pipeline.sweep_file import SweepFile, read_sweep_file
from flowglass.pipeline.sweep_runs import named

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("sweeps.md", "clusters.md")
COMMANDS = {entry.name: entry for entry in entry_points(group="flowglass.commands")}
DASK = {"scheduler": dask_scheduler, "worker": dask_worker, "ssh": dask_ssh}


def blocks(page: str, language: str) -> list[str]:
    """The page's code in a language."""
    text = (DOCS / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def calls(page: str, program: str) -> Iterator[tuple[str, list[str]]]:
    """The command and its arguments, of every line that calls the program."""
    text = (DOCS / page).read_text()
    shell = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    prose = re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    )
    for line in [*shell, *prose]:
        for found in re.finditer(rf"(?:^|\s){program} ([a-z]+)(?= )(.*)", line):
            words = shlex.split(found[2], comments=True)
            ends = [n for n, word in enumerate(words) if word in ("&", ">", "|", ";")]
            yield found[1], words[: min(ends, default=len(words))]


@pytest.fixture
def sweep_file(tmp_path: Path) -> SweepFile:
    """The example of docs/sweeps.md, beside the prompts that it names."""
    (example,) = blocks("sweeps.md", "toml")
    (tmp_path / "plan.toml").write_text(example)
    (tmp_path / "my_prompts.jsonl").write_text('{"text": "one"}\n')
    return read_sweep_file(tmp_path / "plan.toml")


def test_the_sweep_file_is_read(sweep_file: SweepFile, tmp_path: Path) -> None:
    """It makes the runs that its comments count, each with what the top says."""
    assert (sweep_file.store, sweep_file.workers) == ("runs", 2)
    assert [(run["model"], len(run["data"])) for run in sweep_file.runs] == [
        ("tiny-gpt2", 1),
        ("tiny-gpt2", 2),
        ("tiny-llama", 1),
        ("tiny-llama", 2),
        ("tiny-llama", 1),
        ("tiny-llama", 1),
    ]
    assert sweep_file.runs[1]["data"][1] == str(tmp_path / "my_prompts.jsonl")
    assert {run["targets"] for run in sweep_file.runs} == {"answer"}


def test_what_the_sweep_file_says_is_shown(sweep_file: SweepFile) -> None:
    """The page quotes the first run as the command announces it."""
    first = f"1 of {len(sweep_file.runs)}: {named(sweep_file.runs[0])}"
    assert first in (DOCS / "sweeps.md").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_flowglass_line_can_be_typed(page: str) -> None:
    """All options exist and have values of their types; nothing is run."""
    found = list(calls(page, "flowglass"))
    assert "sweep" in {command for command, _ in found}
    for command, arguments in found:
        program = typer.Typer()
        program.command(command)(COMMANDS[command].load())
        context = typer.main.get_command(program).make_context(command, arguments)
        if command == "sweep" and not context.params["plan"]:
            assert all(context.params[name] for name in ("model", "data", "store"))


def test_every_dask_line_can_be_typed() -> None:
    """By the Dask that is installed here; dask-kubernetes is not."""
    found = [call for call in calls("clusters.md", "dask") if call[0] != "kubernetes"]
    assert {command for command, _ in found} == DASK.keys()
    for command, arguments in found:
        program: Any = DASK[command].main
        program.make_context(command, arguments)


@pytest.mark.parametrize("script", blocks("clusters.md", "python"))
def test_scripts_are_python(script: str) -> None:
    """They need packages and machines that are not here."""
    compile(script, "clusters.md", "exec")


def test_reasons_of_the_quarantine_are_those_of_the_code() -> None:
    """Each stands there in front of a colon, as the page says."""
    section = (DOCS / "sweeps.md").read_text().split("\n## What is set aside\n")[1]
    reasons = set(re.findall(r"^\| `([^`]+)` \|", section.split("\n## ")[0], re.M))
    files = [Path(str(module.__file__)) for module in (analyse, run_shard)]
    code = "\n".join(file.read_text() for file in files)
    assert len(reasons) == 4
    for reason in reasons:
        assert f'"{reason}: ' in code, reason
    assert {run_shard.reason_of(error).split(":")[0] for error in ERRORS} < reasons


ERRORS = (MemoryError("too much"), RuntimeError("CUDA out of memory"), ValueError("no"))


def test_links_lead_somewhere() -> None:
    """Between the two pages, to headings that are there."""
    for page in PAGES:
        text = (DOCS / page).read_text()
        for target, heading in re.findall(r"\]\((\w+\.md)(?:#([\w-]+))?\)", text):
            headings = re.findall(r"^#+ (.*)$", (DOCS / target).read_text(), re.M)
            slugs = {
                re.sub(r"[^\w-]", "", h.lower().replace(" ", "-")) for h in headings
            }
            assert not heading or heading in slugs, (page, target, heading)
