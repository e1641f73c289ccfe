"""Whether a value of a TOML file is of the type that a function's annotation asks for.

Types that TOML has no form for (None, a loaded module) are passed over.
"""

from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from .errors import PlanError

SAID = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def checked(name: str, value: Any, annotation: Any) -> Any:
    """The value in the one form that equal values share; PlanError for another type.

    >>> checked("cutoff", 0, float), checked("data", "ioi", str | Sequence[str])
    (0.0, ('ioi',))
    """
    kinds = list(alternatives(annotation))
    if not any(is_of(kind, value) for kind in kinds):
        expected = " or ".join(said for kind in kinds if (said := kind_said(kind)))
        raise PlanError(f"{name} = {value_said(value)}: expected {expected}")
    if any(get_origin(kind) is Sequence for kind in kinds):
        return tuple(value) if isinstance(value, list) else (value,)
    if float in kinds and int not in kinds:
        return float(value)
    return value


def alternatives(annotation: Any) -> Iterator[Any]:
    """The types that an annotation allows."""
    if get_origin(annotation) in (Union, UnionType):
        for kind in get_args(annotation):
            yield from alternatives(kind)
    else:
        yield annotation


def is_of(kind: Any, value: Any) -> bool:
    """Whether a value is of a type: `true` is no number, "" no text, [] no list."""
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in get_args(kind)
    if get_origin(kind) is Sequence:
        (of,) = get_args(kind)
        return (
            isinstance(value, list) and value != [] and all(is_of(of, v) for v in value)
        )
    is_number = kind is float and type(value) is int
    return (type(value) is kind and value != "") or is_number


def kind_said(kind: Any) -> str:
    """A type as people say it; nothing for one that TOML has no form for."""
    if get_origin(kind) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(kind))
    if get_origin(kind) is Sequence:
        return f"a list of {kind_said(*get_args(kind))}"
    return SAID.get(kind, "")


def value_said(value: Any) -> str:
    """A value on one line, and not a long one."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
