"""`flowglass datasets`."""

import pytest

from flowglass.datasets.catalog import BUILTIN, MODELS, builtin_prompts
from flowglass.datasets.cli import datasets


def test_everything_is_listed_within_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, sizes, an example with its answer, and how to bring one's own."""
    monkeypatch.setenv("COLUMNS", "80")

    datasets()

    printed = capsys.readouterr().out
    assert all(len(row) <= 80 for row in printed.splitlines())
    words = " ".join(printed.split())
    for name in (*BUILTIN, *MODELS):
        assert name in words
    assert words.count("500 prompts") == len(BUILTIN)
    assert f"{builtin_prompts('addition')[0].text} → " in words
    assert "hf:name[:split[:column]]" in words
