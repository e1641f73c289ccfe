"""What a reader is told where the store complains: which file, and what to type."""

import re
from collections.abc import Collection
from html import escape
from shlex import quote

from flowglass.store.damage import named
from flowglass.store.errors import StoreError
from flowglass.store.schema import TABLES
from flowglass.store.store import Store

from .stores import Stores


def told(
    store: Store,
    error: StoreError,
    run_id: str,
    *,
    tables: Collection[str] = frozenset(TABLES),
    prompt_id: int | None = None,
) -> str:
    """A complaint about a run, or about one prompt of it, met in these tables; what to
    type against it is as it has to be typed for this store."""
    owner = store.store_of(run_id) if isinstance(store, Stores) else store
    found = named(owner, error, run_id, tables=tables, prompt_id=prompt_id)
    return str(found).replace("verify STORE", f"verify {quote(owner.root)}")


def as_html(text: str) -> str:
    """A sentence in which what stands between `backticks` is code.

    >>> as_html("Type `a < b`")
    'Type <code>a &lt; b</code>'
    """
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
