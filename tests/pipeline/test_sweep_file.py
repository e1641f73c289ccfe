"""Sweep files: every combination of what is written is a run, or an error says why."""

import json
import re
from collections.abc import Callable
from inspect import signature
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowglass.pipeline.errors import PlanError
from flowglass.pipeline.option_types import alternatives, kind_said
from flowglass.pipeline.settings import Settings
from flowglass.pipeline.sweep_file import (
    LOADED_BY,
    NOT_IN_A_FILE,
    SweepFile,
    read_sweep_file,
)
from flowglass.pipeline.sweeping import sweep

Read = Callable[[str], SweepFile]

ONE = 'store = "runs"\nmodel = "tiny-gpt2"\ndata = "ioi"\n'


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads this text as a sweep file."""

    def read(text: str) -> SweepFile:
        path = tmp_path / "plan.toml"
        path.write_text(text, encoding="utf-8")
        return read_sweep_file(path)

    return read


def toml(table: dict[str, Any]) -> str:
    """Keys and values as TOML, of which JSON's texts, numbers and lists are a part."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())


def test_a_file_of_two_sweeps(read: Read, tmp_path: Path) -> None:
    """Lists are runs, a list in the list is one run, the top holds the defaults."""
    found = read(
        """
        store = "runs"
        workers = 2
        targets = "answer"

        [[sweep]]
        model = ["tiny-gpt2", "tiny-llama"]
        data = ["ioi", ["facts", "induction"]]

        [[sweep]]
        model = "gpt2"
        data = "prompts.jsonl"
        targets = -1
        """
    )
    ioi, both = ("ioi",), ("facts", "induction")
    assert found == SweepFile(
        path=tmp_path / "plan.toml",
        store="runs",
        workers=2,
        runs=(
            {"targets": "answer", "model": "tiny-gpt2", "data": ioi},
            {"targets": "answer", "model": "tiny-gpt2", "data": both},
            {"targets": "answer", "model": "tiny-llama", "data": ioi},
            {"targets": "answer", "model": "tiny-llama", "data": both},
            {"targets": -1, "model": "gpt2", "data": ("prompts.jsonl",)},
        ),
    )


def test_without_a_sweep_the_top_is_the_one(read: Read) -> None:
    """Lists are runs there too."""
    found = read(
        ONE + 'budget = "8h"\nscheduler = "tcp://a:1"\ncutoff = [0.01, 0.02]\n'
    )
    assert (found.budget, found.scheduler, found.workers) == ("8h", "tcp://a:1", None)
    assert [run["cutoff"] for run in found.runs] == [0.01, 0.02]


def test_a_sweep_may_add_nothing(read: Read) -> None:
    """An empty [[sweep]] is the defaults."""
    assert read(ONE + "[[sweep]]\n").runs == read(ONE).runs


def test_the_example_of_the_module_is_read(read: Read) -> None:
    """What the module's docstring shows."""
    from flowglass.pipeline import sweep_file

    assert sweep_file.__doc__
    example = re.findall(r"^    (.*)$", sweep_file.__doc__, re.MULTILINE)
    assert len(read("\n".join(example)).runs) == 2 * 2 * 2


def test_every_option_of_sweep_can_be_written(read: Read) -> None:
    """Its parameters are the options; what has no TOML form is said to be none."""
    found = {}
    apart = {"store", "workers", "scheduler", "budget", *NOT_IN_A_FILE}
    for name, parameter in signature(sweep).parameters.items():
        if name in apart:
            continue
        assert any(map(kind_said, alternatives(parameter.annotation))), name
        default = parameter.default
        given = {"model": "gpt2", "data": "ioi", "limit": 3}.get(name, default)
        found[name] = "text" if given is None else given
    (run,) = read(toml({"store": "runs", **found})).runs
    assert run == {**found, "data": ("ioi",)}


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "model": st.sampled_from(["gpt2", "tiny-gpt2", "tiny-llama", "a/b"]),
    "data": st.sampled_from(
        ["ioi", "facts", "x.jsonl", ["ioi", "facts"], ["x.jsonl", "ioi"]]
    ),
    "cutoff": st.sampled_from([0.01, 0.02, 0.5]),
    "targets": st.sampled_from(["last", "answer", -1, 3]),
    "limit": st.integers(1, 5),
    "truncate": st.booleans(),
    "project": st.sampled_from(["routes", "all", "none"]),
    "dtype": st.sampled_from(["auto", "float32"]),
    "revision": st.sampled_from(["main", "v1"]),
}


def lists_of(names: list[str]) -> st.SearchStrategy[dict[str, list[Any]]]:
    lists = {
        n: st.lists(VALUES[n], min_size=1, max_size=3, unique_by=str) for n in names
    }
    return st.fixed_dictionaries(
        {n: lists[n] for n in ("model", "data")},
        optional={n: lists[n] for n in names if n not in ("model", "data")},
    )


@settings(deadline=None, max_examples=100)
@given(lists_of(list(VALUES)), st.data())
def test_the_runs_are_the_product(
    tmp_path_factory: pytest.TempPathFactory,
    lists: dict[str, list[Any]],
    data: st.DataObject,
) -> None:
    """Each combination once, those of one model side by side and in order, wherever
    an option is written, and a list of one as the one."""
    tops = {name for name in lists if data.draw(st.booleans())}
    order = [n for n in lists if n in tops] + [n for n in lists if n not in tops]
    written = {
        name: values[0]
        if len(values) == 1
        and not isinstance(values[0], list)
        and data.draw(st.booleans())
        else values
        for name, values in lists.items()
    }
    path = tmp_path_factory.mktemp("sweep") / "plan.toml"
    top = {"store": "runs"} | {name: written[name] for name in order if name in tops}
    rest = {name: written[name] for name in order if name not in tops}
    path.write_text(toml(top) + "[[sweep]]\n" + toml(rest))

    runs = read_sweep_file(path).runs

    in_order = [
        dict(zip(order, values, strict=True))
        for values in product(*(lists[name] for name in order))
    ]
    for run in in_order:
        entry = run["data"]
        run["data"] = (entry,) if isinstance(entry, str) else tuple(entry)
    assert sorted(map(str, runs)) == sorted(map(str, in_order))
    loaded = [tuple(run.get(name) for name in LOADED_BY) for run in runs]
    changes = sum(a != b for a, b in pairwise(loaded))
    assert changes + 1 == len(set(loaded))
    for one in set(loaded):
        assert [r for r, of in zip(runs, loaded, strict=True) if of == one] == [
            r for r in in_order if tuple(r.get(name) for name in LOADED_BY) == one
        ]


def test_runs_of_one_model_are_side_by_side(read: Read) -> None:
    """Whatever else stands between them; other weights are another model."""
    found = read(
        """
        store = "runs"
        data = "ioi"
        [[sweep]]
        model = "a"
        [[sweep]]
        model = "b"
        [[sweep]]
        model = "a"
        adapter = "tuned"
        [[sweep]]
        model = "a"
        dtype = "auto"
        data = "facts"
        """
    )
    said = [(run["model"], run.get("adapter"), *run["data"]) for run in found.runs]
    assert said == [
        ("a", None, "ioi"),
        ("a", None, "facts"),
        ("b", None, "ioi"),
        ("a", "tuned", "ioi"),
    ]


def test_files_are_found_beside_the_sweep_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any working folder; what is not there is left as it is."""
    folder = tmp_path / "plans"
    for name in ("model", "tuned", "runs", "ioi"):
        (folder / name).mkdir(parents=True)
    (tmp_path / "x.jsonl").touch()
    (folder / "plan.toml").write_text(
        toml(
            {
                "store": "runs",
                "model": ["./model", "gpt2"],
                "data": [["../x.jsonl", "ioi"], "y.jsonl", "hf:z", "/abs.txt"],
                "adapter": "tuned",
            }
        )
    )
    monkeypatch.chdir(tmp_path)
    found = read_sweep_file("plans/plan.toml")
    assert found.store == "plans/runs"
    assert [run["model"] for run in found.runs[::4]] == ["plans/model", "gpt2"]
    assert [run["data"] for run in found.runs[:4]] == [
        ("plans/../x.jsonl", "ioi"),  # the built-in one, as on the command line
        ("y.jsonl",),
        ("hf:z",),
        ("/abs.txt",),
    ]
    assert {run["adapter"] for run in found.runs} == {"plans/tuned"}


def test_a_store_at_an_address_is_no_folder(tmp_path: Path, read: Read) -> None:
    """Even where a folder has its name."""
    (tmp_path / "s3:" / "bucket").mkdir(parents=True)
    assert read(ONE.replace('"runs"', '"s3://bucket"')).store == "s3://bucket"


def test_whole_numbers_are_numbers(read: Read) -> None:
    """0 and 0.0 are one configuration, so both become 0.0."""
    (run,) = read(ONE + "cutoff = 0\n").runs
    assert repr(run["cutoff"]) == "0.0"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Some editors of Windows begin a file with one."""
    path = tmp_path / "plan.toml"
    path.write_text(ONE, encoding="utf-8-sig")
    assert len(read_sweep_file(path).runs) == 1


def test_runs_are_named_where_each_name_is_of_one(read: Read) -> None:
    """Two sweeps of one run each."""
    found = read(
        'store = "runs"\nmodel = "gpt2"\n'
        '[[sweep]]\ndata = "ioi"\nrun = "a"\n[[sweep]]\ndata = "facts"\nrun = "b"\n'
    )
    assert [run["run"] for run in found.runs] == ["a", "b"]


HEAD = 'store = "runs"\nmodel = "gpt2"\n'
PROBLEMS = {
    "broken": ("store = \n", "is not TOML", "line 1"),
    "key twice": (ONE + 'store = "a"\n', "is not TOML", "line 4"),
    "no store": ('model = "gpt2"\n', "no store", 'store = "runs"'),
    "no model": ('store = "a"\n[[sweep]]\ndata = "ioi"\n', "[[sweep]] 1: no model"),
    "no data": (HEAD, "plan.toml: no data", "give it"),
    "unknown": (ONE + "cutof = 1\n", "unknown key 'cutof'", "did you mean cutoff"),
    "hyphen": (ONE + "batch-tokens = 1\n", "did you mean batch_tokens?"),
    "far off": (ONE + "[[sweep]]\nqqq = 1\n", "[[sweep]] 1: unknown key 'qqq': model,"),
    "no option": (ONE + "reporter = 1\n", "unknown key 'reporter'"),
    "sweeps": (ONE + "[[sweeps]]\nlimit = 1\n", "unknown key 'sweeps'", "sweep"),
    "odd key": (ONE + '"a\\nb" = 1\n', "unknown key 'a\\nb'"),
    "too low": (
        HEAD + '[[sweep]]\ndata = "ioi"\nworkers = 2\n',
        "[[sweep]] 1: workers is for the whole file",
        "above",
    ),
    "text": (ONE + 'cutoff = "a"\n', "cutoff = 'a': expected a number"),
    "in a list": (ONE + 'cutoff = [0.1, "a"]\n', "cutoff = 'a': expected a number"),
    "truth": (ONE + "limit = true\n", "limit = true: expected a whole number"),
    "truth 2": (ONE + "cutoff = false\n", "cutoff = false: expected a number"),
    "number": (ONE + "truncate = 1\n", "truncate = 1: expected true or false"),
    "fraction": (ONE + "neurons = 1.5\n", "neurons = 1.5: expected a whole number"),
    "two types": (ONE + "targets = 1.5\n", "expected text or a whole number"),
    "table": (ONE + "limit = {a = 1}\n", "limit = {'a': 1}: expected a whole number"),
    "date": (ONE + "bos = 2026-01-01\n", 'expected "add" or "tokenizer" or "none"'),
    "choice": (ONE + 'project = "rout"\n', "project = 'rout': expected \"routes\" or"),
    "model": ('store = "a"\ndata = "ioi"\nmodel = 1\n', "model = 1: expected text\n"),
    "models": (
        'store = "a"\ndata = "ioi"\nmodel = [["a", "b"]]\n',
        "model = ['a', 'b']: expected text\n",
    ),
    "no name": (HEAD + 'data = ""\n', "data = '': expected text or a list of text"),
    "deep": (HEAD + 'data = [[["a"]]]\n', "data = [['a']]: expected text or a list"),
    "long": (HEAD + f"data = [[{'1, ' * 99}]]\n", "1,...: expected text"),
    "none": (HEAD + "data = []\n", "data is an empty list"),
    "none in it": (HEAD + 'data = ["ioi", []]\n', "data = []: expected text"),
    "store": ('store = ["a", "b"]\n', "store = ['a', 'b']: expected text"),
    "workers": (ONE + 'workers = "2"\n', "workers = '2': expected a whole number"),
    "budget": (ONE + "budget = 8\n", "budget = 8: expected text"),
    "out of range": (ONE + "cutoff = [0, 1]\n", "cutoff 1.0: expected at least 0"),
    "position": (ONE + 'targets = "lats"\n', "targets 'lats': expected last"),
    "one table": (HEAD + '[sweep]\ndata = "ioi"\n', "begin each by [[sweep]]"),
    "no table": (HEAD + "sweep = [1]\n", "1 is no table: write [[sweep]]"),
    "no tables": (HEAD + "sweep = []\n", "begin each by [[sweep]]"),
    "twice": (
        HEAD + '[[sweep]]\ndata = ["ioi", ["ioi"]]\n',
        "[[sweep]] 1: the same run twice: model gpt2, data ioi; take",
    ),
    "default written": (
        HEAD + 'data = "ioi"\n[[sweep]]\ntargets = -1\n'
        '[[sweep]]\ntargets = "-1"\ncutoff = 0.01\n',
        "[[sweep]] 2: the same run twice, as in ",
        "plan.toml, [[sweep]] 1",
    ),
    "one name": (
        HEAD + 'data = ["ioi", "facts"]\nrun = "night"\n',
        "run = 'night' would name 2 runs: leave it out",
    ),
    "one name of two": (
        HEAD + 'run = "a"\n[[sweep]]\ndata = "ioi"\n[[sweep]]\ndata = "facts"\n',
        "run = 'a' would name 2 runs",
    ),
}


@pytest.mark.parametrize(
    ("text", "said"), [(t, s) for t, *s in PROBLEMS.values()], ids=PROBLEMS
)
def test_a_mistake_is_named_with_its_place(
    read: Read, tmp_path: Path, text: str, said: list[str]
) -> None:
    """On one line, which has the file, the culprit and what to do."""
    with pytest.raises(PlanError) as refused:
        read(text)
    message = str(refused.value)
    assert message.startswith(str(tmp_path / "plan.toml"))
    assert len(message.splitlines()) == 1
    for part in said:
        assert part in message + "\n"


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Missing, a folder, not text."""
    with pytest.raises(
        PlanError, match=r"no sweep file .*plan\.toml: give a TOML file"
    ):
        read_sweep_file(tmp_path / "plan.toml")
    with pytest.raises(PlanError, match=r"cannot read .*: Is a directory"):
        read_sweep_file(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'store = "\xe4"\n')
    with pytest.raises(PlanError, match=r"latin\.toml is not UTF-8"):
        read_sweep_file(tmp_path / "latin.toml")


def test_defaults_are_those_of_settings() -> None:
    """`sweep` and Settings have the same, so a file's check sees what a run will."""
    parameters = signature(sweep).parameters
    for name, default in vars(Settings()).items():
        assert parameters[name].default == default, name
