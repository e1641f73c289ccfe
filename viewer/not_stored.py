"""Why something is not shown, and the option that would have stored it."""

import json
from typing import Any

from .prediction import Prediction

WHOLE_MAPS = "Sweep with `--tensors dense` to store whole maps."
NO_VOCAB = (
    "This store does not hold what the neuron's weights promote: a sweep adds it for "
    "each model once, at its end."
)


def config_of(prediction: Prediction) -> dict[str, Any]:
    """What the run was asked for; empty where it does not say."""
    config: dict[str, Any] = json.loads(prediction.run["config"] or "{}")
    return config


def not_projected(prediction: Prediction, what: str) -> str:
    """Why a state or a write was not read in tokens."""
    if config_of(prediction).get("project") == "none":
        return (
            f"This run did not read {what} in tokens (`--project none`): sweep with "
            "`--project all` to see this."
        )
    return (
        f"This run read {what} in tokens only where the route of a stored target "
        f"({positions_of(prediction)}) passes at threshold 0.04: sweep with "
        "`--project all` to see this."
    )


def no_neurons(prediction: Prediction) -> str:
    """Why an FFN has no neurons here."""
    config = config_of(prediction)
    if config.get("neurons") == 0:
        return "This run stored no neurons: sweep with `--neurons 16` to see them."
    return (
        f"No neuron here reaches the run's cutoff, {prediction.run['cutoff']:g}: "
        "sweep with a lower `--cutoff` to see more."
    )


def no_attribution(prediction: Prediction, target: int) -> str:
    """Why a target has no logit attribution."""
    if prediction.stored_target(target) is not None:
        return "This run stored no logit attribution."
    return (
        f"Position {target} was not a target of this run, so what pushes its logits is "
        f"not stored. Its targets: {positions_of(prediction)}. Sweep with "
        "`--targets all` to see this at every position."
    )


def positions_of(prediction: Prediction) -> str:
    """The stored targets, by position.

    Many are shortened, as for a run with `--targets all`.
    """
    positions = sorted(int(row["target"]) for row in prediction.targets)
    names = [str(position) for position in positions]
    if len(names) > 8:
        return f"{len(names)} positions, {names[0]} to {names[-1]}"
    return ", ".join(names) or "none"
