"""95% intervals as SQL: of a share and of a mean, over prompts.

Targets, or positions, of one prompt resemble one another, so each interval counts
prompts. Where only sums over targets are known, it takes all of a prompt for one
observation, which is as much as they can resemble: n targets are then as good as

    n_effective = (sum over prompts of t)^2 / (sum over prompts of t^2)

independent ones, with t the targets of a prompt (Kish 1965): the number of prompts if
all have as many. With several targets a prompt such an interval is rather too wide.
"""

Z = 1.959964
"""The normal quantile of 0.975."""

FEWEST_PROMPTS = 5
"""A mean over fewer has no interval: their spread is not known well enough."""

N_EFFECTIVE = "sum(n)::DOUBLE * sum(n) / nullif(sum(n::DOUBLE * n), 0)"
"""Kish's number, of rows that are prompts with `n` targets each."""


def wilson(share: str, n: str, sign: str) -> str:
    """An end of Wilson's interval (1927) of a share of n: `sign` is `-` or `+`.

    It never leaves 0 to 1, and is no point where the share is 0 or 1.
    """
    z2 = Z**2
    end = (
        f"({share} + {z2 / 2} / {n} {sign} {Z} * sqrt("
        f"{share} * (1 - {share}) / {n} + {z2 / 4} / {n} / {n})) / (1 + {z2} / {n})"
    )
    # Of nulls, `least` would make a 1.
    return f"CASE WHEN {share} IS NOT NULL THEN greatest(least({end}, 1), 0) END"


def around(mean: str, standard_error: str, n: str, sign: str) -> str:
    """An end of the interval of a mean over n prompts, null with too few.

    `mean` ± t times its standard error, t the quantile of Student's distribution with n
    - 1 degrees of freedom by Fisher's expansion (within 2% from 4 on).
    """
    v = f"({n} - 1)"
    t = f"({Z} + 2.3723 / {v} + 2.8225 / {v} / {v})"
    return (
        f"CASE WHEN {n} >= {FEWEST_PROMPTS} "
        f"THEN {mean} {sign} {t} * {standard_error} END"
    )


def ratio_error(x: str, t: str) -> str:
    """The standard error of `sum(x) / sum(t)` over rows that are prompts.

    sqrt(n / (n - 1) * sum (x - ratio t)^2) / sum t, by linearisation (Cochran 1977, 6).
    """
    ratio = f"(sum({x}) / sum({t}))"
    squares = (
        f"sum({x} * {x}) - 2 * {ratio} * sum({x} * {t}) "
        f"+ {ratio} * {ratio} * sum({t}::DOUBLE * {t})"
    )
    spread = f"greatest({squares}, 0) * count({t}) / nullif(count({t}) - 1, 0)"
    return f"sqrt({spread}) / sum({t})"
