"""What is shown, to take away: as CSV, as Parquet, or as the query that finds it.

Files are made here and handed to the browser over the page's own socket, which makes a
file of them: there is no address to ask for, and none to guess.
"""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import param
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from panel.custom import JSComponent

from flowglass.store.errors import StoreError

from .result_cells import flat

HERE = Path(__file__).parent
KINDS = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


@dataclass(frozen=True)
class Extract:
    """Rows with the name of their file, and the query they come from."""

    name: str
    table: pa.Table
    sql: str


def file_of(extract: Extract, kind: str) -> bytes:
    """The rows as the bytes of a file: `csv` or `parquet`.

    >>> file_of(Extract("n", pa.table({"a": [1]}), "SELECT 1 AS a"), "csv")
    b'"a"\\n1\\n'
    """
    buffer = io.BytesIO()
    if kind == "csv":
        pa.csv.write_csv(flat(extract.table), buffer)
    else:
        pa.parquet.write_table(extract.table, buffer, compression="zstd")
    return buffer.getvalue()


MOST_BYTES = 200 * 2**20
"""Of rows in memory: what is handed over is held by the server and by the browser."""


def file_message(extract: Callable[[], Extract], kind: str) -> dict[str, Any]:
    """What `download_menu.js` makes a file of, or says why there is none; an unknown
    kind is a KeyError."""
    try:
        rows = extract()
    except StoreError as error:
        return {"trouble": f"These rows cannot be read: {error}."}
    if rows.table.nbytes > MOST_BYTES:
        return {
            "trouble": f"{rows.table.num_rows:,} rows are too many to download here. "
            "Copy the query, and let `flowglass sql STORE QUERY --output FILE` write "
            "them."
        }
    return _file(rows, kind)


def _file(extract: Extract, kind: str) -> dict[str, Any]:
    name = re.sub(r"[^\w.-]+", "-", extract.name).strip("-")
    return {
        "file": f"{name}.{kind}",
        "type": KINDS[kind],
        "base64": base64.b64encode(file_of(extract, kind)).decode("ascii"),
    }


class DownloadMenu(JSComponent):
    """The menu alone, for a table that is not a `Sheet`'s; `extract` makes its rows
    when they are asked for."""

    sql = param.String("", doc="The query, which the browser copies.")
    label = param.String("", doc="What is downloaded, for a screen reader.")

    _esm = "\n".join(
        (HERE / source).read_text("utf-8")
        for source in ("download_menu.js", "download_button.js")
    )

    def __init__(self, extract: Callable[[], Extract], **params: Any) -> None:
        super().__init__(**params)  # type: ignore[no-untyped-call]  # Panel's
        self.extract = extract

    def _handle_msg(self, msg: dict[str, Any]) -> None:
        self._send_msg(file_message(self.extract, str(msg["download"])))
