"""Companies (dated) and ETF constituents (by session) in the application's PostgreSQL."""

from collections.abc import Callable, Sequence
from datetime import date, datetime

import pandas as pd
import pytest

from resources.calendar import SEOUL, krx_calendar
from resources.ingestion import IngestionError, ingest
from resources.ledger import Commit
from resources.loading import Attempt
from resources.settings import market_settings
from resources.sources import MarketSource
from resources.sources.selection import select_source
from resources.sources.simulated.source import SimulatedSource
from resources.tables import COMPANIES, ETF_CONSTITUENTS, Table

NOW = datetime(2026, 11, 20, 18, tzinfo=SEOUL)
FIRST, SECOND, THIRD = date(2025, 1, 2), date(2025, 1, 3), date(2025, 1, 6)

Load = Callable[..., Commit]


class Companies:
    """One company, whose industry depends on the session."""

    name = "companies"
    simulated = False

    def __init__(self, industries: dict[date, str]) -> None:
        self.industries = industries

    def companies(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        row = ["005930", "삼성전자", "KOSPI", None, self.industries[session]]
        return pd.DataFrame(
            [[*row, "반도체", None, None, None, 100.0]], columns=list(COMPANIES.column_names)
        )


@pytest.fixture
def simulated() -> SimulatedSource:
    return SimulatedSource(krx_calendar(), lambda: NOW, size=50)


@pytest.fixture
def load(application_database) -> Load:
    def load(
        source: MarketSource,
        table: Table,
        session: date,
        symbols: tuple[str, ...] | None = None,
    ) -> Commit:
        attempt = Attempt(table, session, symbols, "run", source.name, source.simulated, False, NOW)
        return ingest(source, application_database, attempt, source_timeout=60, now=NOW)

    return load


def test_a_company_has_a_row_for_as_long_as_nothing_changes(load, query_application):
    source = Companies({FIRST: "전자", SECOND: "반도체 제조업", THIRD: "전자"})
    # An old session last: newer rows stay.
    for session in (SECOND, THIRD, FIRST):
        load(source, COMPANIES, session)
    assert query_application(
        "SELECT industry, valid_from::text, valid_to::text, face_value FROM companies ORDER BY 2"
    ) == [
        ("전자", "2025-01-02", "2025-01-03", 100),
        ("반도체 제조업", "2025-01-03", "2025-01-06", 100),
        ("전자", "2025-01-06", None, 100),
    ]
    again = load(source, COMPANIES, SECOND)
    assert (again.loaded, again.replaced) == (1, 1)
    found = query_application("SELECT industry FROM companies_on('2025-01-04')")
    assert found == [("반도체 제조업",)]


def test_companies_and_symbols_do_not_mix_their_ledgers(load, simulated, query_application):
    load(simulated, COMPANIES, FIRST)
    assert query_application("SELECT count(*) FROM symbols") == [(0,)]
    assert query_application("SELECT asset, rows_loaded FROM ingest_ledger") == [("companies", 47)]
    rows = query_application(f"SELECT {', '.join(COMPANIES.column_names)} FROM companies")  # noqa: S608
    expected = simulated.companies(FIRST, None)
    found = pd.DataFrame(rows, columns=list(COMPANIES.column_names)).set_index("symbol")
    for name in ("industry", "products", "region", "homepage", "face_value", "listing_date"):
        assert found[name].loc[expected["symbol"]].tolist() == expected[name].tolist(), name


def test_a_session_of_constituents_is_replaced_whole(load, simulated, query_application):
    rows = "SELECT * FROM etf_constituents ORDER BY date, symbol, constituent"
    first = load(simulated, ETF_CONSTITUENTS, FIRST)
    load(simulated, ETF_CONSTITUENTS, SECOND)
    before = query_application(rows)
    again = load(simulated, ETF_CONSTITUENTS, FIRST)
    assert (again.loaded, again.replaced) == (first.loaded, first.loaded)
    assert again.checksum == first.checksum
    assert query_application(rows) == before
    sums = "SELECT date, symbol, sum(weight) FROM etf_constituents GROUP BY 1, 2"
    assert {total for *_, total in query_application(sums)} == {100}
    assert len(query_application(sums)) == 6


def test_a_named_etf_leaves_the_others(load, simulated, query_application):
    load(simulated, ETF_CONSTITUENTS, FIRST)
    others = (
        "SELECT ctid::text FROM etf_constituents WHERE symbol <> '000060' ORDER BY symbol, "
        "constituent"
    )
    before = query_application(others)
    commit = load(simulated, ETF_CONSTITUENTS, FIRST, ("000060",))
    assert commit.loaded == commit.replaced == 7
    assert query_application(others) == before


def test_a_broken_row_is_kept_apart_and_many_refuse_the_session(load, simulated, query_application):
    class Broken(SimulatedSource):
        broken = 1

        def etf_constituents(self, session, symbols):
            frame = super().etf_constituents(session, symbols)
            frame.loc[: self.broken - 1, "constituent"] = "삼성전자"
            return frame

    source = Broken(krx_calendar(), lambda: NOW, size=50)
    assert load(source, ETF_CONSTITUENTS, FIRST).quarantined == 1
    kept = query_application("SELECT row ->> 'constituent', reason FROM quarantine")
    assert kept == [("삼성전자", "constituent is no short code and no ISIN")]
    source.broken = 6
    with pytest.raises(IngestionError, match="6 of 52 rows were refused"):
        load(source, ETF_CONSTITUENTS, FIRST)
    assert query_application("SELECT count(*) FROM etf_constituents") == [(51,)]
    with pytest.raises(IngestionError, match="allow_source_change"):
        simulated.simulated = False
        load(simulated, ETF_CONSTITUENTS, FIRST)


def test_real_masters_and_holdings_load(load, query_application, market_data):
    source = select_source(
        market_settings({"MARKET_SOURCE": "files", "MARKET_DATA_DIR": str(market_data)})
    )
    assert load(source, COMPANIES, FIRST).quarantined == 0
    found = query_application(
        "SELECT market, industry IS NOT NULL, face_value, listing_date::text "
        "FROM companies_on('2025-01-02') WHERE symbol = '005930'"
    )
    assert found == [("KOSPI", True, 100, "1975-06-11")]
    commit = load(source, ETF_CONSTITUENTS, date(2021, 4, 2))
    assert (commit.loaded, commit.quarantined) == (201, 0)
    assert query_application("SELECT sum(weight), sum(value) > 0 FROM etf_constituents") == [
        (100, True)
    ]
    cash = "SELECT shares, value FROM etf_constituents WHERE constituent = 'KRD010010001'"
    assert query_application(cash) == [(None, 14_159_974)]
