"""A prompt: the text a model continues, and what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NO_METADATA: Mapping[str, object] = {}
"""One empty mapping for all: a million of their own would take 64 MB."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text to trace, with the continuation that is due, where there is one.

    >>> Prompt("The capital of France is", category="capital", answer="Paris").answer
    'Paris'
    """

    text: str
    """What the model reads; never empty."""
    category: str | None = None
    """The group that aggregates are split by."""
    answer: str | None = None
    """The right continuation; a space is put before it if neither side has one."""
    distractor: str | None = None
    """A tempting wrong continuation, to measure answer minus distractor against."""
    metadata: Mapping[str, object] = field(default_factory=lambda: NO_METADATA)
    """Everything else that came with the prompt; JSON values."""

    def completed(self) -> str:
        """The text followed by its answer, as a tokenizer should see them."""
        return self.text + continuation(self.text, self.answer or "")


def continuation(text: str, answer: str) -> str:
    """The answer as it follows `text`: one space between if neither side has one.

    >>> continuation("2 + 2 =", "4"), continuation("2 + 2 = ", "4")
    (' 4', '4')
    """
    glued = not answer or answer[0].isspace() or not text or text[-1].isspace()
    return answer if glued else " " + answer
