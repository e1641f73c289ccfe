"""What pushes a target's logits: rows of `logit_attribution`, side by side.

Pure arithmetic on stored rows, no widgets. A logit is the sum of what every component
but the neurons adds; neurons are parts of the FFNs and are not added again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log

from flowglass.store.answer import Answer

from .prediction import Prediction, Row
from .theme import show_whitespace

MINUS = "\u2212"


@dataclass(frozen=True)
class Pushed:
    """A logit, or a difference of two, that components push."""

    name: str
    plus: str
    """The role whose values count."""
    less: str
    """The role whose values are taken away; empty: none."""
    logit: float | None
    """What the sum should be; None: not stored."""


@dataclass(frozen=True)
class Push:
    """What one component adds to each of the `Pushed`."""

    layer: int
    component: str
    index: int
    expert: int | None
    values: tuple[float, ...]

    @property
    def name(self) -> str:
        """The component as a reader calls it.

        >>> Push(2, "head", 5, None, ()).name, Push(-1, "embed", 0, None, ()).name
        ('L2 head 5', 'Embedding')
        """
        if self.component == "embed":
            return "Embedding"
        at = f"L{self.layer} "
        if self.component == "ffn":
            return f"{at}FFN"
        if self.component == "final":
            return "Final bias"
        if self.component == "bias":
            return f"{at}attention bias"
        expert = "" if self.expert is None else f"{self.expert}·"
        return f"{at}{self.component} {expert}{self.index}"


@dataclass(frozen=True)
class Attribution:
    """Everything that pushes one target's logits."""

    pushed: list[Pushed]
    pushes: list[Push]
    """All but neurons, which sum to the logits."""
    neurons: list[Push]

    @property
    def sums(self) -> list[float]:
        """The sum of `pushes` for each of the `pushed`."""
        return [sum(push.values[i] for push in self.pushes) for i in self._places]

    @property
    def of_ffns(self) -> list[float]:
        """The part of the sums that FFNs bring."""
        ffns = [push for push in self.pushes if push.component == "ffn"]
        return [sum(push.values[i] for push in ffns) for i in self._places]

    @property
    def of_neurons(self) -> list[float]:
        """The part of that which stored neurons bring."""
        return [sum(push.values[i] for push in self.neurons) for i in self._places]

    @property
    def _places(self) -> Iterable[int]:
        return range(len(self.pushed))


def attribution_of(
    prediction: Prediction, target: int, answer: Answer, lens: Answer
) -> Attribution:
    """Side by side what is pushed at a stored target; `lens` is its last state's."""
    rows = answer.table.to_pylist()
    pushed = pushed_at(prediction, target, rows, lens)
    by_component: dict[tuple[int, str, int, int | None], dict[str, float]] = {}
    for row in rows:
        key = (row["layer"], row["component"], row["index"], row["expert"])
        by_component.setdefault(key, {})[row["role"]] = row["value"]
    pushes = [
        push_of(key, roles, pushed, prediction) for key, roles in by_component.items()
    ]
    return Attribution(
        pushed,
        [push for push in pushes if push.component != "neuron"],
        [push for push in pushes if push.component == "neuron"],
    )


def push_of(
    key: tuple[int, str, int, int | None],
    roles: dict[str, float],
    pushed: list[Pushed],
    prediction: Prediction,
) -> Push:
    """One component's row; a role that it has no value for gets 0."""
    values = tuple(
        roles.get(each.plus, 0.0) - (roles.get(each.less, 0.0) if each.less else 0.0)
        for each in pushed
    )
    layer, component, index, expert = key
    if component == "bias" and layer == prediction.run["n_layers"]:
        component = "final"
    return Push(layer, component, index, expert, values)


def pushed_at(
    prediction: Prediction, target: int, rows: list[Row], lens: Answer
) -> list[Pushed]:
    """The predicted token, the answer if it is another, and answer less distractor."""
    stored = prediction.stored_target(target)
    assert stored is not None, "only stored targets have an attribution"
    ids = {row["role"]: row["token_id"] for row in rows}
    top = lens.table.slice(0, 1).to_pylist()
    logit = top[0]["logit"] if top else None
    chance = stored["predicted_prob"]
    token = show_whitespace(stored["predicted_token"])
    correct = ids.get("answer") == ids.get("predicted")
    name = f"{token}, predicted" + (" and right" if correct else "")
    found = [Pushed(name, "predicted", "", logit)]
    if "answer" in ids and not correct:
        found.append(
            Pushed(
                f"{answer_token(prediction, target)}, the answer",
                "answer",
                "",
                plus(logit, log_ratio(stored["answer_prob"], chance)),
            )
        )
    if "answer" in ids and "distractor" in ids:
        found.append(
            Pushed(
                f"answer {MINUS} distractor",
                "answer",
                "distractor",
                log_ratio(stored["answer_prob"], stored["distractor_prob"]),
            )
        )
    return found


def answer_token(prediction: Prediction, target: int) -> str:
    """The answer's token that is due at a target, as well as the store tells."""
    stored = prediction.stored_target(target)
    assert stored is not None
    following = prediction.tokens[target + 1 : target + 2]
    if following and following[0]["token_id"] == stored["answer_token_id"]:
        return show_whitespace(following[0]["token"])
    return show_whitespace(prediction.prompt["answer"] or "the answer")


def log_ratio(one: float | None, other: float | None) -> float | None:
    """The difference of two tokens' logits, from their probabilities."""
    return log(one / other) if one and other else None


def plus(one: float | None, other: float | None) -> float | None:
    """The sum of two numbers that are both known."""
    return None if one is None or other is None else one + other
