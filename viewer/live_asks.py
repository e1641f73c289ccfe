"""What readers ask to have traced, and how much of it is too much."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

MAX_CHARACTERS = 20_000
MAX_PROMPTS = 50
PER_MINUTE = 20
"""Requests of one session."""


class LiveError(Exception):
    """A request that is not taken; the message is meant for the reader."""


@dataclass(frozen=True)
class Ask:
    """What a reader wants traced."""

    model: str
    texts: tuple[str, ...]
    answer: str = ""
    """Of a single prompt; empty: none."""
    distractor: str = ""

    def records(self) -> bytes:
        """The prompts as a JSON Lines file."""
        rows: list[dict[str, str]] = [{"text": text} for text in self.texts]
        if self.answer:
            rows[0]["answer"] = self.answer
        if self.distractor:
            rows[0]["distractor"] = self.distractor
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@dataclass(eq=False)
class Request:
    """An Ask on its way; the worker writes it and sessions read it."""

    ask: Ask
    save: bool = False
    said: str = "Waiting for the prompts before it …"
    done: float = 0.0
    """The share that is done, 0 to 1."""
    run_id: str = ""
    """Once the prompts are stored; of one to be saved, from the start."""
    error: str = ""
    over: bool = False
    notify: Callable[[], None] = field(default=lambda: None)

    def tell(self, said: str, done: float | None = None) -> None:
        """Let the session know how far it is."""
        self.said = said
        self.done = self.done if done is None else done
        self.notify()


class Visitor:
    """One session's requests, and how many of them it has made lately."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self._made: deque[float] = deque()

    def check(self, now: float) -> None:
        """Raise LiveError if another request is too much."""
        if self.request is not None and not self.request.over:
            raise LiveError("Your last request is not done yet: wait for it.")
        while self._made and self._made[0] <= now - 60:
            self._made.popleft()
        if len(self._made) >= PER_MINUTE:
            rest = int(self._made[0] + 60 - now) + 1
            raise LiveError(
                f"{PER_MINUTE} requests a minute are the most: wait {rest} s."
            )

    def note(self, request: Request, now: float) -> None:
        """A request of this session was taken."""
        self.request = request
        self._made.append(now)


def check(ask: Ask, models: Sequence[str]) -> Ask:
    """The Ask if it may be made; raises LiveError."""
    n = sum(map(len, ask.texts)) + len(ask.answer) + len(ask.distractor)
    if ask.model not in models:
        raise LiveError(
            "This model is not offered here: start the server with --model."
        )
    if not any(text.strip() for text in ask.texts):
        raise LiveError("Type a prompt first.")
    if n > MAX_CHARACTERS:
        raise LiveError(
            f"{n:,} characters; {MAX_CHARACTERS:,} in one request are the most."
        )
    if len(ask.texts) > MAX_PROMPTS:
        raise LiveError(
            f"{len(ask.texts):,} prompts; {MAX_PROMPTS} in one request are the most."
        )
    if len(ask.texts) > 1 and (ask.answer or ask.distractor):
        raise LiveError("An answer and a distractor are for a single prompt.")
    try:
        "".join([*ask.texts, ask.answer, ask.distractor]).encode()
    except UnicodeEncodeError:
        raise LiveError("The text holds half of a character, which is none.") from None
    return ask


def ask_of(form: dict[str, Any]) -> Ask:
    """The Ask in a form as the browser sends it, which need not be ours."""
    text = str(form.get("text", "")).replace("\r\n", "\n")
    model = str(form.get("model", ""))
    if form.get("many"):
        lines = tuple(line for line in text.split("\n") if line.strip())
        return Ask(model, lines)
    answer, distractor = (str(form.get(key, "")) for key in ("answer", "distractor"))
    return replace(Ask(model, (text,)), answer=answer, distractor=distractor)
