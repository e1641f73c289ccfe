"""What attempts at a shard leave for the next one; and writers that join a run."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from flowglass.store import StoreError
from flowglass.store.files import Files, LocalFiles
from flowglass.store.layout import files_at
from flowglass.store.plan import plan_to_bytes
from flowglass.store.run import RunWriter
from flowglass.store.suspects import Trail

from .builders import commit_shard, make_plan, write_run

FOLDER = "runs/run_id=x"


@pytest.fixture(params=["local", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """A folder of this test's own, on a disk and on an object store."""
    if request.param == "local":
        return LocalFiles(tmp_path)
    _, bucket = request.getfixturevalue("s3")
    return files_at(f"{bucket}/{uuid4().hex[:8]}")


def begin(files: Files, shard: int = 3) -> Trail:
    return Trail(files, FOLDER, shard)


def left_over(files: Files) -> list[str]:
    return files.listdir(f"{FOLDER}/suspects")


def contents(files: Files) -> list[bytes]:
    return [files.read(f"{FOLDER}/suspects/{name}") for name in left_over(files)]


def test_the_first_attempt_notes_nothing(files: Files) -> None:
    """It costs one empty file, whatever it does."""
    trail = begin(files)
    assert (trail.earlier, trail.careful) == ((), False)
    trail.note([1, 2])
    assert contents(files) == [b""]


def test_the_second_attempt_is_careful_and_notes(files: Files) -> None:
    """It knows that one died and not at what; its last note counts for the third."""
    begin(files)
    second = begin(files)
    assert (second.earlier, second.careful) == ((), True)
    second.note([5, 2])
    second.note(n for n in (7, 1))
    third = begin(files)
    assert third.earlier == (frozenset({1, 7}),)
    assert sorted(contents(files)) == [b"", b"", b'{"prompt_ids": [1, 7]}']


def test_deaths_at_the_same_prompts_are_counted(files: Files) -> None:
    """Every attempt has a file of its own."""
    begin(files)
    for _ in range(3):
        begin(files).note([4])
    assert begin(files).earlier == (frozenset({4}),) * 3


def test_one_that_says_it_is_at_no_prompt_blames_none(files: Files) -> None:
    """As while its rows are written: the note before that is void."""
    begin(files)
    second = begin(files)
    second.note([4])
    second.note([])
    third = begin(files)
    assert (third.earlier, third.careful) == ((), True)


def test_an_attempt_that_ends_leaves_what_others_left(files: Files) -> None:
    """It takes away its own file alone; a second time does nothing."""
    begin(files)
    begin(files).note([8])
    ending = begin(files)
    ending.note([9])
    ending.end()
    ending.end()
    assert len(left_over(files)) == 2
    assert begin(files).earlier == (frozenset({8}),)


def test_a_committed_shard_is_forgotten(files: Files) -> None:
    """All attempts at it, the one at work elsewhere too, and no other shard's."""
    begin(files, shard=30)
    elsewhere = begin(files)
    last = begin(files)
    last.note([1])
    last.forget()
    assert [name[:7] for name in left_over(files)] == ["000030-"]
    elsewhere.end()
    assert not begin(files).careful


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b'{"prompt_ids": 7}',
        b'{"prompt_ids": [null]}',
        b'{"prompt_ids": ["x"]}',
        b'{"ids": [7]}',
        b'{"prompt_ids": [1',
        b"\xff\xfe{",
    ],
)
def test_a_damaged_note_says_as_little_as_an_empty_one(
    damaged: bytes, tmp_path: Path
) -> None:
    """Half written, or by something else: an attempt died, nobody knows at what."""
    files = LocalFiles(tmp_path)
    begin(files)
    (own,) = left_over(files)
    (tmp_path / FOLDER / "suspects" / own).write_bytes(damaged)
    trail = begin(files)
    assert (trail.earlier, trail.careful) == ((), True)


def test_a_note_that_was_half_replaced_goes_with_the_others(tmp_path: Path) -> None:
    """Its draft lies beside it: nobody reads it, and it is gone once all is well."""
    files = LocalFiles(tmp_path)
    begin(files).end()
    draft = tmp_path / FOLDER / "suspects" / "000003-0123456789ab.json.4711.new"
    draft.write_bytes(b'{"prompt_ids": [1]}')
    trail = begin(files)
    assert (trail.earlier, trail.careful) == ((), False)
    trail.forget()
    assert left_over(files) == []


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store may be."""
    if request.param == "local":
        return str(tmp_path / "store")
    _, bucket = request.getfixturevalue("s3")
    return f"{bucket}/{uuid4().hex[:8]}"


def test_a_writer_joins_a_run_that_is_there(root: str) -> None:
    """It knows the shards of the first one, and adds to them."""
    first = write_run(root, make_plan(), shards=range(1))
    second = RunWriter.join(root, make_plan())
    assert second.committed() == {0}
    assert commit_shard(second, 1)
    assert first.committed() == {0, 1}
    assert second.plan == first.plan
    second.attempt(2).note([])
    assert first.attempt(2).careful


def test_a_run_that_is_not_there_cannot_be_joined(root: str) -> None:
    """Nothing is made; the message says where to put the store."""
    write_run(root, make_plan("another"), shards=range(0))
    with pytest.raises(
        StoreError, match=r"does not see .*run_id=tiny/plan\.json: put the store where"
    ):
        RunWriter.join(root, make_plan())
    assert files_at(root).listdir("runs") == ["run_id=another"]


def test_a_run_of_another_configuration_cannot_be_joined(root: str) -> None:
    """The message names what differs, as where it is begun."""
    write_run(root, make_plan(cutoff=0.01), shards=range(0))
    with pytest.raises(StoreError, match=r"settings\.cutoff \(0\.01 there, 0\.02"):
        RunWriter.join(root, make_plan(cutoff=0.02))


def cut(plan: bytes) -> bytes:
    return plan[:-9]


def rename_a_field(plan: bytes) -> bytes:
    said = json.loads(plan)
    said["shards"] = said.pop("n_shards")
    return json.dumps(said).encode()


@pytest.mark.parametrize("damage", [cut, rename_a_field])
def test_a_damaged_plan_cannot_be_joined(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """One line, with the path."""
    write_run(tmp_path, make_plan(), shards=range(0))
    plan = tmp_path / "runs/run_id=tiny/plan.json"
    plan.write_bytes(damage(plan_to_bytes(make_plan())))
    with pytest.raises(StoreError, match=r"plan\.json is damaged"):
        RunWriter.join(tmp_path, make_plan())
