"""DuckDB reads a store's files on an object store, and needs no extension for it."""

import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowglass.store import remote_sql
from flowglass.store.connect import connect, lock
from flowglass.store.remote import RemoteFiles, remote_files
from flowglass.store.remote_sql import register
from flowglass.store.views import SEPARATOR, by_the_letter, quote

from .s3_server import S3Server

N_FILES, N_ROWS = 3, 200_000
X = range(N_ROWS)
TOTALS = (N_FILES * N_ROWS, N_FILES * sum(X), N_FILES * sum(x * x for x in X))


def path_of(number: int) -> str:
    return f"runs/run_id=x/data/edges/shard={number:06d}/0123456789ab.parquet"


@pytest.fixture(scope="module", params=["sweeps", "we[ir]d *s?"])
def files(s3: tuple[S3Server, str], request: pytest.FixtureRequest) -> RemoteFiles:
    """Files of many row groups, below an address that may look like a glob."""
    files = remote_files(f"{s3[1]}/{request.param}")
    x = np.arange(N_ROWS)
    for number in range(N_FILES):
        data = io.BytesIO()
        table = pa.table({"shard": np.full(N_ROWS, number), "x": x, "y": x * x})
        pq.write_table(table, data, row_group_size=10_000)
        files.create(path_of(number), data.getvalue())
    return files


@pytest.fixture
def connection(files: RemoteFiles) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        register(connection, files)
        connection.execute(f"CREATE VIEW edges AS {over(files)}")
        yield connection


def over(files: RemoteFiles) -> str:
    """All rows, as views read them."""
    paths = (by_the_letter(files.where(path_of(n))) for n in range(N_FILES))
    listed = quote(SEPARATOR.join(paths))
    return (
        f"SELECT * FROM read_parquet(string_split({listed}, "
        f"chr({ord(SEPARATOR)})), hive_partitioning = false)"
    )


def test_views_over_addresses(connection: duckdb.DuckDBPyConnection) -> None:
    """What a view finds is what the files hold, and nothing is downloaded for it."""
    found = connection.sql("SELECT shard, sum(x), sum(y) FROM edges GROUP BY ALL")
    sums = [total // N_FILES for total in TOTALS[1:]]
    assert sorted(found.fetchall()) == [(n, *sums) for n in range(N_FILES)]
    assert connection.sql(
        "SELECT installed, loaded FROM duckdb_extensions() "
        "WHERE extension_name = 'httpfs'"
    ).fetchall() == [(False, False)]


def test_without_it_duckdb_wants_an_extension(files: RemoteFiles) -> None:
    """So nothing of DuckDB's own reads the addresses in these tests."""
    with connect() as connection, pytest.raises(duckdb.Error, match="httpfs"):
        connection.sql(over(files)).fetchall()


def test_few_requests_answer_a_question(
    connection: duckdb.DuckDBPyConnection, server: S3Server
) -> None:
    """Of each file its size, its footer, and the parts that are needed; no listing,
    and the second time nothing but what is new."""
    before = len(server.asked)
    question = "SELECT sum(y) FROM edges WHERE x < 500 AND shard = 2"
    (total,) = connection.sql(question).fetchall()
    assert total == (sum(i * i for i in range(500)),)
    asked = server.asked[before:]
    assert len(asked) <= 3 * N_FILES
    assert sum(request.startswith("HEAD") for request in asked) <= N_FILES
    connection.sql(question.replace("500", "400")).fetchall()
    assert len(server.asked) == before + len(asked)


def test_threads_share_a_file(
    connection: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB's threads seek and read in one handle; none disturbs another."""
    seek = remote_sql._Ranges.seek
    handles: dict[object, set[int]] = {}

    def seek_and_dream(self: remote_sql._Ranges, position: int) -> int:
        handles.setdefault(self, set()).add(get_ident())
        seek(self, position)
        time.sleep(0.002)
        return position

    monkeypatch.setattr(remote_sql._Ranges, "seek", seek_and_dream)
    connection.execute("SET threads = 6")
    question = "SELECT count(*), sum(x), sum(y) FROM edges"
    assert connection.sql(question).fetchall() == [TOTALS]
    assert max(map(len, handles.values())) > 1


def test_cursors_of_many_threads(connection: duckdb.DuckDBPyConnection) -> None:
    """A connection's cursors know its files, and may ask at the same time."""

    def ask(_: int) -> object:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*), sum(x), sum(y) FROM edges")
            return cursor.fetchone()

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(ask, range(12))) == {TOTALS}


def test_a_locked_connection_reads_the_store_alone(
    files: RemoteFiles, connection: duckdb.DuckDBPyConnection
) -> None:
    """As on a disk: `lock` leaves the views, and nothing else."""
    lock(connection, files.where(""))
    assert connection.sql("SELECT count(*) FROM edges").fetchall() == [TOTALS[:1]]
    for elsewhere in (
        files.where("plan.parquet"),
        "s3://other/a.parquet",
        "/a.parquet",
    ):
        with pytest.raises(duckdb.PermissionException):
            connection.sql(f"FROM read_parquet({quote(elsewhere)})").fetchall()


def test_other_addresses_and_writing_are_refused(
    files: RemoteFiles, connection: duckdb.DuckDBPyConnection
) -> None:
    """Unlocked too, the connection is for reading this store."""
    with pytest.raises(duckdb.Error, match="is no file of the store"):
        connection.sql("FROM read_parquet('s3://other/a.parquet')").fetchall()
    address = quote(files.where("runs/new.parquet"))
    with pytest.raises(duckdb.Error, match="a store is only read"):
        connection.execute(f"COPY (SELECT 1) TO {address} (use_tmp_file false)")
    assert not files.exists("runs/new.parquet")


def test_a_file_that_is_gone_is_named(
    files: RemoteFiles, connection: duckdb.DuckDBPyConnection
) -> None:
    """By its address, for whoever explains DuckDB's errors."""
    gone = files.where("runs/gone.parquet")
    with pytest.raises(duckdb.Error, match=r"no file .*/runs/gone\.parquet"):
        connection.sql(f"FROM read_parquet({quote(by_the_letter(gone))})").fetchall()
