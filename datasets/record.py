"""A record, one row of a file or of a hub dataset, becomes a prompt.

`text` is what the model reads; `category` (or `group`), `answer` and `distractor` are
strings or absent; every other column is metadata, as a JSON value.
"""

from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from sys import intern
from uuid import UUID

from .errors import DatasetError
from .prompt import NO_METADATA, Prompt

Record = dict[str, object]


def prompt_of(record: Record, text_column: str = "text") -> Prompt:
    """The prompt in a record, which is used up; raises DatasetError."""
    if text_column not in record:
        raise no_column(text_column, record)
    text = record.pop(text_column)
    if text is None or text == "" or (isinstance(text, str) and text.isspace()):
        raise DatasetError(f'"{text_column}" is empty')
    if not isinstance(text, str):
        raise DatasetError(f'"{text_column}" must be a string, not {kind(text)}')
    category = label(record, "category" if "category" in record else "group")
    return Prompt(
        text,
        category=intern(str(category)) if category else None,  # one object for all
        answer=label(record, "answer"),
        distractor=label(record, "distractor"),
        metadata={name: json_value(value) for name, value in record.items()}
        or NO_METADATA,
    )


def label(record: Record, column: str) -> str | None:
    """Takes a short text out of the record: a whole number counts, empty is None."""
    value = record.pop(column, None)
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DatasetError(f'"{column}" must be a string, not {kind(value)}')


def json_value(value: object) -> object:
    """The value as JSON can hold it: a date as an ISO string, bytes as hex digits.

    >>> json_value({"at": date(2026, 1, 31), "n": (1, 2.5), "price": Decimal("0.10")})
    {'at': '2026-01-31', 'n': [1, 2.5], 'price': '0.10'}
    """
    match value:
        case str() | int() | None:
            return value
        case float():
            return value if isfinite(value) else str(value)
        case dict():
            return {str(name): json_value(part) for name, part in value.items()}
        case list() | tuple():
            return [json_value(part) for part in value]
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
        case bytes():
            return value.hex()
    raise DatasetError(f"a value that JSON cannot hold: {kind(value)}")


def no_column(column: str, found: Iterable[str]) -> DatasetError:
    """The error for a column that is not there."""
    names = ", ".join(found) or "none"
    return DatasetError(f'no column "{column}"; the columns are: {names}')


def kind(value: object) -> str:
    """What a value is, for a message."""
    return f"a value of type {type(value).__name__}"
