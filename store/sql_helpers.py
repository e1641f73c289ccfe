"""All helpers: the queries that people would write by hand otherwise.

They read the views, so they are made after them, in the same transaction:

    for name, statement in helper_definitions():
        connection.execute(statement)
"""

from collections.abc import Iterator

from .helper import Helper
from .helpers_of_corpus import (
    ACCURACY,
    ACTIVATION_FREQUENCY,
    ACTIVATION_FREQUENCY_BY_CATEGORY,
    IMPORTANCE_BY_CATEGORY,
    SHARES_BY_LAYER,
)
from .helpers_of_meaning import (
    ATTRIBUTION_BY_CATEGORY,
    LENS_TRAJECTORY,
    NEURON_ACTIVITY,
)
from .helpers_of_prompts import (
    EDGE_TOKENS,
    HEAD_PROMPTS,
    ROUTE_TOKENS,
    SOURCE_POSITIONS,
)
from .helpers_of_targets import COHORT_TARGETS

__all__ = ["HELPERS", "Helper", "helper_definitions"]

HELPERS: dict[str, Helper] = {
    helper.name: helper
    for helper in (
        ACTIVATION_FREQUENCY,
        ACTIVATION_FREQUENCY_BY_CATEGORY,
        IMPORTANCE_BY_CATEGORY,
        SHARES_BY_LAYER,
        SOURCE_POSITIONS,
        HEAD_PROMPTS,
        EDGE_TOKENS,
        ROUTE_TOKENS,
        ATTRIBUTION_BY_CATEGORY,
        LENS_TRAJECTORY,
        ACCURACY,
        NEURON_ACTIVITY,
        COHORT_TARGETS,
    )
}
"""Every helper by its name."""


def helper_definitions() -> Iterator[tuple[str, str]]:
    """Every helper's name with the statement that makes it, and `helpers`, the list."""
    for helper in HELPERS.values():
        yield helper.name, helper.create_sql
    yield "helpers", f"CREATE OR REPLACE VIEW helpers AS {_listed()}"


def _listed() -> str:
    rows = ", ".join(
        f"({_quoted(helper.call)}, {_quoted(helper.doc)})"
        for helper in HELPERS.values()
    )
    return f"SELECT * FROM (VALUES {rows}) AS t(call, doc)"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
