"""What the targets and positions of a run are split by, and which of many are read.

A facet is `dataset`, `category`, a key of the prompts' metadata, the class of the token
at the position, or nothing: then all are one group, "".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .store import Store

if TYPE_CHECKING:
    import pyarrow as pa

TOKEN_CLASS = "token class"
"""The facet by which positions are split, whatever prompt they are of."""

COLUMNS = ("dataset", "category")

MOST_GROUPS = 12
"""The largest groups that are told of, by prompts."""

MOST_ROWS = 2_000_000
"""A table with more rows of a run is read for a part of its prompts."""

# Strip as Python does: `\\pZ` is white space that is not ASCII.
CLASSES = r"""
    CASE WHEN position = 0 THEN 'first position'
         WHEN is_special THEN 'special'
         WHEN regexp_full_match(token, '[\s\pZ]*\pP+[\s\pZ]*')
              OR regexp_full_match(token, '[\s\pZ]*\n[\s\pZ]*') THEN 'punctuation'
         WHEN word = lag(word) OVER (PARTITION BY prompt_id ORDER BY position)
              THEN 'later piece of a word'
         ELSE 'start of a word' END
"""
"""A position's class: the first of these that is true. Punctuation, or a newline, is
what `heads.on_delimiter` counts."""

KEYS = """
    WITH said AS (
        SELECT unnest(json_keys(metadata)) AS facet, metadata
        FROM prompts WHERE run_id = $run_id
    )
    SELECT facet, count(DISTINCT json_extract(metadata, '/' || replace(
               replace(facet, '~', '~0'), '/', '~1'))) AS n_values,
           count(*) AS n_prompts
    FROM said GROUP BY facet HAVING n_values > 1 AND 2 * n_values <= n_prompts
    ORDER BY facet
"""
SPLIT_COLUMNS = """
    SELECT count(DISTINCT dataset) AS dataset,
           count(DISTINCT coalesce(category, '')) AS category
    FROM prompts WHERE run_id = $run_id
"""


@dataclass(frozen=True)
class Split:
    """A facet as SQL."""

    of_prompt: str
    """Over `prompts`; the class is no prompt's, so nothing."""
    by_class: bool
    values: Mapping[str, Any]
    """What `of_prompt` names."""


def facets(store: Store, run_id: str) -> "pa.Table":
    """What a run can be split by: `facet`, and how many values it has, `n_values`.

    Columns with one value split nothing, and metadata of which a value is hardly ever
    said twice (on average, by fewer than two prompts) nothing to speak of. The classes
    of tokens are not among them: every run has these.
    """
    import pyarrow as pa

    found = store.table(KEYS, {"run_id": run_id}).select(["facet", "n_values"])
    columns = store.table(SPLIT_COLUMNS, {"run_id": run_id}).to_pylist()[0]
    split = {name: n for name, n in columns.items() if n > 1}
    first = pa.table(
        {"facet": list(split), "n_values": list(split.values())}, found.schema
    )
    return pa.concat_tables([first, found])


def split_by(facet: str) -> Split:
    """The facet of that name; a key that no prompt has puts all into one group."""
    if facet in ("", TOKEN_CLASS):
        return Split("''", facet == TOKEN_CLASS, {})
    if facet in COLUMNS:
        return Split(f"coalesce({facet}, '')", False, {})
    pointer = "/" + facet.replace("~", "~0").replace("/", "~1")
    said = "coalesce(json_extract_string(metadata, $pointer), '')"
    return Split(said, False, {"pointer": pointer})


def classed(share: float) -> str:
    """A query: `prompt_id`, `position` and `facet`, the class, of what is read."""
    return f"""
        SELECT prompt_id, position, {CLASSES} AS facet
        FROM tokens WHERE run_id = $run_id AND {kept(share)}
    """


def share_read(store: Store, run_id: str, table: str) -> float:
    """Which part of a run's prompts is read of a table, so that the answer is soon."""
    units = store.snapshot.runs[run_id].committed.units
    n_rows = sum(f.rows for unit in units for f in unit.files if f.table == table)
    return min(1.0, MOST_ROWS / max(1, n_rows))


def kept(share: float) -> str:
    """Whether a `prompt_id` is among that part of all.

    Multiples of the golden ratio, modulo 1, below `share`: they are spread as evenly as
    can be over any run of ids, whatever order the prompts have (Knuth, volume 3, 6.4).
    """
    if share >= 1:
        return "true"
    return f"prompt_id::BIGINT * 2654435761 % 4294967296 < {int(share * 2**32)}"
