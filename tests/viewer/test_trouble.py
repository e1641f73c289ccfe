"""Where there is nothing to show, the page says why, and what to type."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowglass.store import open_store
from flowglass.store.layout import FORMAT, format_bytes
from flowglass.store.run import RunWriter
from flowglass.viewer.app import App
from flowglass.viewer.pulse import Pulse
from flowglass.viewer.sections import Note

from .synthetic import commit_shard, plan_of, write_run
from .synthetic_corpus import make_prompt
from .synthetic_flow import Shape

RUN = "tiny-0123456789ab"


@contextmanager
def app_on(root: Path, query: str = "") -> Iterator[App]:
    """A session on a store."""
    with open_store(root) as store, Pulse(store) as pulse:
        yield App(pulse, path=str(root), query=query)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with a run of two shards, in a folder whose name needs quotes."""
    root = tmp_path / "my runs"
    write_run(root, RUN, [make_prompt(i) for i in range(4)], Shape(), per_shard=2)
    return root


def cut(data: bytes) -> bytes:
    """Half of a file."""
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    """Its first page is garbage, as DuckDB notices without saying where."""
    return data[:4] + bytes(255 - byte for byte in data[4:60]) + data[60:]


def damage(root: Path, table: str, how: Callable[[bytes], bytes], shard: int) -> Path:
    """Damage a table's file of a shard; its path."""
    (path,) = root.glob(f"runs/*/data/{table}/shard={shard:06}/*")
    path.write_bytes(how(path.read_bytes()))
    return path


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    """With its own name; even where a link asks for a run."""
    (tmp_path / FORMAT).write_bytes(format_bytes())

    for query in ("", "?run=gone", "?run=gone&prompt=3"):
        with app_on(tmp_path, query) as app:
            assert "This store is empty" in app._front.note.object
            assert f"--store {tmp_path}</code>" in app._front.note.object
            assert app._front.note.visible
            assert app._front.root.visible
            assert not app._front.prompts.root.visible
            assert not app._front.map.root.visible


def test_a_run_without_prompts_says_that_they_will_come(tmp_path: Path) -> None:
    """Its row is there; a link to one of its prompts waits for it."""
    RunWriter(tmp_path, plan_of(RUN, Shape(), n_prompts=2, n_shards=1))

    with app_on(tmp_path) as app:
        assert [row[0] for row in app._front.runs.root.rows] == [RUN]
        assert "shown as they come" in app._front.note.object
        assert "the same <code>flowglass sweep</code> again" in app._front.note.object
    with app_on(tmp_path, f"?run={RUN}&prompt=1") as app:
        assert "holds no prompt 1" in app._prediction._missing.object


def test_a_run_of_which_all_was_set_aside_says_where_it_is_told(tmp_path: Path) -> None:
    """All its shards are there, and none of its prompts."""
    writer = RunWriter(tmp_path, plan_of(RUN, Shape(), n_prompts=0, n_shards=1))
    commit_shard(writer, 0, [], Shape())

    with app_on(tmp_path) as app:
        assert "SELECT prompt_id, reason FROM quarantine" in app._front.note.object


def test_a_run_that_is_not_there_is_named(root: Path) -> None:
    """And the runs that are there can be chosen."""
    with app_on(root, "?run=<b>gone</b>&prompt=1") as app:
        assert "no run <code>&lt;b&gt;gone" in app._front.note.object
        assert [row[0] for row in app._front.runs.root.rows] == [RUN]
        assert not app._front.prompts.root.visible


@pytest.mark.parametrize("table", ["tokens", "edges"])
@pytest.mark.parametrize("how", [cut, flipped])
def test_a_prediction_in_a_damaged_file_names_the_file_and_the_remedy(
    root: Path, table: str, how: Callable[[bytes], bytes]
) -> None:
    """Prompts of other shards are as they were."""
    with app_on(root) as app:
        path = damage(root, table, how, shard=1)

        app.selection.prompt = 3

        page = app._prediction
        assert page.root.visible
        assert page.is_missing
        assert not page._body.visible
        assert str(path) in page._missing.object
        remedy = f"<code>flowglass verify &#x27;{root}&#x27; --repair</code>"
        assert remedy in page._missing.object
        assert app._trail.labels[-1] == "prompt 3"

        app.selection.prompt = 0

        assert page._body.visible


@pytest.mark.parametrize("how", [cut, flipped])
def test_a_list_in_a_damaged_file_names_the_file_and_the_remedy(
    root: Path, how: Callable[[bytes], bytes]
) -> None:
    """The runs stay, to choose another."""
    with app_on(root, "?prompt=0") as app:
        path = damage(root, "prompts", how, shard=1)

        app.selection.prompt = None

        assert app._front.root.visible
        assert [row[0] for row in app._front.runs.root.rows] == [RUN]
        assert not app._front.prompts.root.visible
        assert str(path) in app._front.note.object
        assert "--repair</code>" in app._front.note.object


def test_a_panel_in_a_damaged_file_names_the_file(root: Path) -> None:
    """The rest of the prediction is shown all the same."""
    with app_on(root, "?prompt=0") as app:
        path = damage(root, "edges", cut, shard=0)

        app.selection.selected = "attn-1-5-2"

        (note,) = app._prediction._inspector.above.sections
        assert isinstance(note, Note)
        assert str(path) in note.text
        assert "--repair`" in note.text
        assert app._prediction._body.visible
