"""A file of what is shown, or why there is none."""

import base64

import pyarrow as pa
import pytest

from flowglass.store.errors import StoreError
from flowglass.viewer import downloads
from flowglass.viewer.downloads import Extract, file_message

ROWS = Extract("run/1 · prompts", pa.table({"a": [1, 2]}), "SELECT a FROM t")


def test_a_file_is_named_after_its_rows() -> None:
    """Without what a disk would stumble over."""
    message = file_message(lambda: ROWS, "csv")
    assert message["file"] == "run-1-prompts.csv"
    assert base64.b64decode(message["base64"]) == b'"a"\n1\n2\n'


def test_rows_that_cannot_be_read_are_told() -> None:
    """By the store's own words, which name the file."""

    def damaged() -> Extract:
        raise StoreError("the store's file x.parquet is missing or damaged")

    (said,) = file_message(damaged, "csv").values()
    assert "x.parquet is missing or damaged" in said


def test_rows_that_are_too_many_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be held three times over; what to do instead is said."""
    monkeypatch.setattr(downloads, "MOST_BYTES", 10)
    message = file_message(lambda: ROWS, "parquet")
    assert message.keys() == {"trouble"}
    assert "2 rows are too many" in message["trouble"]
    assert "flowglass sql" in message["trouble"]
