"""Files become prompts."""

import csv
import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowglass.datasets.build import line
from flowglass.datasets.prompt import Prompt
from flowglass.datasets.readers import READERS, read

quick = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
COLUMNS = ("text", "category", "group", "answer", "distractor")
strings = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
texts = strings.filter(lambda text: not text.isspace())
names = st.text(st.characters(exclude_categories=["Cs"])).filter(
    lambda name: name not in COLUMNS
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings,
    lambda inner: st.lists(inner) | st.dictionaries(strings, inner),
    max_leaves=5,
)


def prompts(metadata: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Prompt]]:
    label = st.none() | strings
    prompt = st.builds(Prompt, texts, label, label, label, metadata)
    return st.lists(prompt, min_size=1, max_size=5)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_jsonl_file_has_a_prompt_on_every_line(tmp_path: Path) -> None:
    """Known columns are fields, the others metadata with their JSON types."""
    path = write(
        tmp_path,
        "mine.jsonl",
        '{"text": "2 + 2 =", "category": "sum", "answer": "4", "distractor": "5",'
        ' "n": 7, "ok": true, "of": {"x": [1.5, null]}}\n'
        "\n"
        '{"text": "Ünï", "answer": null}\n',
    )

    assert read(path) == [
        Prompt(
            "2 + 2 =", "sum", "4", "5", {"n": 7, "ok": True, "of": {"x": [1.5, None]}}
        ),
        Prompt("Ünï"),
    ]


def test_group_is_another_name_of_category(tmp_path: Path) -> None:
    """`group` is the category where there is no `category`, else metadata."""
    path = write(
        tmp_path,
        "mine.jsonl",
        '{"text": "a", "group": "g"}\n{"text": "b", "group": "g", "category": "c"}\n',
    )

    alone, beside = read(path)

    assert (alone.category, alone.metadata) == ("g", {})
    assert (beside.category, beside.metadata) == ("c", {"group": "g"})


def test_whole_numbers_are_labels_too(tmp_path: Path) -> None:
    """`"answer": 4` means the text 4."""
    path = write(tmp_path, "mine.jsonl", '{"text": "2 + 2 =", "answer": 4, "group": 0}')

    (prompt,) = read(path)

    assert (prompt.answer, prompt.category) == ("4", "0")


def test_csv_cells_are_strings_and_empty_ones_none(tmp_path: Path) -> None:
    """Nothing is guessed: 007 keeps its zeros."""
    path = write(
        tmp_path, "mine.csv", "text,answer,id,note\r\nHi,,007,\r\nYo,b,8,n\r\n"
    )

    assert read(path) == [
        Prompt("Hi", metadata={"id": "007", "note": None}),
        Prompt("Yo", answer="b", metadata={"id": "8", "note": "n"}),
    ]


def test_csv_texts_may_hold_commas_quotes_and_newlines(tmp_path: Path) -> None:
    """A quoted cell is taken as it stands."""
    path = write(tmp_path, "mine.csv", 'answer,text\nx,"a, ""b""\nc\r\nd"\n')

    assert read(path) == [Prompt('a, "b"\nc\r\nd', answer="x")]


def test_a_txt_file_has_a_prompt_on_every_line_that_is_not_blank(
    tmp_path: Path,
) -> None:
    """White space at the ends of a line belongs to the prompt, its end does not."""
    path = write(tmp_path, "mine.txt", " one \r\n\n  \t\ntwo\x85still two\nthree")

    texts = [prompt.text for prompt in read(path)]

    assert texts == [" one ", "two\x85still two", "three"]


def test_parquet_keeps_what_json_can_hold(tmp_path: Path) -> None:
    """Numbers and lists stay; dates become ISO strings, decimals text, bytes hex."""
    moment = dt.datetime(2026, 1, 31, 12, 30, tzinfo=dt.UTC)
    row = {
        "text": "Hi",
        "answer": "you",
        "category": 3,
        "n": 1,
        "x": 0.5,
        "not_a_number": float("nan"),
        "on": True,
        "none": None,
        "when": moment,
        "day": moment.date(),
        "price": Decimal("1.50"),
        "raw": b"\xff",
        "list": [{"at": moment.time()}],
    }
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.Table.from_pylist([row]), path)

    (prompt,) = read(path)

    assert prompt == Prompt(
        "Hi",
        "3",
        "you",
        metadata={
            "n": 1,
            "x": 0.5,
            "not_a_number": "nan",
            "on": True,
            "none": None,
            "when": "2026-01-31T12:30:00+00:00",
            "day": "2026-01-31",
            "price": "1.50",
            "raw": "ff",
            "list": [{"at": "12:30:00"}],
        },
    )
    json.dumps(prompt.metadata, allow_nan=False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mine.jsonl", '{"text": "ä"}\r\n'),
        ("mine.csv", "text\r\nä\r\n"),
        ("mine.TXT", "ä\r\n"),
    ],
)
def test_what_windows_writes_is_read(tmp_path: Path, name: str, content: str) -> None:
    """A byte order mark, carriage returns and capital extensions do no harm."""
    path = write(tmp_path, name, b"\xef\xbb\xbf" + content.encode())

    assert read(path) == [Prompt("ä")]


@pytest.mark.parametrize("suffix", READERS)
def test_a_limit_takes_the_first_prompts(tmp_path: Path, suffix: str) -> None:
    """The same two prompts come first whether or not the third is read."""
    path = tmp_path / f"mine{suffix}"
    rows = [{"text": text} for text in "abc"]
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text("text\n" * (suffix == ".csv") + "a\nb\nc\n")

    assert read(path, limit=2) == [Prompt("a"), Prompt("b")]
    assert read(path, limit=9) == [Prompt("a"), Prompt("b"), Prompt("c")]


def test_nothing_after_the_limit_is_read(tmp_path: Path) -> None:
    """A broken third line does not matter to the first two."""
    path = write(tmp_path, "mine.jsonl", '{"text": "a"}\n{"text": "b"}\n{')

    assert len(read(path, limit=2)) == 2


@quick
@given(prompts(st.dictionaries(names, values, max_size=3)))
def test_prompts_survive_jsonl(tmp_path: Path, written: list[Prompt]) -> None:
    """Any prompts, written as JSON lines, are read as they were."""
    path = write(tmp_path, "mine.jsonl", "".join(map(line, written)))

    assert read(path) == written


@quick
@given(prompts(st.fixed_dictionaries({"note": st.none() | strings})))
def test_prompts_survive_csv(tmp_path: Path, written: list[Prompt]) -> None:
    """Prompts whose metadata is text, written as CSV, are read as they were."""
    path = tmp_path / "mine.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "category", "answer", "distractor", "note"])
        for p in written:
            rows.writerow(
                [p.text, p.category, p.answer, p.distractor, *p.metadata.values()]
            )

    assert read(path) == written
