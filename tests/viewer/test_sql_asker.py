"""A session's queries: their seats, their time, and the processes that run them."""

from collections.abc import Iterator
from pathlib import Path
from threading import BoundedSemaphore

import pytest

from flowglass.store import open_store
from flowglass.store.store import Store
from flowglass.viewer import sql_asker
from flowglass.viewer.sql_asker import Answer, Asker, Found, Refused, Stopped

from .sql_stand import ENDLESS, PATIENCE, wait_until


@pytest.fixture(scope="module")
def store(store_path: Path) -> Iterator[Store]:
    """The made-up store."""
    with open_store(store_path) as there:
        yield there


def test_a_query_waits_for_a_seat_and_can_be_given_up(store: Store) -> None:
    """Readers share the machine; who waits is not stuck."""
    seats = BoundedSemaphore(1)
    asker, told = Asker(store, seats), list[Answer]()
    seats.acquire()
    asker.ask("select 1", told.append)
    asker.stop()
    wait_until(lambda: bool(told))
    assert told == [Stopped()]
    asker.ask("select 1", told.append)
    assert asker._sandbox is None
    seats.release()
    wait_until(lambda: len(told) == 2)
    assert isinstance(told[1], Found)
    assert seats.acquire(timeout=PATIENCE)
    asker.close()


def test_a_sandbox_ends_with_its_session_and_when_it_rests(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process stays behind; the next query gets another."""
    monkeypatch.setattr(sql_asker, "IDLE", 0.05)
    asker, told = Asker(store, BoundedSemaphore(1)), list[Answer]()
    for n in (1, 2):
        asker.ask(f"select {n}", told.append)
        wait_until(lambda n=n: len(told) == n)
        wait_until(lambda: asker._sandbox is None)
    monkeypatch.setattr(sql_asker, "IDLE", 60.0)
    asker.ask("select 3", told.append)
    wait_until(lambda: len(told) == 3)
    sandbox = asker._sandbox
    assert sandbox is not None
    process = sandbox._session.process if sandbox._session else None
    assert process is not None
    assert process.is_there

    asker.close()

    assert not process.is_there
    assert all(isinstance(answer, Found) for answer in told)


def test_a_query_has_its_time_and_memory(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More, and it is stopped with a sentence."""
    monkeypatch.setattr(sql_asker, "SECONDS", 0.5)
    asker, told = Asker(store, BoundedSemaphore(1)), list[Answer]()
    asker.ask(ENDLESS, told.append)
    wait_until(lambda: bool(told))
    asker.close()
    (answer,) = told
    assert isinstance(answer, Refused)
    assert "more than 0.5 seconds" in answer.message
