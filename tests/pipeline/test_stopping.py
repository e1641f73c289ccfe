"""A signal ends a sweep in order, and a second one at once."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import typer

from flowglass.pipeline import corpus, progress, stopping
from flowglass.pipeline.cli import do_sweep
from flowglass.pipeline.progress import Lines
from flowglass.pipeline.stopping import Stop

from .commands import attempts, commits
from .shards import quick_model


@pytest.fixture
def handlers() -> Iterator[None]:
    """Those of this process are put back."""
    before = {number: signal.getsignal(number) for number in stopping.SIGNALS}
    yield
    assert {n: signal.getsignal(n) for n in stopping.SIGNALS} == before


class Exited(BaseException):
    """In place of the end of this process."""


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_the_first_signal_asks_and_the_second_ends(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People are told; what is to be called is called, in threads of its own."""

    def leave(code: int) -> None:
        raise Exited(code)

    monkeypatch.setattr(stopping.os, "_exit", leave)
    stop, lines, called = Stop(), [], [Event(), Event()]
    for event in called:
        stop.call(event.set)
    with stop.on_signals(lines.append):
        assert not stop.asked
        os.kill(os.getpid(), number)
        for event in called:
            assert event.wait(10)
        assert stop.asked
        assert stop.signal is number
        assert lines == ["stopping after the shards in work; once more to stop at once"]
        with pytest.raises(Exited) as exited:
            signal.raise_signal(signal.SIGTERM)
    assert exited.value.args == (128 + signal.SIGTERM,)
    assert len(lines) == 1


@pytest.mark.usefixtures("handlers")
def test_handlers_are_put_back_after_an_error() -> None:
    """Ctrl-C is again what it was."""
    with pytest.raises(ValueError, match="mine"), Stop().on_signals(print):
        raise ValueError("mine")


def test_nobody_asks_a_sweep_that_gets_no_signal() -> None:
    """Nothing is called."""
    stop, called = Stop(), Event()
    stop.call(called.set)
    with stop.on_signals(print):
        pass
    assert not stop.asked
    assert not called.is_set()


class Terminated(Lines):
    """Sends SIGTERM to this process when the first shard is committed."""

    _sent = False

    def wrote(self, n_bytes: int) -> None:
        if not self._sent:
            self._sent = True
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.usefixtures("handlers")
def test_the_command_ends_after_the_shards_in_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exit code of the signal; it says how to go on, and no mark of an attempt
    is left."""
    monkeypatch.setattr(corpus, "SHARD_PROMPTS", 4)
    monkeypatch.setattr(progress, "reporter", Terminated)
    quick_model(monkeypatch)
    rows = {"neurons": 0, "project": "none", "limit": 24}
    with pytest.raises(typer.Exit) as ended:
        do_sweep({"model": "tiny-llama", "data": "ioi", "store": tmp_path, **rows})
    assert ended.value.exit_code == 128 + signal.SIGTERM
    said = capsys.readouterr()
    assert "once more to stop at once" in said.err
    assert "the same command goes on" in said.out
    assert 1 <= len(commits(tmp_path)) <= 4
    assert not attempts(tmp_path)
    assert not list(tmp_path.glob("runs/*/tmp/*"))
