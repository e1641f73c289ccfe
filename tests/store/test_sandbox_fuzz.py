"""Thousands of random statements: none leaves the sandbox, none ends its caller."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowglass.store import StoreError
from flowglass.store.landlock import version
from flowglass.store.render import write_table
from flowglass.store.sandbox import Limits, Sandbox, open_sandbox
from flowglass.store.shown import PLAIN

from .builders import make_plan, write_run
from .fuzz import Words, statement, words
from .sandboxed import on_disk, unguarded

BLOCK = 100
BLOCKS = 100 if os.environ.get("FLOWGLASS_SOAK") else 10
UNGUARDED_BLOCKS = BLOCKS // 5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, and a file beside it that nobody may touch."""
    world = tmp_path_factory.mktemp("world")
    write_run(world / "store", make_plan())
    (world / "canary").write_text("hunter2")
    return world


@pytest.fixture(scope="module")
def sandbox(world: Path) -> Iterator[Sandbox]:
    with open_sandbox(world / "store", Limits(0.5, "300MB", 2)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def known() -> Words:
    return words()


def aimed(seed: int, known: Words, world: Path) -> str:
    """A random statement; what names a place names one here."""
    sql = statement(seed, known)
    places = {"{file}": "canary", "{new}": "new", "{root}": "store", "{world}": "."}
    for mark, place in places.items():
        sql = sql.replace(mark, str(world / place))
    return sql


@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_statements_do_no_harm(
    sandbox: Sandbox, world: Path, known: Words, block: int
) -> None:
    """Every answer is a table to look at or a StoreError; every file is as it was."""
    before = on_disk(world)
    answers = 0
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        sql = aimed(seed, known, world)
        said = io.StringIO()
        try:
            write_table(sandbox.query(sql, limit=40, kept=PLAIN), said)
            answers += 1
        except StoreError as error:
            said.write(str(error))
        assert said.getvalue() != "", sql
        assert "hunter2" not in said.getvalue(), sql
    assert on_disk(world) == before
    assert sandbox.query("SELECT count(*) AS n FROM edges").table["n"].to_pylist() == [
        12
    ]
    assert answers > 0, "all of them are nonsense: nothing was tried"


@pytest.mark.skipif(version() == 0, reason="this system has no Landlock")
@pytest.mark.parametrize("block", range(UNGUARDED_BLOCKS))
def test_random_statements_that_no_guard_has_seen_do_no_harm(
    world: Path, known: Words, block: int
) -> None:
    """Nor is it the guard alone that keeps them in."""
    before = on_disk(world)
    with open_sandbox(world / "store", Limits(0.5, "300MB", 2)) as sandbox:
        for seed in range(-(block + 1) * BLOCK, -block * BLOCK):
            sql = aimed(seed, known, world)
            assert "hunter2" not in unguarded(sandbox, sql), sql
    assert on_disk(world) == before
