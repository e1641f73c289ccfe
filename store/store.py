"""An open store: SQL over everything that is committed."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from .connect import connect, end, show
from .errors import StoreError
from .files import Files
from .guard import check_reads_only
from .layout import run_folder, store_files
from .schema import DEFAULT_TAU, TABLES
from .snapshot import Snapshot, take_snapshot
from .sql_errors import explained
from .views import committed_files

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from .aggregate_routes import AggregateRoutes
    from .certainty import TooFewPrompts
    from .cohorts import Cohort, CohortSize
    from .convergence import Convergence
    from .sandbox import Sandbox

Params = Sequence[Any] | Mapping[str, Any] | None


def open_store(path: str | Path) -> "Store":
    """Open a store for reading; `with` closes it.

    >>> with open_store("runs/") as store:  # doctest: +SKIP
    ...     store.sql("select layer, count(*) from edges group by layer").df()
    """
    return Store(store_files(path))


class Store:
    """A store as it was when opened or last refreshed; threads may share it."""

    snapshot: Snapshot
    """The runs, and what is committed of each."""

    root: str
    """What the names of its files begin with: a folder, or an address."""

    def __init__(self, files: Files) -> None:
        self.files_of_store = files
        self.root = files.where("")
        self.snapshot = Snapshot()
        self._connection = connect()
        _let_read(self._connection, files)
        self._cursors: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()
        self._handing_out = Lock()
        self._refreshing = Lock()
        self._parting = Lock()
        self._parts: dict[tuple[str, int], Store] = {}
        self._show(self._take(self.snapshot))

    def sql(self, query: str, params: Params = None) -> "duckdb.DuckDBPyRelation":
        """A query as a DuckDB relation: `.df()`, `.fetchall()`, `.to_arrow_table()`.

        For trusted use; only reads. Values go where the query says `?` or `$name`.
        Without them the relation is lazy: it runs when its rows are asked for.
        """
        cursor = self.cursor(query)
        with explained(self.root):
            return cursor.sql(query, params=params)

    def table(self, query: str, params: Params = None) -> "pa.Table":
        """All rows of a query; a damaged file of the store is a StoreError here."""
        with explained(self.root):
            return self.sql(query, params).to_arrow_table()

    def cursor(self, query: str) -> "duckdb.DuckDBPyConnection":
        """A cursor to execute this query on, which only reads, or it is refused."""
        cursor = self._connection.cursor()
        with self._handing_out:
            self._cursors.add(cursor)
        with explained(self.root):
            check_reads_only(cursor, query)
        return cursor

    def connect(self) -> "duckdb.DuckDBPyConnection":
        """A plain DuckDB connection of your own with the store's views and helpers.

        For trusted use: it may write files, attach databases, see Python's variables.
        It shows what the store shows now, and stays open when the store is closed. Of
        object stores it reads this store alone.
        """
        import duckdb

        connection = duckdb.connect(":memory:")
        _let_read(connection, self.files_of_store)
        with explained(self.root):
            show(connection, self.root, self.snapshot)
        return connection

    def runs(self) -> "pa.Table":
        """The table `runs`, oldest first."""
        return self.table("SELECT * FROM runs ORDER BY started_at, run_id")

    def activation_frequency(
        self, run_id: str, *, tau: float = DEFAULT_TAU, category: str | None = None
    ) -> "pa.Table":
        """How often each head and FFN of a run is in a route at `tau`, so far.

        Columns: layer, component (head or ffn), index, n_targets, n_in_route, share,
        standard_error.
        """
        from .activation import activation_frequency

        return activation_frequency(self, run_id, tau=tau, category=category)

    def aggregate_routes(
        self,
        run_id: str,
        *,
        tau: float = DEFAULT_TAU,
        dataset: str | None = None,
        category: str | None = None,
    ) -> "AggregateRoutes":
        """The routes of many targets as one graph, their positions lined up by role.

        Its `edges`: how often and how strongly which role reads which, by layer.
        """
        from .aggregate_routes import aggregate_routes
        from .route_sample import route_sample

        sample = route_sample(self, run_id, dataset=dataset, category=category)
        return aggregate_routes(self, sample, tau=tau)

    def roles(
        self,
        run_id: str,
        *,
        layer: int | None = None,
        head: int | None = None,
        dataset: str | None = None,
        category: str | None = None,
    ) -> "pa.Table":
        """How much each head plays each role: previous token, induction, five others.

        Columns: role, layer, head, n_prompts, n_queries, n_possible, contribution,
        share, chance, score, low, high. A role's best head comes first.
        """
        from .roles import roles

        return roles(
            self, run_id, layer=layer, head=head, dataset=dataset, category=category
        )

    def compare(
        self,
        a: "Cohort",
        b: "Cohort",
        *,
        measure: str = "contribution",
        tau: float = DEFAULT_TAU,
        resamples: int = 1000,
        permutations: int | None = None,
        seed: int = 0,
        sandbox: "Sandbox | None" = None,
    ) -> "pa.Table":
        """What each head and FFN does more in one cohort of targets than in another.

        `measure`: contribution, frequency (at `tau`) or logit. Columns: layer,
        component, index, n_prompts_a, n_prompts_b, n_targets_a, n_targets_b, mean_a,
        mean_b, difference, low, high, effect, p, q: docs/statistics.md.
        """
        from .compare import compare

        return compare(
            self,
            a,
            b,
            measure=measure,
            tau=tau,
            resamples=resamples,
            permutations=permutations,
            seed=seed,
            sandbox=sandbox,
        )

    def cohort_size(
        self, cohort: "Cohort", *, sandbox: "Sandbox | None" = None
    ) -> "CohortSize":
        """How many prompts and targets a cohort has."""
        from .cohorts import cohort_size

        return cohort_size(self, cohort, sandbox=sandbox)

    def convergence(
        self, run_id: str, *, top: int = 20
    ) -> "Convergence | TooFewPrompts":
        """How many prompts it takes until the first `top` heads are the first."""
        from .convergence import convergence

        return convergence(self, run_id, top=top)

    def files(self, run_id: str, table: str, prompt_id: int | None = None) -> list[str]:
        """The committed files of a run's table; with a prompt, the one it is in."""
        if table not in TABLES:
            raise StoreError(f"no table {table!r} has files: {_near(table, TABLES)}")
        if run_id not in self.snapshot.runs:
            raise StoreError(f"no run {run_id!r}: {_near(run_id, self.snapshot.runs)}")
        units = self.snapshot.runs[run_id].committed.units
        wanted = [u for u in units if prompt_id is None or u.holds(prompt_id)]
        return committed_files(self.root, run_folder(run_id), wanted, table)

    def sample(self, run_id: str, *, prompts: int = 5000) -> "Store":
        """A part of a run as a store, of about so many prompts: whole shards, evenly
        from the first to the last. This store itself if the run has no more.

        Every question takes the less; `sample.snapshot` says what is in it. It stays as
        it is when more is committed, and ends with this store.
        """
        from .part import Part, part_of

        self.files(run_id, "prompts")  # says so if there is no such run
        some = part_of(self.snapshot, run_id, prompts=prompts)
        if some is None:
            return self
        with self._parting:
            known = self._parts.get((run_id, prompts))
            if known is None or known.snapshot != some:
                known = self._parts[run_id, prompts] = Part(self, some)
            return known

    def refresh(self) -> bool:
        """See what has been committed since; whether that is anything."""
        with self._refreshing:
            snapshot = self._take(self.snapshot)
            changed = snapshot != self.snapshot
            if changed:
                self._show(snapshot)
            return changed

    def sandbox(
        self, *, seconds: float = 60.0, memory: str = "2GB", threads: int | None = None
    ) -> "Sandbox":
        """A session in which anybody may type anything; `with` ends it.

        A query is stopped after so many seconds, or when it needs more memory. It uses
        all processors, or so many threads. It sees what the store shows, after
        `refresh` too.
        """
        from .sandbox import Limits, sandbox_of

        limits = Limits(seconds, memory, threads)
        return sandbox_of(self.files_of_store, lambda: self.snapshot, limits)

    def close(self) -> None:
        """Close the connection; its relations end with it, and queries at work too."""
        with self._parting:
            for part in self._parts.values():
                part.close()
        with self._handing_out:
            end(self._connection, list(self._cursors))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self, known: Snapshot) -> Snapshot:
        return take_snapshot(self.files_of_store, known=known)

    def _show(self, snapshot: Snapshot) -> None:
        with explained(self.root):
            show(self._connection, self.root, snapshot)
        self.snapshot = snapshot


def _let_read(connection: "duckdb.DuckDBPyConnection", files: Files) -> None:
    """Let a connection read the files of a store that is no folder."""
    if "://" in files.where(""):
        from .remote import RemoteFiles
        from .remote_sql import register

        assert isinstance(files, RemoteFiles)
        register(connection, files)


def _near(name: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
    return f"did you mean {' or '.join(near)}?" if near else "there is none yet"
