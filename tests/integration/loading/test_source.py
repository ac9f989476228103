"""What a source may answer, and what becomes of it."""

import threading

import pytest

from resources.ingestion import IngestionError
from resources.sources import NotCoveredError, SourceUnavailableError
from resources.tables import DAILY_BARS
from tests.integration.loading.dump import Dump, bars


def test_nothing_on_a_trading_day_is_an_error(run, stored, query):
    run(Dump(bars(3)))
    with pytest.raises(IngestionError, match="without a single row, although KRX traded"):
        run(Dump(bars(0)))
    assert len(stored()) == 3
    assert query("SELECT outcome, rows_loaded FROM ingest_ledger ORDER BY id") == [
        ("committed", 3),
        ("failed", 0),
    ]


@pytest.mark.parametrize("blank", [None, "", " ", float("nan")])
def test_a_table_of_blanks_is_an_error(run, stored, blank):
    frame = bars(3, **dict.fromkeys(DAILY_BARS.measures, blank))
    with pytest.raises(IngestionError, match="all blank, as KRX answers on a closed day"):
        run(Dump(frame))
    with pytest.raises(IngestionError, match="all blank"):
        run(Dump(frame), symbols=("000000",))
    assert stored() == []


def test_named_symbols_may_have_no_rows(run, query):
    assert run(Dump(bars(3)), symbols=("999999",)).loaded == 0
    assert query("SELECT outcome, symbols FROM ingest_ledger") == [("committed", ["999999"])]


def test_what_is_not_covered_is_not_asked_again(run, query):
    source = Dump(NotCoveredError("nothing here of 2025-01-02"))
    with pytest.raises(IngestionError, match=r"^nothing here of 2025-01-02$"):
        run(source)
    assert source.asked == 1
    assert query("SELECT outcome, error FROM ingest_ledger") == [
        ("failed", "nothing here of 2025-01-02")
    ]


def test_one_that_was_away_is_asked_again(run, monkeypatch):
    monkeypatch.setattr("resources.ingestion._fetch.retry.wait", lambda _: 0)
    source = Dump(SourceUnavailableError("later"), bars(3))
    assert run(source).loaded == 3
    assert source.asked == 2


def test_one_that_hangs_is_given_up(run, query):
    release = threading.Event()

    class Hanging(Dump):
        def daily_bars(self, session, symbols):
            release.wait(60)
            raise AssertionError

    with pytest.raises(IngestionError, match=r"within 0.2 s \(SOURCE_TIMEOUT\)"):
        run(Hanging(), timeout=0.2)
    release.set()
    assert query("SELECT outcome FROM ingest_ledger") == [("failed",)]


def test_a_defect_in_it_is_recorded_in_one_line_and_the_log_says_where(run, query, caplog):
    with pytest.raises(IngestionError) as error:
        run(Dump(ZeroDivisionError("oh\n\0 \ud800" + "!" * 9_999)))
    assert str(error.value).startswith("ZeroDivisionError: oh \\u0000 \\ud800!!!")
    assert len(str(error.value)) == 2_000
    assert query("SELECT error FROM ingest_ledger") == [(str(error.value),)]
    assert "daily_bars of 2025-01-02" in caplog.text
    assert "in daily_bars\n    raise answer" in caplog.text
