"""What tests/integration/loading says of a load, on the Community engine; and compressed chunks."""

from datetime import date

import psycopg
import pytest

from resources.ledger import committed_by, newest_commits
from resources.tables import Dataset
from tests.integration.loading.conftest import *  # noqa: F403
from tests.integration.loading.dump import SESSION, Dump, bars
from tests.integration.loading.test_refused_rows import *  # noqa: F403
from tests.integration.loading.test_window import *  # noqa: F403

NEXT = date(2025, 1, 3)

# It is about COPY.
del test_adbc_would_corrupt_what_we_refuse  # noqa: F821
# Here with a lower limit instead of 150,000 rows.
del test_a_compressed_session_is_replaced_like_any_other  # noqa: F821


@pytest.fixture
def compressed(run, query):
    """Two sessions of three symbols, in one chunk, compressed."""
    for session in (SESSION, NEXT):
        run(Dump(bars(3, date=session)), session=session)
    query(
        "ALTER TABLE daily_bars SET (timescaledb.compress, "
        "timescaledb.compress_segmentby = 'symbol')"
    )
    query("SELECT compress_chunk(show_chunks('daily_bars'))")
    assert query("SELECT is_compressed FROM timescaledb_information.chunks") == [(True,)]
    yield
    query("SELECT decompress_chunk(show_chunks('daily_bars'), true)")
    query("ALTER TABLE daily_bars SET (timescaledb.compress = false)")


def test_a_compressed_chunk_is_read_and_written_like_another(compressed, connect_as, query):
    with connect_as("collector_user") as user:
        user.execute("UPDATE daily_bars SET close = 115.5 WHERE symbol = '000000'")
        user.execute("DELETE FROM daily_bars WHERE symbol = '000001' OR date = %s", [NEXT])
        user.execute(
            "INSERT INTO daily_bars SELECT date, '999999', open, high, low, close, volume "
            "FROM daily_bars WHERE symbol = '000002'"
        )
        with pytest.raises(psycopg.errors.UniqueViolation):
            user.execute("INSERT INTO daily_bars SELECT * FROM daily_bars")
    with connect_as("collector_reader") as reader:
        rows = reader.execute("SELECT symbol, close::text FROM daily_bars ORDER BY 1").fetchall()
    assert rows == [("000000", "115.50"), ("000002", "110.00"), ("999999", "110.00")]
    query("SELECT compress_chunk(show_chunks('daily_bars'))")
    assert query("SELECT symbol, close::text FROM daily_bars ORDER BY 1") == rows


def test_a_compressed_session_is_replaced_beyond_the_limit_of_decompressed_rows(
    compressed, run, query, connect_as
):
    limit = "timescaledb.max_tuples_decompressed_per_dml_transaction"
    with connect_as("postgres") as superuser:
        superuser.execute(f"ALTER ROLE collector_user SET {limit} = 1")
    try:
        with (
            connect_as("collector_user") as user,
            pytest.raises(psycopg.errors.ConfigurationLimitExceeded, match="decompression limit"),
        ):
            user.execute("UPDATE daily_bars SET volume = 7")
        assert run(Dump(bars(3, volume=7))).replaced == 3
    finally:
        with connect_as("postgres") as superuser:
            superuser.execute(f"ALTER ROLE collector_user RESET {limit}")
    rows = query("SELECT date, volume, count(*) FROM daily_bars GROUP BY 1, 2 ORDER BY 1")
    assert rows == [(SESSION, 7, 3), (NEXT, 1000, 3)]


def test_the_ledger_is_read_by_arrow(run, timescaledb):
    run(Dump(bars(3)), run_id="first")
    run(Dump(bars(4)), run_id="second", symbols=("000003",))
    (newest,) = newest_commits(timescaledb, Dataset.DAILY_BARS).values()
    assert (newest.run_id, newest.session, newest.symbols, newest.loaded) == (
        "second",
        SESSION,
        ("000003",),
        1,
    )
    assert committed_by(timescaledb, Dataset.DAILY_BARS, ["first", "other"]) == {SESSION}
