"""Helpers and tables as pandas frames, and whether two agree."""

import pandas as pd

from flowglass.store import Store
from flowglass.store.sql_helpers import HELPERS

GROUP = ["run_id", "dataset", "category"]
PART = ["layer", "component", "index"]
TARGET = ["run_id", "prompt_id", "target"]
ARGUMENTS = {"head_prompts": "(1, 2)"}


def called(name: str) -> str:
    """A call of the helper with the fewest arguments."""
    return name + ARGUMENTS.get(name, "()" if HELPERS[name].parameters else "")


def frame(store: Store, source: str) -> pd.DataFrame:
    return store.sql(f"from {source}").df()


def same(
    found: pd.DataFrame, due: pd.DataFrame, keys: list[str], *, atol: float = 1e-9
) -> None:
    """The columns of `due`, as the helper has them, row by row."""
    assert len(due)
    found = found[due.columns.tolist()].sort_values(keys).reset_index(drop=True)
    due = due.sort_values(keys).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, due, check_dtype=False, rtol=1e-9, atol=atol)
