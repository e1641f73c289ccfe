"""Made-up cohorts whose true means are known, for tests of the statistics."""

import numpy as np
from numpy.typing import NDArray

from flowglass.store.resampling import Apart, PromptSums, Together

Array = NDArray[np.float64]
MEAN = 0.1
"""Of every component, but for what is planted."""


def world(
    n_prompts: int,
    n_components: int,
    chance: np.random.Generator,
    *,
    planted: Array | float = 0.0,
    most_targets: int = 3,
    spread: float = 1.0,
) -> PromptSums:
    """A cohort of skewed contributions that rise and fall together within a prompt.

    Each target's is `MEAN` on average, with a deviation of 0.05 between prompts.
    """
    n_targets = chance.integers(1, most_targets + 1, n_prompts)
    own = chance.gamma(2, 1 / 2, (n_prompts, n_components)) - 1  # deviation 0.71
    shared = chance.normal(0, np.sqrt(0.5), (n_prompts, 1))
    values = MEAN + 0.05 * spread * (own + shared) + planted
    return sums(values * n_targets[:, None], n_targets)


def sums(total: Array, n_targets: NDArray[np.int64]) -> PromptSums:
    return PromptSums(total.astype(np.float32), n_targets)


def apart(
    n_a: int,
    n_b: int,
    n_components: int,
    seed: int,
    *,
    planted: Array | float = 0.0,
    most_targets: int = 3,
    spread: float = 1.0,
) -> Apart:
    """Two cohorts of different prompts; a's are wider by `spread`."""
    chance = np.random.default_rng(seed)
    a = world(
        n_a,
        n_components,
        chance,
        planted=planted,
        most_targets=most_targets,
        spread=spread,
    )
    return Apart(a, world(n_b, n_components, chance, most_targets=most_targets))


def together(
    n_prompts: int, n_components: int, seed: int, *, planted: Array | float = 0.0
) -> Together:
    """Two cohorts of the same prompts: few targets in a, more in b, some in one only.

    What moves all targets of a prompt is far larger than what moves each.
    """
    chance = np.random.default_rng(seed)
    of_prompt = MEAN + 0.05 * chance.normal(0, 1, (n_prompts, n_components))
    cohorts = []
    for most, difference in ((2, planted), (8, 0.0)):
        n_targets = chance.integers(0, most + 1, n_prompts)
        noise = (chance.gamma(2, 1 / 2, of_prompt.shape) - 1) / 50
        noise /= np.sqrt(np.maximum(n_targets, 1))[:, None]
        values = of_prompt + noise + difference
        cohorts.append(sums(values * n_targets[:, None], n_targets))
    return Together(*cohorts)
