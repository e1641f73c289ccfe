"""The commands `sql` and `info`, and the program that they are part of."""

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from .builders import PROMPTS_PER_SHARD, make_plan, prompt_ids, rows, write_run
from .command import Run

QUERY = "SELECT prompt_id, text, category FROM prompts ORDER BY prompt_id"

LONG = "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b"
LARGE = "SELECT list(range) FROM range(100000000)"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of three shards; in the second a prompt was set aside."""
    root = tmp_path_factory.mktemp("store")
    writer = write_run(root, make_plan(), shards=range(1))
    bad = {"prompt_id": 3, "dataset": "ioi", "text": "odd", "reason": "no sum: 0.3"}
    counts = {"n_prompts": PROMPTS_PER_SHARD - 1, "n_tokens": 3, "n_quarantined": 1}
    tables = {"quarantine": rows("quarantine", bad)}
    writer.commit(1, tables, prompt_ids=prompt_ids(1), info=counts)
    return root


def test_rows_are_shown_as_a_table(run: Run, root: Path) -> None:
    """With null and line breaks visible, and no markup read into a text."""
    query = "SELECT 'a' || chr(10) || '[red]b' AS t, NULL AS n, 0.1::FLOAT AS f"
    code, out, _ = run("sql", root, query)
    assert code == 0
    header, _, row, end = (line.split() for line in out.splitlines() if line.strip())
    assert header == ["t", "n", "f"]
    assert row == ["a\\n[red]b", "null", "0.1"]
    assert end == ["1", "row"]


def test_a_long_table_says_how_much_more_there_is(run: Run, root: Path) -> None:
    """The first rows, and the number of the others."""
    _, out, _ = run("sql", root, "SELECT range AS n FROM range(25040)")
    assert "40 rows and 25,000 more" in out
    assert len(out.splitlines()) < 60


def test_csv_is_complete(run: Run, root: Path) -> None:
    """A header and all rows; null is empty, truth is lower case."""
    query = "SELECT range, NULL AS x, range > 1 AS y, 'a,b' AS z FROM range(20001)"
    _, out, _ = run("sql", root, query, "--format", "csv")
    lines = list(csv.reader(out.splitlines()))
    assert lines[:2] == [["range", "x", "y", "z"], ["0", "", "false", "a,b"]]
    assert len(lines) == 20002


@pytest.mark.parametrize("n", [0, 2])
def test_json_is_an_array_of_objects(run: Run, root: Path, n: int) -> None:
    """Valid with rows and without; what JSON lacks is null."""
    columns = "'NaN'::DOUBLE AS a, [1] AS b, DATE '2026-01-02' AS c, 1.5 AS d"
    query = f"SELECT {columns} FROM range({n})"
    _, out, _ = run("sql", root, query, "--format", "json")
    assert json.loads(out) == [{"a": None, "b": [1], "c": "2026-01-02", "d": 1.5}] * n


def test_a_long_answer_is_not_counted_to_its_end(run: Run, root: Path) -> None:
    """Beyond a million it says that there are more."""
    _, out, _ = run("sql", root, "FROM range(1000000000000)")
    assert "40 rows and more than 1,000,000 more, which --format csv" in out


def test_names_that_come_twice_are_numbered(run: Run, root: Path) -> None:
    """So that no column of JSON is lost."""
    _, out, _ = run("sql", root, "SELECT 1 AS a, 2 AS a, 3 AS a_2", "--format", "json")
    assert json.loads(out) == [{"a": 1, "a_3": 2, "a_2": 3}]


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_output_takes_its_format_from_its_ending(
    run: Run, root: Path, tmp_path: Path, suffix: str
) -> None:
    """The file is whole, and nothing else is left in its folder."""
    path = tmp_path / f"rows.{suffix}"
    code, out, _ = run("sql", root, QUERY, "--output", path)
    assert (code, out) == (0, f"saved {path}\n")
    read: dict[str, Callable[[], list[str]]] = {
        "csv": lambda: [row["text"] for row in csv.DictReader(path.open())],
        "json": lambda: [row["text"] for row in json.loads(path.read_text())],
        "parquet": lambda: pq.read_table(path)["text"].to_pylist(),
    }
    assert read[suffix]() == ["prompt 0", "prompt 1"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_query_leaves_the_output_as_it_was(
    run: Run, root: Path, tmp_path: Path
) -> None:
    """An error after the first rows does not cost the file of last time."""
    path = tmp_path / "rows.csv"
    path.write_text("mine")
    late = "CASE WHEN range < 90000 THEN 1 ELSE error('late') END"
    query = f"SELECT {late} FROM range(100000)"
    code, _, err = run("sql", root, query, "--output", path)
    assert code == 2
    assert "late" in err
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sql", "{root}", "SELECT haed FROM edges"], "no column 'haed': did you mean"),
        (["sql", "{root}", "FROM acuracy"], "no table 'acuracy': did you mean"),
        (["sql", "{root}", "FROM route_token()"], "did you mean route_tokens?"),
        (["sql", "{root}", "DROP VIEW edges"], "only read"),
        (["sql", "{root}", "FROM read_text('/etc/passwd')"], "is refused"),
        (["sql", "{root}", LONG, "--seconds", "0.5"], "allow more with --seconds"),
        (["sql", "{root}", LARGE, "--memory", "100MB"], "allow more with --memory"),
        (["sql", "{root}", "SELECT 1", "--memory", "much"], "an amount such as 2GB"),
        (["sql", "{root}", "SELECT 1", "--seconds", "0"], "give a time above 0"),
        (["sql", "{root}", "SELECT 1", "--format", "parquet"], "needs --output"),
        (["sql", "{root}", "SELECT 1", "--output", "no/where.csv"], "no folder no"),
        (["sql", "nowhere", "SELECT 1"], "no store at nowhere"),
        (["info", "nowhere"], "no store at nowhere"),
        (["verify", "nowhere"], "no store at nowhere: give a folder or address"),
        (["compact", "nowhere"], "no store at nowhere: give a folder or address"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    run: Run, root: Path, arguments: list[str], message: str
) -> None:
    """On standard error, with nothing on standard output and no traceback."""
    code, out, err = run(*(argument.format(root=root) for argument in arguments))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1


def test_info_shows_how_far_a_run_is(run: Run, root: Path) -> None:
    """Prompts done of those planned, tokens, size, and why some were set aside."""
    code, out, _ = run("info", root)
    assert code == 0
    said = {"tiny", "tiny-gpt2", "ioi,", "facts", "partial", "4/6", "9", "kB"}
    assert said <= {*out.split()}
    assert "tiny: 1 in quarantine, no sum (such as prompt 3)" in out


def test_version_and_help(run: Run) -> None:
    """Every folder's commands are listed."""
    assert run("--version")[1].startswith("flowglass 0.")
    code, out, _ = run("--help")
    assert code == 0
    assert {"sweep", "view", "sql", "info", "datasets"} <= {*out.split()}


def test_sql_starts_light(root: Path) -> None:
    """What draws the table, and a child that runs DuckDB; nothing of other folders."""
    heavy = "torch transformers panel pandas numpy duckdb flowglass.pipeline"
    script = (
        "import sys\n"
        f"sys.argv = ['flowglass', 'sql', {str(root)!r}, 'FROM runs']\n"
        "from flowglass.store.cli import main\n"
        "try: main()\n"
        f"finally: print('loaded', {set(heavy.split())!r} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("loaded set()\n")


def test_ctrl_c_ends_a_query(root: Path) -> None:
    """With exit code 130, while DuckDB is at work."""
    script = (
        "import signal; from flowglass.store.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print('ready', flush=True); main()"
    )
    asked = subprocess.Popen(
        [sys.executable, "-c", script, "sql", str(root), LONG],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asked.stdout is not None
    asked.stdout.readline()
    time.sleep(1)
    asked.send_signal(signal.SIGINT)
    try:
        _, err = asked.communicate(timeout=30)
    finally:
        asked.kill()
    assert asked.returncode == 130
    assert "Traceback" not in err
