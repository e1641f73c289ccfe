"""Whatever is typed into a sandbox, the store and all around it stay as they were."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from flowglass.store import StoreError, sandbox_process
from flowglass.store.landlock import version
from flowglass.store.sandbox import LimitReached, Limits, Sandbox, open_sandbox

from .attacks import ATTACKS, BOMBS, READ, WRITE
from .builders import make_plan, write_run
from .sandboxed import WITHOUT_LANDLOCK, answered, on_disk, unguarded

SECRET = "hunter2"
QUICK = Limits(0.3, "200MB", 2)

needs_landlock = pytest.mark.skipif(
    version() == 0, reason="this system has no Landlock"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store, and around it what no query may see: files, and a variable."""
    world = tmp_path_factory.mktemp("world")
    root = world / "store"
    write_run(root, make_plan())
    (world / "secret.txt").write_text(SECRET)
    (world / "outside.csv").write_text(f"a\n{SECRET}\n")
    parquet = f"COPY (SELECT '{SECRET}' AS a) TO '{{}}' (FORMAT parquet)"
    with duckdb.connect() as connection:
        for folder in (root / "runs_evil", world / "store_evil" / "runs"):
            folder.mkdir(parents=True)
            connection.sql(parquet.format(folder / "x.parquet"))
        connection.sql(parquet.format(world / "outside.parquet"))
    with duckdb.connect(str(world / "other.duckdb")) as other:
        other.execute(f"CREATE TABLE t AS SELECT '{SECRET}' AS a")
    (root / "runs" / "link.txt").symlink_to(world / "secret.txt")
    (root / "runs" / "link.parquet").symlink_to(world / "outside.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWGLASS_SECRET", SECRET)
        patch.chdir(world)
        yield world


@pytest.fixture(scope="module")
def untouched(world: Path) -> dict[str, str]:
    return on_disk(world)


@pytest.fixture(scope="module")
def sandbox(world: Path) -> Iterator[Sandbox]:
    with open_sandbox(world / "store", Limits(10, "500MB", 2)) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def open_to_all(world: Path) -> Iterator[Sandbox]:
    """One whose guard is passed by."""
    with open_sandbox(world / "store", Limits(10, "500MB", 2)) as sandbox:
        yield sandbox


def committed(world: Path) -> Path:
    """The file that is attacked."""
    return min((world / "store").glob("runs/*/data/edges/shard=000000/*"))


def aimed(attack: str, world: Path) -> str:
    """The statement, at this store."""
    return attack.format(
        root=world / "store",
        world=world,
        file=committed(world),
        new=world / "store" / "runs" / "new",
    )


def test_there_are_enough_attacks() -> None:
    """And none is tried twice."""
    assert len(set(ATTACKS)) == len(ATTACKS) >= 60


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused(
    sandbox: Sandbox, world: Path, untouched: dict[str, str], attack: str
) -> None:
    """In one line that tells no secret; nothing has changed, here or around."""
    with pytest.raises(StoreError) as refusal:
        sandbox.query(aimed(attack, world), limit=40)
    assert SECRET not in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert on_disk(world) == untouched
    assert sandbox.query("SELECT count(*) AS n FROM edges, runs").table["n"][0].as_py()


@needs_landlock
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_that_no_guard_has_seen_fails(
    open_to_all: Sandbox, world: Path, untouched: dict[str, str], attack: str
) -> None:
    """The layers below hold by themselves: nothing written, no secret read."""
    said = unguarded(open_to_all, aimed(attack, world))
    assert SECRET not in said
    assert on_disk(world) == untouched


OVERWRITE = (
    "WITH x AS (COPY (SELECT 1) TO './{}' (FORMAT parquet, USE_TMP_FILE false)) "
    "SELECT 1"
)


@needs_landlock
def test_landlock_keeps_what_a_locked_duckdb_would_overwrite(
    open_to_all: Sandbox, world: Path
) -> None:
    """The store's own files lie where DuckDB may read, and so it would write there."""
    file = committed(world)
    before = file.read_bytes()
    said = unguarded(open_to_all, OVERWRITE.format(file.relative_to(world / "store")))
    assert "Permission denied" in said
    assert file.read_bytes() == before


def test_without_guard_and_landlock_a_file_is_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the two tests above would notice if those layers were gone."""
    monkeypatch.setattr(sandbox_process, "COMMAND", WITHOUT_LANDLOCK)
    write_run(tmp_path, make_plan())
    file = next(tmp_path.glob("runs/*/data/edges/shard=000000/*"))
    before = file.read_bytes()
    with open_sandbox(tmp_path, Limits(10, "500MB", 2)) as sandbox:
        said = unguarded(sandbox, OVERWRITE.format(file.relative_to(tmp_path)))
    assert said == answered({"1": "1"})
    assert file.read_bytes() != before


def test_without_landlock_the_guard_still_refuses(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are then out of reach for the guard and DuckDB alone."""
    monkeypatch.setattr(sandbox_process, "COMMAND", WITHOUT_LANDLOCK)
    before = on_disk(world)
    with open_sandbox(world / "store", Limits(10, "500MB", 2)) as sandbox:
        for attack in (*WRITE, *READ):
            with pytest.raises(StoreError):
                sandbox.query(aimed(attack, world))
    assert on_disk(world) == before


@pytest.fixture(scope="module")
def bombed(world: Path) -> Iterator[Sandbox]:
    with open_sandbox(world / "store", QUICK) as sandbox:
        sandbox.query("SELECT 1")
        yield sandbox


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_stopped(bombed: Sandbox, name: str) -> None:
    """Soon, with an error or a part of the answer; the next query is answered."""
    started = time.monotonic()
    with suppress(StoreError):
        assert bombed.query(BOMBS[name], limit=40).table.num_rows <= 40
    assert time.monotonic() - started < 8
    assert bombed.query("SELECT count(*) AS n FROM edges").table["n"].to_pylist() == [
        12
    ]


def test_temporary_files_are_bounded(world: Path) -> None:
    """A sort of more than fits is stopped, and its files are gone."""
    with open_sandbox(world / "store", Limits(60, "50MB", 2)) as sandbox:
        sandbox.query("SELECT 1")
        assert sandbox._session is not None
        temp = Path(sandbox._session.process.temp)
        with pytest.raises(LimitReached, match="more than 50MB"):
            sandbox.query(BOMBS["sort"])
        assert not temp.exists()
