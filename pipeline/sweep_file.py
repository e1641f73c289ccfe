"""A sweep file: models x datasets x options, written down as TOML; nothing runs here.

    store = "runs"               # for the whole file: store, workers, scheduler, budget
    targets = "answer"           # any option of `sweep`: the default of those below

    [[sweep]]
    model = ["tiny-gpt2", "tiny-llama"]       # a list: one run for each
    data = ["ioi", ["facts", "induction"]]    # a list in the list: a run of several
    cutoff = [0.01, 0.02]

1. Read the file: keys for the whole file, defaults, and what each [[sweep]] adds.
2. Every combination of the options' values is a run: keyword arguments of `sweep`.
3. Runs of one model are put side by side, so that it is loaded once.

Names and types of options are those of `sweep`'s signature, and are written there only.
"""

import os.path
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from difflib import get_close_matches
from inspect import Parameter, signature
from itertools import chain, product
from pathlib import Path
from typing import Any

from flowglass.datasets.catalog import BUILTIN, MODELS

from .errors import PlanError
from .hub import Origin
from .option_types import checked, value_said
from .settings import Settings
from .sweeping import sweep

Options = Mapping[str, Any]
"""Keyword arguments of `sweep`, all but `store`."""

NOT_IN_A_FILE = ("tokenizer", "reporter", "stop")
"""What else `sweep` takes: values that only a program has."""

BUILTIN_NAMES: Mapping[str, Sequence[str]] = {
    "model": tuple(MODELS),
    "data": BUILTIN,
    "adapter": (),
    "store": (),
}
"""The keys that may name a file or folder, and the names that mean none."""

LOADED_BY = ("model", "dtype", "device", *(field.name for field in fields(Origin)))
"""Runs that agree in these use one loaded model."""


@dataclass(frozen=True, kw_only=True)
class SweepFile:
    """What a sweep file asks for."""

    path: Path
    runs: tuple[Options, ...]
    """In file order, but runs of one model side by side."""
    store: str
    workers: int | None = None
    scheduler: str | None = None
    budget: str | None = None


@dataclass(frozen=True)
class _Run:
    place: str
    """Where in the file it is asked for."""
    options: Options


def read_sweep_file(path: str | Path) -> SweepFile:
    """What the file asks for; raises PlanError that names the culprit and the cure.

    A file or folder beside the sweep file is found there, whatever the working folder.
    Other names stay as they are, and built-in names come first, as everywhere.
    """
    path = Path(path)
    top = _parsed(path)
    tables = list(_tables(top, path))
    keys, options = _keys_of_file(), _options()
    _check_known(top, [*keys, *options, "sweep"], str(path))
    top = _found(top, path.parent)
    own = {k: _checked(k, top[k], keys[k], str(path)) for k in keys if k in top}
    if "store" not in own:
        raise PlanError(f'{path}: no store: say where rows go, like store = "runs"')
    defaults = _choices({k: v for k, v in top.items() if k in options}, str(path))
    runs: list[_Run] = []
    for place, table in tables:
        _check_known(table, [*options], place)
        choices = defaults | _choices(_found(table, path.parent), place)
        runs += _combined(choices, place)
    _check_distinct(runs)
    return SweepFile(path=path, runs=tuple(_by_model(runs)), **own)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise PlanError(
            f"no sweep file {path}: give a TOML file, or --model, --data and --store"
        ) from None
    except OSError as error:
        raise PlanError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PlanError(f"{path} is not UTF-8 ({error}): save it as that") from error
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{path} is not TOML: {error}") from error


def _options() -> dict[str, Parameter]:
    """The options of a run by name, as `sweep` has them."""
    apart = {*NOT_IN_A_FILE, *_keys_of_file()}
    return {n: p for n, p in signature(sweep).parameters.items() if n not in apart}


def _keys_of_file() -> dict[str, Any]:
    """The keys for the whole file, with their types."""
    apart = ("path", "runs")
    return {f.name: f.type for f in fields(SweepFile) if f.name not in apart}


def _tables(top: Mapping[str, Any], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every [[sweep]] and its place; where there is none, what is above is the one."""
    if "sweep" not in top:
        yield str(path), {}
        return
    tables = top["sweep"]
    if not isinstance(tables, list) or not tables:
        raise PlanError(f"{path}: sweep is no list of tables: begin each by [[sweep]]")
    for number, table in enumerate(tables, 1):
        if not isinstance(table, dict):
            raise PlanError(f"{path}: {value_said(table)} is no table: write [[sweep]]")
        yield f"{path}, [[sweep]] {number}", table


def _check_known(given: Iterable[str], known: Sequence[str], place: str) -> None:
    for key in given:
        if key in known:
            continue
        if key in _keys_of_file():
            raise PlanError(
                f"{place}: {key} is for the whole file: "
                f"write it above the first [[sweep]]"
            )
        meant = key.replace("-", "_")
        near = [meant] if meant in known else get_close_matches(meant, known, n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else ", ".join(known)
        raise PlanError(f"{place}: unknown key {key!r}: {hint}")


def _found(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The table, with the path of every file and folder that is in the folder."""

    def found(value: Any, builtin: Sequence[str]) -> Any:
        if isinstance(value, list):
            return [found(one, builtin) for one in value]
        if not isinstance(value, str) or value in ("", *builtin) or "://" in value:
            return value
        there = os.path.join(folder, value)
        return str(Path(there)) if os.path.exists(there) else value

    return {
        key: found(value, BUILTIN_NAMES[key]) if key in BUILTIN_NAMES else value
        for key, value in table.items()
    }


def _choices(given: Mapping[str, Any], place: str) -> dict[str, list[Any]]:
    """Every option that is given, with its values: one, or those of its list."""
    choices: dict[str, list[Any]] = {}
    for name, value in given.items():
        if value == []:
            raise PlanError(
                f"{place}: {name} is an empty list: fill it or leave it out"
            )
        annotation = _options()[name].annotation
        values = value if isinstance(value, list) else [value]
        choices[name] = [_checked(name, one, annotation, place) for one in values]
    return choices


def _checked(name: str, value: Any, annotation: Any, place: str) -> Any:
    with _named(place):
        return checked(name, value, annotation)


@contextmanager
def _named(place: str) -> Iterator[None]:
    """Put the place before what is wrong there."""
    try:
        yield
    except PlanError as error:
        raise PlanError(f"{place}: {error}") from error


def _combined(choices: Mapping[str, list[Any]], place: str) -> Iterator[_Run]:
    """A run for each combination of values, those of the last option changing first."""
    for name, option in _options().items():
        if option.default is Parameter.empty and name not in choices:
            raise PlanError(f"{place}: no {name}: give it here, or above all [[sweep]]")
    for values in product(*choices.values()):
        options = dict(zip(choices, values, strict=True))
        with _named(place):
            _check_settings(options)
        yield _Run(place, options)


def _check_settings(options: Options) -> None:
    """Find now what else would be found when the night is half over."""
    given = {f.name: options[f.name] for f in fields(Settings) if f.name in options}
    Settings(**given | {"targets": str(given.get("targets", Settings.targets))})


def _check_distinct(runs: Sequence[_Run]) -> None:
    """Raise PlanError for a run that is there twice, and for a name of several."""
    first: dict[tuple[str, ...], _Run] = {}
    for run in runs:
        other = first.setdefault(_values(run.options, _options()), run)
        if other is not run:
            also = f", as in {other.place}" if other.place != run.place else ""
            raise PlanError(
                f"{run.place}: the same run twice{also}: {_run_said(run)}; "
                f"take one of them out"
            )
    names = Counter(run.options["run"] for run in runs if "run" in run.options)
    for run in runs:
        name = run.options.get("run")
        if names[name] > 1:
            raise PlanError(
                f"{run.place}: run = {name!r} would name {names[name]} runs: leave it "
                f"out, and each has a name made of its model, data and options"
            )


def _values(options: Options, names: Iterable[str]) -> tuple[str, ...]:
    """Values as text, defaults too: equal where `sweep` would do the same."""
    parameters = signature(sweep).parameters
    return tuple(str(options.get(name, parameters[name].default)) for name in names)


def _run_said(run: _Run) -> str:
    return ", ".join(
        f"{name} {' + '.join(value) if isinstance(value, tuple) else value}"
        for name, value in run.options.items()
    )


def _by_model(runs: Iterable[_Run]) -> Iterator[Options]:
    """The runs of each model together, by the first of them."""
    groups: dict[tuple[str, ...], list[Options]] = {}
    for run in runs:
        groups.setdefault(_values(run.options, LOADED_BY), []).append(run.options)
    return chain.from_iterable(groups.values())
