"""The loading contract, rule by rule, against real servers."""

import threading
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest

from resources.calendar import SEOUL
from resources.canonical import CanonicalError, canonical, checksum
from resources.databases import DatabaseError, DatabaseUnavailableError
from resources.ingestion import IngestionError, Limits, ingest
from resources.loading import Attempt, LoadRefusedError, Refused, load
from resources.sources import NotCoveredError, SourceUnavailableError
from resources.tables import DAILY_BARS, MINUTE_BARS, SUPPLY_DEMAND, Table
from resources.validation import split

SESSION = date(2025, 1, 2)
NOW = datetime(2025, 1, 3, 12, tzinfo=SEOUL)


class Dump:
    """A source that gives what the test put in."""

    name = "dump"

    def __init__(self, *answers: pd.DataFrame | Exception, simulated: bool = False) -> None:
        self.answers = list(answers)
        self.simulated = simulated
        self.asked = 0

    def daily_bars(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if symbols is None else answer[answer["symbol"].isin(symbols)]

    minute_bars = supply_demand = daily_bars


def bars(count: int, **changes: object) -> pd.DataFrame:
    """``count`` good daily bars, symbols 000000, 000001, …"""
    row: dict[str, object] = {
        "date": SESSION,
        "symbol": "",
        "open": 100.0,
        "high": 120.0,
        "low": 90.0,
        "close": 110.0,
        "volume": 1000,
        "trading_value": 110_000,
        "market_cap": None,
        "listed_shares": 5_000,
    }
    rows = [row | {"symbol": f"{number:06d}"} | changes for number in range(count)]
    return pd.DataFrame(rows, columns=list(DAILY_BARS.column_names))


def with_bad(count: int, bad: int) -> pd.DataFrame:
    frame = bars(count)
    frame.loc[: bad - 1, "volume"] = -1
    return frame


@pytest.fixture
def run(timescaledb) -> Callable[..., object]:
    def run(
        source: Dump,
        table: Table = DAILY_BARS,
        *,
        session: date = SESSION,
        symbols: tuple[str, ...] | None = None,
        timeout: float = 30,
        run_id: str = "run",
        **allowed: bool,
    ) -> object:
        attempt = Attempt(
            table, session, symbols, run_id, source.name, source.simulated, False, NOW
        )
        limits = Limits(symbols, **allowed)
        return ingest(source, timescaledb, attempt, limits, source_timeout=timeout, now=NOW)

    return run


@pytest.fixture
def stored(query) -> Callable[[], list[tuple[object, ...]]]:
    """Everything in daily_bars, in order."""
    return lambda: query("SELECT * FROM daily_bars ORDER BY symbol, date")


class TestSource:
    def test_nothing_on_a_trading_day_is_an_error(self, run, stored, query):
        run(Dump(bars(3)))
        with pytest.raises(IngestionError, match="without a single row, although KRX traded"):
            run(Dump(bars(0)))
        assert len(stored()) == 3
        assert query("SELECT outcome, rows_loaded FROM ingest_ledger ORDER BY id") == [
            ("committed", 3),
            ("failed", 0),
        ]

    @pytest.mark.parametrize("blank", [None, "", " ", float("nan")])
    def test_a_table_of_blanks_is_an_error(self, run, stored, blank):
        frame = bars(3, **dict.fromkeys(DAILY_BARS.measures, blank))
        with pytest.raises(IngestionError, match="all blank, as KRX answers on a closed day"):
            run(Dump(frame))
        with pytest.raises(IngestionError, match="all blank"):
            run(Dump(frame), symbols=("000000",))
        assert stored() == []

    def test_named_symbols_may_have_no_rows(self, run, query):
        assert run(Dump(bars(3)), symbols=("999999",)).loaded == 0
        assert query("SELECT outcome, symbols FROM ingest_ledger") == [("committed", ["999999"])]

    def test_what_is_not_covered_is_not_asked_again(self, run, query):
        source = Dump(NotCoveredError("nothing here of 2025-01-02"))
        with pytest.raises(IngestionError, match=r"^nothing here of 2025-01-02$"):
            run(source)
        assert source.asked == 1
        assert query("SELECT outcome, error FROM ingest_ledger") == [
            ("failed", "nothing here of 2025-01-02")
        ]

    def test_one_that_was_away_is_asked_again(self, run, monkeypatch):
        monkeypatch.setattr("resources.ingestion._fetch.retry.wait", lambda _: 0)
        source = Dump(SourceUnavailableError("later"), bars(3))
        assert run(source).loaded == 3
        assert source.asked == 2

    def test_one_that_hangs_is_given_up(self, run, query):
        release = threading.Event()

        class Hanging(Dump):
            def daily_bars(self, session, symbols):
                release.wait(60)
                raise AssertionError

        with pytest.raises(IngestionError, match=r"within 0.2 s \(SOURCE_TIMEOUT\)"):
            run(Hanging(), timeout=0.2)
        release.set()
        assert query("SELECT outcome FROM ingest_ledger") == [("failed",)]

    def test_a_defect_in_it_is_recorded_too(self, run, query):
        with pytest.raises(IngestionError, match=r"^ZeroDivisionError: oh$"):
            run(Dump(ZeroDivisionError("oh")))
        assert query("SELECT error FROM ingest_ledger") == [("ZeroDivisionError: oh",)]


class TestRefusedRows:
    @pytest.mark.parametrize(
        ("rows", "bad", "loads"),
        [(100, 5, True), (100, 6, False), (1000, 10, True), (1000, 11, False), (3, 3, False)],
    )
    def test_more_than_1_percent_or_5_rows_leave_the_table_alone(
        self, run, stored, query, rows, bad, loads
    ):
        if loads:
            assert run(Dump(with_bad(rows, bad))).loaded == rows - bad
        else:
            with pytest.raises(IngestionError, match=rf"{bad} of {rows:,} rows were refused"):
                run(Dump(with_bad(rows, bad)))
        assert len(stored()) == (rows - bad if loads else 0)
        # Either way every refused row is kept, and the attempt is in the ledger.
        assert query("SELECT count(*), count(DISTINCT row ->> 'symbol') FROM quarantine") == [
            (bad, bad)
        ]
        assert query("SELECT outcome, rows_loaded, rows_quarantined FROM ingest_ledger") == [
            ("committed", rows - bad, bad) if loads else ("refused", 0, bad)
        ]

    def test_they_are_kept_as_they_came(self, run, query):
        frame = bars(10).astype(object)
        frame.loc[0, ["close", "market_cap"]] = ["11o\0", "삼성"]
        frame.loc[1, "volume"] = 1.5
        run(Dump(frame), run_id="abc")
        kept = query("SELECT reason, row, source, run_id, session FROM quarantine ORDER BY id")
        assert [reason for reason, *_ in kept] == [
            "close is not a number: '11o\\x00'; market_cap is not a whole number: '삼성'",
            "volume is not a whole number: 1.5",
        ]
        assert kept[0][1] == {
            "date": "2025-01-02",
            "symbol": "000000",
            "open": 100.0,
            "high": 120.0,
            "low": 90.0,
            "close": "11o\\u0000",
            "volume": 1000,
            "trading_value": 110_000,
            "market_cap": "삼성",
            "listed_shares": 5_000,
        }
        assert kept[0][2:] == ("dump", "abc", SESSION)

    def test_a_committed_load_replaces_its_quarantine_and_a_refused_one_adds(self, run, query):
        count = "SELECT count(*) FROM quarantine"
        run(Dump(with_bad(100, 3)))
        run(Dump(with_bad(100, 2)))
        assert query(count) == [(2,)]
        with pytest.raises(IngestionError):
            run(Dump(with_bad(100, 50)))
        assert query(count) == [(52,)]
        run(Dump(bars(100)), symbols=("000000",))
        assert query(count) == [(50,)]  # both attempts' rows of 000000 are gone
        run(Dump(bars(100)))
        assert query(count) == [(0,)]


class TestTypes:
    def test_adbc_would_corrupt_what_we_refuse(self, timescaledb, stored):
        """Why nothing but the exact Arrow schema may pass: the driver checks widths only."""
        good = canonical(split(bars(1), DAILY_BARS, SESSION, NOW).good, DAILY_BARS)
        floats = good.set_column(6, "volume", good["volume"].cast(pa.float64()))
        attempt = Attempt(DAILY_BARS, SESSION, None, "run", "dump", False, False, NOW)
        with pytest.raises(CanonicalError, match="daily_bars: volume is double, not int64"):
            load(timescaledb, attempt, floats, Refused())
        assert stored() == []
        with timescaledb.connect() as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("daily_bars", floats, mode="append")
            cursor.execute("SELECT volume FROM daily_bars")
            assert cursor.fetchone() == (4652007308841189376,)  # the bits of 1000.0

    def test_values_arrive_exactly(self, run, query):
        frame = bars(1, close=110.07, market_cap=318_786_388_170_000.0, trading_value=None)
        run(Dump(frame.assign(high=9_999_999_999.99)))
        (row,) = query("SELECT close::text, high::text, market_cap, trading_value FROM daily_bars")
        assert row == ("110.07", "9999999999.99", 318_786_388_170_000, None)


class TestTransaction:
    def test_a_violation_in_mid_load_changes_nothing(self, run, stored, timescaledb, query):
        run(Dump(bars(3)))
        before = stored()
        rows = canonical(split(bars(5), DAILY_BARS, SESSION, NOW).good, DAILY_BARS)
        attempt = Attempt(DAILY_BARS, SESSION, None, "run", "dump", False, False, NOW)
        with pytest.raises(DatabaseError, match="duplicate key"):
            load(timescaledb, attempt, pa.concat_tables([rows, rows]), Refused())
        assert stored() == before
        assert query("SELECT count(*) FROM ingest_ledger") == [(1,)]

    def test_a_ledger_that_cannot_be_written_stops_the_load(self, run, stored, query):
        run(Dump(bars(3)))
        before = stored()
        query("REVOKE INSERT ON ingest_ledger FROM collector_user")
        try:
            with pytest.raises(IngestionError, match=r"permission denied.*not in the ledger"):
                run(Dump(bars(5)))
        finally:
            query("GRANT INSERT ON ingest_ledger TO collector_user")
        assert stored() == before

    def test_a_connection_lost_in_mid_load_changes_nothing_and_is_tried_again(
        self, run, stored, timescaledb, as_superuser, monkeypatch
    ):
        run(Dump(bars(3)))
        lost = []

        def kill_once(cursor: object, attempt: object) -> None:
            if not lost:
                lost.append(True)
                cursor.execute("SELECT pg_backend_pid()")
                (pid,) = cursor.fetchone()
                as_superuser(f"SELECT pg_terminate_backend({pid})")

        monkeypatch.setattr("resources.loading._refuse_source_change", kill_once)
        rows = canonical(split(bars(5), DAILY_BARS, SESSION, NOW).good, DAILY_BARS)
        attempt = Attempt(DAILY_BARS, SESSION, None, "run", "dump", False, False, NOW)
        with pytest.raises(DatabaseUnavailableError):
            load(timescaledb, attempt, rows, Refused())
        assert len(stored()) == 3
        lost.clear()
        monkeypatch.setattr("resources.ingestion._persistently", fast_retries())
        assert run(Dump(bars(5))).loaded == 5
        assert len(stored()) == 5

    def test_a_second_writer_of_the_session_waits(self, run, stored, query, timescaledb):
        with timescaledb.connect() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtext('daily_bars'), date '2025-01-02' "
                "- date '2000-01-01')"
            )
            cursor.fetchall()
            done = []
            writer = threading.Thread(target=lambda: done.append(run(Dump(bars(3)))))
            writer.start()
            wait_until(lambda: query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
            assert not done
            # Another session is not held up.
            run(Dump(bars(2, date=date(2025, 1, 3))), session=date(2025, 1, 3))
        writer.join(30)
        assert [loaded.loaded for loaded in done] == [3]

    def test_two_writers_at_once_leave_one_session(self, run, stored):
        writers = [
            threading.Thread(target=lambda n=n: run(Dump(bars(2000, volume=n)))) for n in (1, 2)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
        rows = stored()
        assert len(rows) == 2000
        assert len({row[6] for row in rows}) == 1


class TestWindow:
    def test_only_the_session_is_replaced(self, run, query):
        for day in (1, 2, 3):
            session = SESSION + timedelta(days=day - 1)
            run(Dump(bars(3, date=session, volume=day)), session=session)
        run(Dump(bars(3, date=date(2025, 1, 3), volume=9)), session=date(2025, 1, 3))
        assert query("SELECT DISTINCT date::text, volume FROM daily_bars ORDER BY 1") == [
            ("2025-01-02", 1),
            ("2025-01-03", 9),
            ("2025-01-04", 3),
        ]

    def test_named_symbols_leave_the_others(self, run, query):
        run(Dump(bars(3)))
        loaded = run(Dump(bars(3, volume=7)), symbols=("000001",))
        assert (loaded.loaded, loaded.replaced) == (1, 1)
        assert query("SELECT volume FROM daily_bars ORDER BY symbol") == [(1000,), (7,), (1000,)]

    def test_a_minute_session_is_a_day_in_seoul(self, run, query):
        """Pre-market bars of the alternative venue lie on the day before in UTC."""

        def minutes(*times: str) -> pd.DataFrame:
            frame = bars(len(times))[["symbol", *DAILY_BARS.measures]].assign(trading_value=None)
            frame["symbol"] = "005930"
            frame["venue"] = "NXT"
            frame["time"] = pd.to_datetime(list(times)).tz_localize(SEOUL)
            return frame[list(MINUTE_BARS.column_names)]

        day_before = date(2025, 1, 1)
        run(Dump(minutes("2025-01-01 19:59")), MINUTE_BARS, session=day_before)
        first = minutes("2025-01-02 00:00", "2025-01-02 08:00", "2025-01-02 23:59")
        run(Dump(first), MINUTE_BARS)
        assert run(Dump(first.iloc[1:]), MINUTE_BARS, allow_shrink=True).replaced == 3
        times = query(
            "SELECT (time AT TIME ZONE 'Asia/Seoul')::text FROM stock_prices ORDER BY time"
        )
        assert [time for (time,) in times] == [
            "2025-01-01 19:59:00",
            "2025-01-02 08:00:00",
            "2025-01-02 23:59:00",
        ]

    def test_flows_with_nulls(self, run, query):
        frame = pd.DataFrame(
            [[SESSION, "005930", -5, None, None, None, True]],
            columns=list(SUPPLY_DEMAND.column_names),
        )
        run(Dump(frame), SUPPLY_DEMAND)
        assert query("SELECT institution_amount, foreign_amount, estimated FROM supply_demand") == [
            (-5, None, True)
        ]


class TestReplacing:
    def test_a_load_below_90_percent_needs_a_word(self, run, stored, query):
        run(Dump(bars(100)))
        with pytest.raises(IngestionError, match=r"89 rows would replace 100.*allow_shrink: true"):
            run(Dump(bars(89)))
        assert len(stored()) == 100
        assert run(Dump(bars(90))).replaced == 100
        assert run(Dump(bars(50)), allow_shrink=True).replaced == 90
        assert [row[0] for row in query("SELECT outcome FROM ingest_ledger ORDER BY id")] == [
            "committed",
            "refused",
            "committed",
            "committed",
        ]

    def test_named_symbols_that_vanished_need_it_too(self, run, stored):
        run(Dump(bars(3)))
        with pytest.raises(IngestionError, match="0 rows would replace 1"):
            run(Dump(bars(2)), symbols=("000002",))
        run(Dump(bars(2)), symbols=("000002",), allow_shrink=True)
        assert len(stored()) == 2

    @pytest.mark.parametrize("simulated_first", [False, True])
    def test_real_and_simulated_rows_do_not_replace_each_other(self, run, stored, simulated_first):
        run(Dump(bars(10), simulated=simulated_first))
        other = Dump(bars(10, volume=1), simulated=not simulated_first)
        with pytest.raises(IngestionError, match=r"would be replaced by .*allow_source_change"):
            run(other)
        assert {row[6] for row in stored()} == {1000}
        run(other, allow_source_change=True)
        assert {row[6] for row in stored()} == {1}
        run(other)

    def test_running_it_again_gives_the_same_table(self, run, stored, query):
        first = run(Dump(bars(50)))
        before = stored()
        again = run(Dump(bars(50).iloc[::-1]))
        assert stored() == before
        assert (again.replaced, again.checksum) == (50, first.checksum)

    def test_the_checksum_is_that_of_the_rows_in_the_table(self, run, timescaledb, query):
        run(Dump(bars(50, close=110.25)))
        with timescaledb.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(DAILY_BARS.column_names)} FROM daily_bars")  # noqa: S608
            table = cursor.fetch_arrow_table()
        columns = [
            getattr(column.combine_chunks(), "storage", column.combine_chunks()).cast(field.type)
            for column, field in zip(table.columns, DAILY_BARS.arrow_schema(), strict=True)
        ]
        stored = pa.table(columns, schema=DAILY_BARS.arrow_schema())
        assert query("SELECT checksum FROM ingest_ledger") == [(checksum(stored),)]

    def test_a_compressed_session_is_replaced_like_any_other(self, run, query, community):
        """Also beyond TimescaleDB's default limit of 100,000 decompressed rows."""
        sessions = [date(2024, 3, day) for day in range(4, 9)]
        for session in sessions:
            run(Dump(bars(30_000, date=session)), session=session)
        query(
            "ALTER TABLE daily_bars SET (timescaledb.compress, timescaledb.compress_segmentby "
            "= 'symbol', timescaledb.compress_orderby = 'date')"
        )
        try:
            query("SELECT compress_chunk(show_chunks('daily_bars'))")
            run(Dump(bars(30_000, date=sessions[1], volume=7)), session=sessions[1])
            assert query("SELECT volume, count(*) FROM daily_bars GROUP BY 1 ORDER BY 1") == [
                (7, 30_000),
                (1000, 120_000),
            ]
        finally:
            query("SELECT decompress_chunk(show_chunks('daily_bars'), true)")
            query("ALTER TABLE daily_bars SET (timescaledb.compress = false)")


def test_the_ledger_tells_it_all(run, query):
    run(Dump(with_bad(100, 2)), run_id="first", symbols=None)
    (row,) = query("SELECT * FROM ingest_ledger")
    (_, run_id, asset, session, source, simulated, provisional, outcome, symbols, *rest) = row
    assert (run_id, asset, session, source) == ("first", "daily_bars", SESSION, "dump")
    assert (simulated, provisional, outcome, symbols) == (False, False, "committed", None)
    loaded, replaced, quarantined, total, error, started_at, committed_at = rest
    assert (loaded, replaced, quarantined, error) == (98, 0, 2, None)
    assert total is not None
    assert started_at == NOW
    assert committed_at > NOW


def test_refusal_by_the_contract_raises_from_load_itself(timescaledb, run, stored):
    run(Dump(bars(10)))
    rows = canonical(split(bars(1), DAILY_BARS, SESSION, NOW).good, DAILY_BARS)
    attempt = Attempt(DAILY_BARS, SESSION, None, "run", "dump", False, False, NOW)
    with pytest.raises(LoadRefusedError):
        load(timescaledb, attempt, rows, Refused())
    assert len(stored()) == 10


class TestUnreachable:
    """One clear line that names the place and what to check, without the password."""

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"password": "wrong-secret"}, "authentication failed"),
            ({"dbname": "nowhere"}, "nowhere"),
            ({"port": 1}, "Connection refused"),
        ],
    )
    def test_it_says_so(self, timescaledb, change, says):
        database = timescaledb.model_copy(update=change)
        with pytest.raises(DatabaseError) as error, database.connect():
            pass
        message = str(error.value)
        assert message.startswith("cannot reach TimescaleDB ")
        assert says in message
        assert "; check TIMESCALE_HOST, TIMESCALE_PORT, " in message
        assert "\n" not in message
        assert database.password not in message


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = threading.Event()
    timer = threading.Timer(seconds, deadline.set)
    timer.start()
    try:
        while not condition():
            assert not deadline.is_set(), "not within the time given"
    finally:
        timer.cancel()


def fast_retries() -> Callable[..., object]:
    from tenacity import retry, retry_if_exception_type, stop_after_attempt

    return retry(
        retry=retry_if_exception_type(DatabaseUnavailableError),
        stop=stop_after_attempt(5),
        reraise=True,
    )
