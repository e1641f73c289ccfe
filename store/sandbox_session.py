"""A child that shows one snapshot of a store: what it is told, what it answers."""

import re
from collections.abc import Callable, Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .connect import definitions, function_names, table_names, with_sources
from .errors import StoreError
from .guard import Named, check_confined, read_tree
from .sandbox_limits import Limits
from .sandbox_process import SandboxProcess
from .schema import TABLES
from .snapshot import Snapshot
from .sql_errors import explain, is_damage

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 200_000
"""Characters of a query; one of 10,000 UNIONs fits."""
_HERE = "."
"""The store, as the child knows it: what it answers does not tell where that is."""
_FILE = re.compile(r"\./([^'\"]+\.parquet)")
_EXPLAIN = re.compile(r"\s*explain\b", re.IGNORECASE)


class Session:
    """The parent's side of a child; not to be used after `is_over`."""

    is_over = False
    """Whether the child is not fit for another query."""

    def __init__(
        self,
        process: SandboxProcess,
        root: Path | str,
        snapshot: Snapshot,
        limits: Limits,
    ) -> None:
        self.process = process
        self.snapshot = snapshot
        self._root = root
        self._limits = limits
        self._definitions = definitions(_HERE, snapshot)
        self._nothing = definitions(_HERE, Snapshot())
        self._made: set[str] = set()
        self._missing: tuple[str, ...] | None = None
        process.ask({"root": str(root), "temp": process.temp, **limits.as_request()})

    def missing_layers(self) -> tuple[str, ...]:
        """What the system cannot hold back; waits until the child is ready."""
        if self._missing is None:
            header, _ = self.process.answer()
            self._missing = tuple(self._accepted(header)["missing"])
        return self._missing

    def run(
        self,
        sql: str,
        *,
        kept: Collection[str],
        limit: int | None,
        before: Callable[[Collection[str]], None],
    ) -> "Iterator[pa.Table | dict[str, Any]]":
        """The rows in as many tables as they come in, then how many more there are."""
        query, named = self._judged(sql)
        before(with_sources(named.names))
        made, make = self._to_make(named)
        self.process.ask({"query": query, "make": make, "kept": [*kept], "rows": limit})
        while True:
            header, payload = self.process.answer()
            if not self.process.busy:
                break
            yield _table(payload)
        self.is_over = bool(header["worn"])
        said = header.get("error")
        if said and not _FILE.search(said) and (is_damage(said) or "unmade" in header):
            self._name_damaged_file(named)
        self._made |= made
        yield self._accepted(header)

    def _judged(self, sql: str) -> tuple[str, Named]:
        """The SQL to run, which the guard has let through, and what it names."""
        if len(sql) > _LONGEST:
            raise StoreError(f"the query is longer than {_LONGEST:,} characters")
        if "\0" in sql or not _is_unicode(sql):
            raise StoreError("the query holds what is no text: write it anew")
        # What is explained is judged by itself; we put the word before it again.
        prefix = _EXPLAIN.match(sql)
        asked = sql[prefix.end() :] if prefix else sql
        self.process.ask({"parse": asked})
        header, payload = self.process.answer()
        tree = read_tree(self._accepted(header)["count"], payload.decode())
        named = check_confined(tree, tables=table_names(), functions=function_names())
        return f"EXPLAIN {asked}" if prefix else asked, named

    def _to_make(self, named: Named) -> tuple[set[str], list[Any]]:
        """Which views a query needs that are not there, and what makes them.

        One that lists tables needs them all, but none of their rows.
        """
        made = with_sources(named.names) - self._made
        others = self._definitions.keys() - self._made - made if named.lists else set()
        make = [self._nothing[name] for name in self._nothing if name in others]
        make += [self._definitions[name] for name in self._definitions if name in made]
        return made, [*chain.from_iterable(make)]

    def _name_damaged_file(self, named: Named) -> None:
        """StoreError with the file that keeps a query from running, if one is found."""
        files = self._files(with_sources(named.names))
        self.process.ask({"probe": [f"{_HERE}/{path}" for path in files]})
        header, _ = self.process.answer()
        if header["file"] is not None:
            raise StoreError(explain(self._in_full(repr(header["file"])), self._root))

    def _files(self, tables: Collection[str]) -> Iterator[str]:
        """The committed files of tables, relative to the store."""
        for folder, unit in self.snapshot.units():
            for file in unit.files:
                if file.table in tables:
                    yield f"{folder}/{file.path}"

    def _in_full(self, said: str) -> str:
        """A message of the child, with the whole names of the store's files."""
        committed = set(self._files(TABLES))

        def whole(found: re.Match[str]) -> str:
            return f"{self._root}/{found[1]}" if found[1] in committed else found[0]

        return _FILE.sub(whole, said)

    def _accepted(self, header: dict[str, Any]) -> dict[str, Any]:
        """The answer, unless it is a complaint."""
        if (said := header.get("error")) is None:
            return header
        if "exceeded maximum execution time" in said:
            raise self._limits.too_long()
        if said.startswith("Out of Memory Error"):
            self.is_over = True  # what is left of its addresses is in pieces
            raise self._limits.too_large()
        if said.startswith(("FATAL Error", "INTERNAL Error")):
            self.is_over = True
        raise StoreError(explain(self._in_full(said), self._root))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a character
        return False
    return True


def _table(payload: bytes) -> "pa.Table":
    """The rows in a payload; what is no sound Arrow is refused."""
    import pyarrow as pa

    try:
        with pa.ipc.open_stream(payload) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except pa.ArrowException as error:
        raise StoreError(
            f"an answer that cannot be read ({error}): cast such values to text, as in "
            f"x::VARCHAR"
        ) from None
    return table
