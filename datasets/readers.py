"""Prompts from files: .jsonl, .csv, .parquet, and .txt with one prompt a line.

A reader gives (place, record) for every row; `read` turns the records into prompts and
puts the file and the place before whatever is wrong with one. The place is the line,
or the row of a .parquet file, counted from 1.

JSON and CSV are parsed by the standard library: pyarrow's readers guess types (a string
that looks like a date would become one) and do not name the line of every error.
"""

import csv
import json
import os
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import NoReturn

from .errors import DatasetError
from .prompt import Prompt
from .record import Record, no_column, prompt_of


def read(path: Path, *, limit: int | None = None) -> list[Prompt]:
    """The first `limit` prompts of a file, or all; raises DatasetError."""
    check(path)
    prompts: list[Prompt] = []
    for place, record in islice(READERS[path.suffix.lower()](path), limit):
        try:
            prompts.append(prompt_of(record))
        except DatasetError as error:
            raise DatasetError(f"{path}:{place}: {error}") from None
    if not prompts:
        raise DatasetError(f"{path} holds no prompts")
    return prompts


def check(path: Path) -> None:
    """Raises DatasetError unless the path is a file of a known kind."""
    if os.path.isdir(path):
        raise DatasetError(f"{path} is a folder; name a file in it")
    if not os.path.exists(path):
        folder = path.parent
        names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
        near = get_close_matches(path.name, names)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise DatasetError(f"no file {path}{hint}")
    if path.suffix.lower() not in READERS:
        known = ", ".join(READERS)
        raise DatasetError(f'{path}: cannot read "{path.suffix}" files, only {known}')


def jsonl_records(path: Path) -> Iterator[tuple[int, Record]]:
    """One JSON object a line; blank lines are skipped."""
    decode = json.JSONDecoder(
        parse_constant=refuse_number, parse_float=finite_float
    ).decode
    for place, line in lines(path):
        if not line.strip():
            continue
        try:
            record = decode(line)
            if "\\ud" in line or "\\uD" in line:
                # Half of a surrogate pair is legal JSON but no text: it has no UTF-8.
                json.dumps(record, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            reason = f"{error.msg} at column {error.colno}"
            raise DatasetError(f"{path}:{place}: no JSON: {reason}") from None
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}:{place}: no JSON: {error}") from None
        if not isinstance(record, dict):
            raise DatasetError(
                f"{path}:{place}: a line must be a JSON object, not {line.strip():.40}"
            )
        yield place, record


def csv_records(path: Path) -> Iterator[tuple[int, Record]]:
    """A header, then a record a row; every value is a string, an empty cell is None."""
    rows = csv.reader((line for _, line in lines(path)), strict=True)
    header: list[str] = []
    end = 0
    try:
        for row in rows:
            place, end = end + 1, rows.line_num
            if row and not header:
                header = row
                check_columns(path, header)
            elif row:
                if len(row) != len(header):
                    raise DatasetError(
                        f"{path}:{place}: {len(row)} cells under "
                        f"{len(header)} columns: {', '.join(header)}"
                    )
                cells = (cell or None for cell in row)
                yield place, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise DatasetError(f"{path}:{end + 1}: no CSV: {error}") from None


def parquet_records(path: Path) -> Iterator[tuple[int, Record]]:
    """A record a row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = 0
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            check_columns(path, names)
            for batch in file.iter_batches():
                columns = [column.to_pylist() for column in batch.columns]
                for values in zip(*columns, strict=True):
                    place += 1
                    yield place, dict(zip(names, values, strict=True))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        after = f" after row {place}" if place else ""
        raise DatasetError(f"{path}: broken Parquet{after}: {reason}") from None


def txt_records(path: Path) -> Iterator[tuple[int, Record]]:
    """A text a line, white space at its ends kept; blank lines are skipped."""
    for place, line in lines(path):
        if line.strip():
            yield place, {"text": line.removesuffix("\n").removesuffix("\r")}


READERS: dict[str, Callable[[Path], Iterator[tuple[int, Record]]]] = {
    ".jsonl": jsonl_records,
    ".csv": csv_records,
    ".parquet": parquet_records,
    ".txt": txt_records,
}


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number from 1, line with its end) of a UTF-8 file; only a line feed ends one."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DatasetError(
            f"{path}:{number}: not UTF-8 (byte 0x{byte:02x} at {error.start + 1}); "
            "save the file as UTF-8"
        ) from None
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}") from None


def check_columns(path: Path, names: list[str]) -> None:
    """Raises DatasetError unless there is a text column, and each name comes once."""
    if "text" not in names:
        raise DatasetError(f"{path}: {no_column('text', names)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"{path}: two columns are called {', '.join(twice)}")


def refuse_number(name: str) -> NoReturn:
    """NaN and Infinity, which Python's parser takes, are not in JSON."""
    raise ValueError(f"{name} is no JSON number")


def finite_float(digits: str) -> float:
    """1e999 would become infinity, which could not be written again."""
    value = float(digits)
    return value if isfinite(value) else refuse_number(digits)
