"""docs/statistics.md says what is so: its examples run, its links lead somewhere."""

import re
from pathlib import Path

import pytest

from .sql_page import anchor

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
TEXT = PAGE.read_text()


def test_its_examples_run(
    real_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One after the other, on the store of docs/sql.md; they print what they found."""
    monkeypatch.chdir(real_store.parent)
    blocks = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
    assert len(blocks) >= 4
    exec("".join(blocks), {})
    printed = capsys.readouterr().out
    assert "6 prompts to compare in a are too few" in printed
    assert "CohortSize(n_prompts=6" in printed


def test_its_links_lead_somewhere() -> None:
    """To its own headings, and to those of other pages."""
    for page, name in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", TEXT):
        there = PAGE.with_name(page).read_text() if page else TEXT
        headings = re.findall(r"^#+ (.*)$", there, re.M)
        assert name in {anchor(heading) for heading in headings}, name
