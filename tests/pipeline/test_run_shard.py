"""A shard's rows are there, whatever its prompts do to the model, or to the process."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flowglass.datasets.prompt import Prompt
from flowglass.pipeline.errors import PlanError
from flowglass.pipeline.progress import Silent
from flowglass.pipeline.prompts import TokenisedPrompt
from flowglass.pipeline.rows import as_table
from flowglass.pipeline.run_shard import (
    DeviceLost,
    ShardRows,
    in_parts,
    is_device_lost,
    is_out_of_memory,
    reason_of,
    run_shard,
)
from flowglass.store.files import LocalFiles
from flowglass.store.parquet import to_parquet
from flowglass.store.schema import TABLES
from flowglass.store.suspects import Trail

from .shards import (
    FOLDER,
    PROMPTS,
    SETTINGS,
    batches,
    died,
    disturb,
    ids_of,
    loaded,
    tokeniser,
)

ALL = {prompt_id for prompt_id, _, _ in PROMPTS}
NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't "
        "allocate memory: you tried to allocate 68719476736 bytes."
    ),
]


def run(
    folder: Path, prompts: Sequence[tuple[int, str, Prompt]] = PROMPTS
) -> ShardRows:
    """One attempt at the shard, whose trail stays."""
    trail = Trail(LocalFiles(folder), FOLDER, 0)
    return run_shard(loaded(), tokeniser(), prompts, trail, Silent())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> ShardRows:
    """The shard, when nothing happens."""
    return run(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture(autouse=True)
def freed(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """What `free_memory` was called for: it looks through all of a test session."""
    calls: list[None] = []
    monkeypatch.setattr(
        "flowglass.pipeline.run_shard.free_memory", lambda: calls.append(None)
    )
    return calls


@pytest.fixture
def again(tmp_path: Path) -> Callable[[], ShardRows]:
    return lambda: run(tmp_path)


def assert_close(found: ShardRows, due: ShardRows, prompt_ids: set[int] = ALL) -> None:
    """Rows of these prompts that differ by a rounding step at most, and no others."""
    for name in ("prompts", "targets", "tokens", "steps", "edges", "importance"):
        got, wanted = (by_key(name, of.tables[name]) for of in (found, due))
        assert {key[0] for key in got} <= prompt_ids
        wanted = {key: row for key, row in wanted.items() if key[0] in prompt_ids}
        both = [key for key in wanted if key in got]
        np.testing.assert_allclose(
            np.array([got[key] for key in both], dtype=float),
            np.array([wanted[key] for key in both], dtype=float),
            rtol=2**-6,
            atol=1e-5,
        )
        for key in got.keys() ^ wanted.keys():  # right at the cutoff
            (row,) = [rows[key] for rows in (got, wanted) if key in rows]
            assert min(row) == pytest.approx(SETTINGS.cutoff, rel=2**-6)


def by_key(name: str, table: pa.Table) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The measured values of every row, by what else it says; prompt_id is first."""
    fields = [f for f in TABLES[name].schema if f.name != "n_edges"]
    measured = [f.name for f in fields if pa.types.is_floating(f.type)]
    keys = [f.name for f in fields if f.name not in measured]
    assert keys[0] == "prompt_id"
    said, values = (
        zip(*(table[name].to_pylist() for name in names), strict=True)
        for names in (keys, measured)
    )
    return dict(zip(said, values, strict=True))


def assert_same(found: ShardRows, due: ShardRows) -> None:
    """Every table, bit for bit."""
    assert found.tables.keys() == due.tables.keys()
    for name in due.tables:
        assert found.tables[name] == due.tables[name], name


def quarantined(rows: ShardRows) -> dict[int, str]:
    """The reasons, by prompt."""
    found = rows.tables["quarantine"].to_pylist()
    assert len({row["prompt_id"] for row in found}) == len(found)
    return {row["prompt_id"]: row["reason"] for row in found}


def test_another_number_of_threads_makes_no_difference_but_rounding(
    undisturbed: ShardRows, again: Callable[[], ShardRows]
) -> None:
    """They add up in another order: as where a sweep goes on with workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(before + 2)
    try:
        found = again()
    finally:
        torch.set_num_threads(before)
    assert_close(found, undisturbed)


@pytest.mark.parametrize(
    ("error", "most"),
    [*((error, 2) for error in NO_MEMORY), (NO_MEMORY[0], 1)],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_a_batch_without_memory_is_halved_until_it_fits(
    error: Exception,
    most: int,
    undisturbed: ShardRows,
    again: Callable[[], ShardRows],
    freed: list[None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rows are there within a rounding step, and it is counted."""

    def little_memory(batch: Sequence[TokenisedPrompt]) -> None:
        if len(batch) > most:
            raise error

    disturbed = disturb(monkeypatch, little_memory)
    found = again()
    assert not quarantined(found)
    assert_close(found, undisturbed)
    assert found.n_splits == sum(len(asked) > most for asked in disturbed.asked)
    assert len(freed) == found.n_splits
    # A batch of 5 is one of 3 and 2, and one of 3 is one of 2 and 1.
    splits = {1: (0, 1, 2, 3, 4), 2: (0, 0, 1, 1, 2)}[most]
    assert found.n_splits == sum(splits[len(batch) - 1] for batch in batches())


def test_a_prompt_that_fits_in_no_way_is_set_aside(
    undisturbed: ShardRows,
    again: Callable[[], ShardRows],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a reason that says so; its neighbours have rows."""
    large = batches()[3][1].prompt_id

    def little_memory(batch: Sequence[TokenisedPrompt]) -> None:
        if large in ids_of(batch):
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    disturb(monkeypatch, little_memory)
    found = again()
    assert quarantined(found) == {large: "out of memory: CUDA out of memory."}
    assert_close(found, undisturbed, ALL - {large})
    assert found.n_splits == 3  # of five, the second: 3 + 2, 2 + 1, 1 + 1


def test_a_prompt_that_fails_is_set_aside_alone(
    undisturbed: ShardRows,
    again: Callable[[], ShardRows],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its reason is the first line of the error; all others have their rows."""
    failing = {batches()[0][0].prompt_id, batches()[3][2].prompt_id}

    def fail(batch: Sequence[TokenisedPrompt]) -> None:
        if failing & ids_of(batch):
            raise IndexError("too much for me\n  in some kernel")

    disturb(monkeypatch, fail)
    found = again()
    assert quarantined(found) == dict.fromkeys(
        failing, "failed: IndexError: too much for me"
    )
    assert_close(found, undisturbed, ALL - failing)
    assert found.n_splits == 0
    texts = {prompt_id: prompt.text for prompt_id, _, prompt in PROMPTS}
    for row in found.tables["quarantine"].to_pylist():
        assert row["text"] == texts[row["prompt_id"]]
        assert (row["dataset"], row["step"], row["layer"]) == ("mixed", None, None)


def test_where_all_prompts_fail_the_tables_can_be_committed(
    again: Callable[[], ShardRows], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are empty but for the quarantine, and of the schema."""

    def fail(batch: Sequence[TokenisedPrompt]) -> None:
        raise RuntimeError("no")

    disturb(monkeypatch, fail)
    found = again()
    assert quarantined(found) == dict.fromkeys(ALL, "failed: RuntimeError: no")
    assert found.tables.keys() >= {"prompts", "targets", "component_stats"}
    for name, table in found.tables.items():
        assert table.num_rows == (len(ALL) if name == "quarantine" else 0)
        assert to_parquet(TABLES[name], table)


def test_a_lost_device_is_no_prompts_fault(
    again: Callable[[], ShardRows], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing is halved, and the next attempt knows where it was."""
    bad = batches()[2]

    def lose(batch: Sequence[TokenisedPrompt]) -> None:
        if bad[0].prompt_id in ids_of(batch):
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    disturbed = disturb(monkeypatch, lose)
    died(tmp_path)
    with pytest.raises(DeviceLost, match=r"\(CUDA error: an illegal.*same command"):
        again()
    assert len(disturbed.asked) == 3
    (noted,) = Trail(LocalFiles(tmp_path), FOLDER, 0).earlier
    assert noted == ids_of(bad)


@pytest.mark.parametrize(
    ("error", "of_memory", "lost"),
    [
        *((error, True, False) for error in NO_MEMORY),
        (RuntimeError("CUDA error: out of memory\nCompile with"), True, False),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"),
            True,
            False,
        ),
        (RuntimeError("MPS backend out of memory (MPS allocated"), True, False),
        (RuntimeError("CUDA error: device-side assert triggered"), False, True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, False),
        (ValueError("CUDA error, or so the model's own code says"), False, False),
        (KeyError("out of memory"), False, False),
    ],
)
def test_errors_are_told_apart(error: Exception, of_memory: bool, lost: bool) -> None:
    """A smaller batch, a new process, or none of both."""
    assert is_out_of_memory(error) == of_memory
    assert is_device_lost(error) == lost
    assert reason_of(error).startswith("out of memory: " if of_memory else "failed: ")


def test_an_error_without_words_has_a_reason() -> None:
    """Python's own MemoryError says nothing."""
    assert reason_of(MemoryError()) == "out of memory: MemoryError()"


@pytest.mark.parametrize(("n", "due"), [(1, [5]), (2, [3, 2]), (4, [2, 2, 1])])
def test_parts_are_nearly_equal(n: int, due: list[int]) -> None:
    """All of a batch, in its order."""
    batch = batches()[2]
    parts = in_parts(batch, n)
    assert [len(part) for part in parts] == due
    assert [prompt for part in parts for prompt in part] == batch


def deaths_at() -> Iterator[tuple[str, list[set[int]]]]:
    """What attempts noted that died, though no prompt was at fault."""
    batch = ids_of(batches()[2])
    one = {min(batch)}
    yield "unknown", []
    yield "a batch", [batch]
    yield "one prompt", [one]
    yield "a batch, then one of it", [batch, one]
    yield "two batches", [batch, ids_of(batches()[0])]
    yield "a batch and one of another", [batch, {batches()[4][1].prompt_id}]
    yield "prompts that are not here", [{700}, {700}, {701, 702}, {701, 702}]


@pytest.mark.parametrize(
    "notes", [notes for _, notes in deaths_at()], ids=[name for name, _ in deaths_at()]
)
def test_deaths_leave_no_trace_in_the_rows(
    notes: list[set[int]],
    undisturbed: ShardRows,
    again: Callable[[], ShardRows],
    tmp_path: Path,
) -> None:
    """Bit for bit: prompts are tried alone, and run in their batches all the same."""
    died(tmp_path, *notes)
    assert_same(again(), undisturbed)


def test_a_careful_attempt_tries_the_suspects_alone(
    again: Callable[[], ShardRows], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of the named batch, or only the one that was named alone."""
    named = batches()[2]
    in_batches = [ids_of(batch) for batch in batches()]
    disturbed = disturb(monkeypatch)
    died(tmp_path, ids_of(named))
    again()
    alone = [{prompt.prompt_id} for prompt in named]
    assert disturbed.asked == in_batches[:2] + alone + in_batches[2:]
    disturbed.asked.clear()
    died(tmp_path, {named[1].prompt_id})
    again()
    assert disturbed.asked == in_batches[:2] + alone[1:2] + in_batches[2:]


def test_one_that_died_twice_alone_is_never_run(
    undisturbed: ShardRows,
    again: Callable[[], ShardRows],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It is in quarantine, with its deaths; the others of its batch have rows."""
    killer = batches()[3][3].prompt_id
    disturbed = disturb(monkeypatch)
    died(tmp_path, {killer}, {killer}, {min(ALL - {killer})})
    found = again()
    assert quarantined(found) == {
        killer: "killed its process: 2 times when it was run alone"
    }
    assert not any(killer in asked for asked in disturbed.asked)
    assert_close(found, undisturbed, ALL - {killer})


def test_a_batch_of_one_that_died_twice_is_never_run(
    again: Callable[[], ShardRows], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing of its batch is left to be run."""
    (killer,) = ids_of(batches()[0])
    disturbed = disturb(monkeypatch)
    died(tmp_path, {killer}, {killer})
    assert quarantined(again()).keys() == {killer}
    assert ids_of(batches()[0]) not in disturbed.asked


@pytest.mark.parametrize(("deaths", "sizes"), [(2, [3, 2]), (3, [2, 2, 1])])
def test_a_batch_that_died_more_than_once_needs_less_at_once(
    deaths: int,
    sizes: list[int],
    undisturbed: ShardRows,
    again: Callable[[], ShardRows],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """It is run in halves, then in quarters; no want of memory was seen for that."""
    named = ids_of(batches()[2])
    disturbed = disturb(monkeypatch)
    died(tmp_path, *[named] * deaths)
    found = again()
    assert [len(asked) for asked in disturbed.asked if asked & named] == sizes
    assert [ids_of(batch) for batch in batches() if ids_of(batch) != named] == [
        asked for asked in disturbed.asked if not asked & named
    ]
    assert_close(found, undisturbed)
    assert found.n_splits == 0


def test_nothing_is_blamed_for_a_death_while_rows_are_written(
    again: Callable[[], ShardRows], tmp_path: Path
) -> None:
    """The next shard is computed meanwhile; the last batch of this one was done."""
    died(tmp_path)
    again()
    assert Trail(LocalFiles(tmp_path), FOLDER, 0).earlier == ()


def test_what_is_wrong_with_the_prompts_is_raised(tmp_path: Path) -> None:
    """It is no failure of the model: planning says the same."""
    long = Prompt("word " * 5000)
    with pytest.raises(PlanError, match="prompt 0"):
        run(tmp_path, [(0, "mixed", long)])


class Death(BaseException):
    """As a process dies: nothing is caught, and no file is taken away."""


class Tokenised:
    """A Tokeniser of prompts that are tokenised already."""

    def __init__(self) -> None:
        self.settings, self.token_text = SETTINGS, tokeniser().token_text
        self._prompts = tokeniser()(PROMPTS)

    def __call__(self, prompts: object) -> list[TokenisedPrompt]:
        return self._prompts


@dataclass
class Deadly:
    """`analyse` without a model: a row for every prompt, or what is wrong with some."""

    killers: frozenset[int]
    failing: frozenset[int]
    most: int
    """Prompts that fit into memory; more at once are the death of the process."""
    fails_first: bool
    """Whether a batch with both fails before it dies."""
    stray: int | None
    """The call that somebody's kill -9 falls into."""
    calls: int = 0

    def __call__(
        self, model: object, batch: Sequence[TokenisedPrompt], *_: object
    ) -> dict[str, pa.Table]:
        self.calls += 1
        ids = ids_of(batch)
        if self.fails_first and ids & self.failing:
            raise RuntimeError("fails")
        if ids & self.killers or len(ids) > self.most or self.calls == self.stray:
            raise Death
        if ids & self.failing:
            raise RuntimeError("fails")
        rows = {field.name: [None] * len(ids) for field in TABLES["prompts"].schema}
        rows["prompt_id"] = [prompt.prompt_id for prompt in batch]
        return {
            "prompts": as_table("prompts", [rows]),
            "quarantine": as_table("quarantine", []),
        }

    @property
    def most_deaths(self) -> int:
        """One that nobody noted, one of somebody's doing; a batch is named once, each
        of its killers dies twice alone, and then less and less is run at once."""
        each = 1 + ceil(log2(max(map(len, batches())))) + 1
        bad = sum(
            len(batch) > self.most or bool(self.killers & ids_of(batch))
            for batch in batches()
        )
        stray = 0 if self.stray is None else 1 + each
        return 1 + stray + each * bad + 2 * len(self.killers)


SOME = st.frozensets(st.sampled_from(sorted(ALL)), max_size=5)


@given(
    deadly=st.builds(
        Deadly,
        killers=SOME,
        failing=SOME,
        most=st.sampled_from([99, 4, 3, 2, 1]),
        fails_first=st.booleans(),
        stray=st.none() | st.integers(1, 40),
    )
)
@settings(deadline=None, max_examples=25)
def test_deaths_end_with_the_deadly_prompts_in_quarantine(deadly: Deadly) -> None:
    """Attempt after attempt, as the trail is left; no other prompt lacks its row."""
    tokenised, model, deaths = Tokenised(), loaded(), 0
    with (
        TemporaryDirectory() as folder,
        patch("flowglass.pipeline.run_shard.analyse", deadly),
        patch("flowglass.store.files._fsync"),
    ):
        files = LocalFiles(Path(folder))
        while True:
            trail = Trail(files, FOLDER, 0)
            try:
                found = run_shard(model, tokenised, PROMPTS, trail, Silent())  # type: ignore[arg-type]
                break
            except Death:
                deaths += 1
                assert deaths <= deadly.most_deaths
        trail.forget()
        assert files.listdir(f"{FOLDER}/suspects") == []
    reasons = quarantined(found)
    killed = {p for p, reason in reasons.items() if "killed its process" in reason}
    assert reasons.keys() == deadly.killers | deadly.failing
    assert killed >= deadly.killers - deadly.failing
    assert killed <= deadly.killers
    ran = found.tables["prompts"]["prompt_id"].to_pylist()
    assert sorted(ran) == sorted(ALL - reasons.keys())
