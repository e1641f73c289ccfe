"""What is wrong with a file is said in one line that names the culprit."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowglass.datasets.errors import DatasetError
from flowglass.datasets.readers import read

GOOD = b'{"text": "a"}\n'


def refusal(path: Path) -> str:
    """The message for a file that cannot be read, which is one line naming it."""
    with pytest.raises(DatasetError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GOOD + b'{"text": "b",}\n', ":2: no JSON: "),
        (GOOD + b"\n{text}\n", ":3: no JSON: Expecting property name"),
        (GOOD + b'{"text": "b"} x\n', ":2: no JSON: Extra data at column 15"),
        (
            GOOD + b'["text", "b"]\n',
            ':2: a line must be a JSON object, not ["text", "b"]',
        ),
        (
            b'{"prompt": "a", "id": 1}\n',
            ':1: no column "text"; the columns are: prompt, id',
        ),
        (b"{}\n", ':1: no column "text"; the columns are: none'),
        (GOOD + b'{"text": ""}\n', ':2: "text" is empty'),
        (GOOD + b'{"text": null}\n', ':2: "text" is empty'),
        (GOOD + b'{"text": " \\n"}\n', ':2: "text" is empty'),
        (
            GOOD + b'{"text": 5}\n',
            ':2: "text" must be a string, not a value of type int',
        ),
        (b'{"text": "a", "answer": ["b"]}\n', ':1: "answer" must be a string, not'),
        (b'{"text": "a", "group": true}\n', ':1: "group" must be a string, not'),
        (b'{"text": "a", "distractor": 0.5}\n', ':1: "distractor" must be a string'),
        (b'{"text": "a", "x": NaN}\n', ":1: no JSON: NaN is no JSON number"),
        (b'{"text": "a", "x": 1e999}\n', ":1: no JSON: 1e999 is no JSON number"),
        (b'{"text": "\\ud83d"}\n', ":1: no JSON: 'utf-8' codec can't encode"),
        (GOOD + b"[" * 100_000 + b"\n", ":2: no JSON: "),
        (GOOD + b'{"text": "\xe9t\xe9"}\n', ":2: not UTF-8 (byte 0xe9 at 11)"),
        ('{"text": "a"}\n'.encode("utf-16"), ":1: not UTF-8 (byte 0xff at 1)"),
        (b"", " holds no prompts"),
        (b"\xef\xbb\xbf", " holds no prompts"),
        (b"\n \n", " holds no prompts"),
    ],
)
def test_broken_jsonl(tmp_path: Path, content: bytes, reason: str) -> None:
    """The file, the line and the parser's reason are named."""
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)

    assert reason in refusal(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("prompt,id\na,1\n", ': no column "text"; the columns are: prompt, id'),
        ("text;answer\na;b\n", ': no column "text"; the columns are: text;answer'),
        ("text,answer\na,b\nc\n", ":3: 1 cells under 2 columns: text, answer"),
        ("text,answer\na,b,c\n", ":2: 3 cells under 2 columns: text, answer"),
        ("text,id,id\na,1,2\n", ": two columns are called id"),
        ('text,id\n"a\nb",1\n,2\n', ':4: "text" is empty'),
        ('text,id\na,1\n"b,2\nc,3\n', ":3: no CSV: unexpected end of data"),
        ('text,id\n"a"b,1\n', ":2: no CSV: ',' expected after '\"'"),
        ("text,id\na,1\n\udce9,2\n", ":3: not UTF-8 (byte 0xe9 at 1)"),
        ("text\n" + "a" * 200_000, ":2: no CSV: field larger than field limit"),
        ("text,answer\n", " holds no prompts"),
        ("", " holds no prompts"),
    ],
)
def test_broken_csv(tmp_path: Path, content: str, reason: str) -> None:
    """The file, the line a row begins on, and what is wrong with it are named."""
    path = tmp_path / "mine.csv"
    path.write_bytes(content.encode(errors="surrogateescape"))

    assert reason in refusal(path)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (
            {"prompt": ["a"], "id": [1]},
            ': no column "text"; the columns are: prompt, id',
        ),
        ({"text": ["a", None]}, ':2: "text" is empty'),
        ({"text": ["a", ""]}, ':2: "text" is empty'),
        ({"text": [1]}, ':1: "text" must be a string, not a value of type int'),
        ({"text": [b"a"]}, ':1: "text" must be a string, not a value of type bytes'),
        ({"text": pa.array([], pa.string())}, " holds no prompts"),
    ],
)
def test_unfit_parquet(tmp_path: Path, columns: dict[str, object], reason: str) -> None:
    """The file, the row from 1, and what is wrong with it are named."""
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table(columns), path)

    assert reason in refusal(path)


def test_corrupt_parquet(tmp_path: Path) -> None:
    """A file that is cut off, or no Parquet at all, is called broken."""
    whole, cut, none = (tmp_path / f"{n}.parquet" for n in ("whole", "cut", "none"))
    pq.write_table(pa.table({"text": ["a"] * 1000}), whole)
    cut.write_bytes(whole.read_bytes()[:-20])
    none.write_bytes(b"text\na\n")

    assert "broken Parquet: " in refusal(cut)
    assert "broken Parquet: " in refusal(none)


def test_parquet_with_text_that_is_no_utf8(tmp_path: Path) -> None:
    """Arrow does not check what it stores as text."""
    offsets = pa.array([0, 1], pa.int32()).buffers()[1]
    text = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xe9"))
    path = tmp_path / "mine.parquet"
    pq.write_table(pa.table({"text": text}), path)

    assert "broken Parquet: 'utf-8' codec can't decode byte 0xe9" in refusal(path)


def test_parquet_with_a_value_json_cannot_hold(tmp_path: Path) -> None:
    """A duration has no JSON form; its type is named."""
    path = tmp_path / "mine.parquet"
    lasting = pa.array([5], pa.duration("s"))
    pq.write_table(pa.table({"text": ["a"], "lasting": lasting}), path)

    assert ":1: " in refusal(path)
    assert "timedelta" in refusal(path)


def test_a_broken_txt(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are named with their line; blank lines are no prompts."""
    latin, blank = tmp_path / "latin.txt", tmp_path / "blank.txt"
    latin.write_bytes("one\ntwé\n".encode("latin-1"))
    blank.write_text("\n\n")

    assert ":2: not UTF-8 (byte 0xe9 at 3); save the file as UTF-8" in refusal(latin)
    assert "holds no prompts" in refusal(blank)


def test_a_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    """Files of a similar name in that folder are offered, others not."""
    (tmp_path / "prompts.jsonl").touch()
    (tmp_path / "zebra.csv").touch()

    message = refusal(tmp_path / "promts.jsonl")

    assert "no file" in message
    assert "near it: prompts.jsonl" in message
    assert "zebra" not in message


def test_a_missing_folder(tmp_path: Path) -> None:
    """Nothing is near a file in a folder that does not exist."""
    assert "no file" in refusal(tmp_path / "nowhere" / "prompts.jsonl")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """A folder is refused even when it is called like a file."""
    (tmp_path / "mine.parquet").mkdir()

    assert "is a folder" in refusal(tmp_path / "mine.parquet")


@pytest.mark.parametrize("name", ["mine.json", "mine.jsonl.gz", "mine"])
def test_an_unknown_extension_names_the_known_ones(tmp_path: Path, name: str) -> None:
    """The message says what can be read."""
    (tmp_path / name).write_bytes(GOOD)

    message = refusal(tmp_path / name)

    assert f'"{Path(name).suffix}"' in message
    assert ".jsonl, .csv, .parquet, .txt" in message


def test_a_bad_dataset_is_a_users_mistake() -> None:
    """The command ends with exit code 2."""
    assert DatasetError.exit_code == 2
