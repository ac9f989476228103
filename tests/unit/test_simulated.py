from datetime import date, datetime, time, timedelta

import numpy as np
import pandas as pd
import pytest

from resources.calendar import SEOUL, krx_calendar
from resources.canonical import canonical, checksum
from resources.sources import NotCoveredError, SourceError
from resources.sources.simulated.prices import daily_bars, limits, tick
from resources.sources.simulated.source import SimulatedSource
from resources.tables import TABLES, Dataset
from resources.validation import split

NOW = datetime(2026, 11, 20, 18, tzinfo=SEOUL)
REGULAR, EXAM, NEW_YEAR = date(2025, 6, 13), date(2025, 11, 13), date(2026, 1, 2)
SESSIONS = [date(2005, 1, 3), date(2016, 7, 29), REGULAR, EXAM, NEW_YEAR]


def market(**options: int) -> SimulatedSource:
    return SimulatedSource(krx_calendar(), lambda: NOW, **options)


def checksums(source: SimulatedSource, sessions: list[date]) -> dict[tuple[str, date], int]:
    return {
        (dataset, session): checksum(
            canonical(
                split(getattr(source, dataset)(session, None), table, session, NOW).good, table
            )
        )
        for session in sessions
        for dataset, table in TABLES.items()
    }


def test_the_same_rows_whatever_was_asked_before():
    forward = checksums(market(size=100), SESSIONS)
    assert checksums(market(size=100), SESSIONS[::-1]) == forward
    bars = [total for (dataset, _), total in forward.items() if not TABLES[dataset].dated]
    assert len(set(bars)) == len(bars)
    assert set(checksums(market(size=100, seed=1), SESSIONS).values()).isdisjoint(forward.values())


@pytest.mark.parametrize("session", SESSIONS, ids=str)
@pytest.mark.parametrize("dataset", Dataset)
def test_no_row_is_refused(dataset, session):
    frame = getattr(market(), dataset)(session, None)
    assert split(frame, TABLES[dataset], session, NOW).reasons == []
    if dataset is Dataset.MARKET_FLOWS:
        assert frame["market"].tolist() == ["KOSPI", "KOSDAQ"]
    else:
        fewer = {
            Dataset.MINUTE_BARS: 2_500,  # without those that are halted
            Dataset.COMPANIES: 2_520,  # without ETFs
            Dataset.ETF_CONSTITUENTS: 180,
        }
        assert frame["symbol"].nunique() >= fewer.get(dataset, 2_700)


@pytest.mark.parametrize("dataset", [dataset for dataset in Dataset if TABLES[dataset].by_symbol])
def test_named_symbols_are_those_of_the_whole_market(dataset):
    whole = getattr(market(), dataset)(REGULAR, None)
    names = whole["symbol"].unique()[[3, 40]].tolist()
    some = getattr(market(), dataset)(REGULAR, [*names, "999999"])
    expected = whole[whole["symbol"].isin(names)].reset_index(drop=True)
    pd.testing.assert_frame_equal(some.reset_index(drop=True), expected)
    assert getattr(market(), dataset)(REGULAR, ["999999"]).empty


def test_a_smaller_market_is_the_beginning_of_the_whole_one():
    whole = market().daily_bars(REGULAR, None)
    small = market(size=50).daily_bars(REGULAR, None)
    pd.testing.assert_frame_equal(small, whole.iloc[:50])
    assert small["symbol"].str.contains("[A-Z]").any()


@pytest.mark.parametrize("size", [0, 2701])
def test_a_market_of_another_size_is_refused(size):
    with pytest.raises(SourceError, match=f"SIMULATED_SYMBOLS={size}"):
        market(size=size)


@pytest.mark.parametrize("session", SESSIONS, ids=str)
def test_minutes_add_up_to_the_day(session):
    calendar = krx_calendar()
    daily = market().daily_bars(session, None).set_index("symbol")
    traded = daily[daily["volume"] > 0].sort_index()
    minutes = market().minute_bars(session, None)
    minutes["clock"] = minutes["time"].dt.tz_convert(SEOUL)
    minutes = minutes.sort_values(["symbol", "clock"])
    by_symbol = minutes.groupby("symbol")
    summed = by_symbol.agg(
        open=("open", "first"),
        high=("high", "max"),
        low=("low", "min"),
        close=("close", "last"),
        volume=("volume", "sum"),
        last=("clock", "max"),
    )
    for price in ("open", "high", "low", "close"):
        assert (summed[price] == traded[price]).all()
    share = summed["volume"] / traded["volume"]
    assert share.between(0.9, 1).all()
    clocks = minutes["clock"].dt.time
    assert (summed["last"].dt.time == calendar.close(session)).all()
    before_auction = clocks[clocks < calendar.close(session)]
    close = datetime.combine(session, calendar.close(session))
    assert before_auction.min() == calendar.open(session)
    assert before_auction.max() == (close - timedelta(minutes=11)).time()
    if session == REGULAR:
        assert 950_000 < len(minutes) < 1_030_000


def test_prices_move_in_ticks_and_within_limits():
    calendar = krx_calendar()
    start = calendar.sessions.index(date(2025, 1, 2))
    sessions = calendar.sessions[start : start + 250]
    previous = daily_bars(0, sessions[0], calendar)
    halts = listings = up = down = 0
    for session in sessions[1:]:
        bars = daily_bars(0, session, calendar)
        same = bars.listing.generation == previous.listing.generation
        lowest, highest = limits(previous.close)
        for price in (bars.close, bars.high, bars.low):
            inside = (price >= lowest) & (price <= highest)
            assert inside[same & ~bars.halted].all()
        for price in (bars.open, bars.high, bars.low, bars.close):
            assert (price % tick(price) == 0).all()
        assert (bars.close == previous.close)[bars.halted].all()
        up += int((bars.high == highest)[same].sum())
        down += int((bars.low == lowest)[same].sum())
        halts += int(bars.halted.sum())
        listings += int((~same).sum())
        previous = bars
    assert 1 < up / 249 < 6
    assert 1 < down / 249 < 6
    assert 60 < halts / 249 < 140
    assert 20 < listings < 300


def test_a_halt_looks_as_krx_reports_it():
    bars = market().daily_bars(REGULAR, None)
    halted = bars[bars["volume"] == 0]
    assert len(halted) > 50
    assert (halted[["open", "high", "low", "trading_value"]] == 0).all(axis=None)
    assert (halted["close"] > 0).all()
    minutes = market().minute_bars(REGULAR, None)
    assert not set(halted["symbol"]) & set(minutes["symbol"])


def test_companies_come_and_go_and_codes_are_never_used_again():
    seen: dict[str, int] = {}
    for session in krx_calendar().sessions[::250]:
        symbols = market().symbols(session, None)
        assert symbols["symbol"].is_unique
        assert (symbols["listing_date"] <= session).all()
        for place, symbol in enumerate(symbols["symbol"]):
            assert seen.setdefault(symbol, place) == place
    assert 3_000 < len(seen) < 10_000


def test_four_investor_types_sum_to_zero():
    flows = market().supply_demand(REGULAR, None)
    amounts = flows[list(TABLES[Dataset.SUPPLY_DEMAND].measures)]
    assert (amounts.sum(axis=1) == 0).all()
    assert (amounts != 0).any().all()
    assert not flows["estimated"].any()


def test_market_flows_are_the_sums_of_their_symbols():
    for source in (market(), market(size=40)):
        by_symbol = source.supply_demand(REGULAR, None).merge(source.symbols(REGULAR, None))
        by_symbol = by_symbol[by_symbol["kind"] != "etf"]  # as KRX leaves them out
        names = list(TABLES[Dataset.MARKET_FLOWS].measures)
        sums = by_symbol.groupby("market")[names].sum().drop("KONEX")
        flows = source.market_flows(REGULAR, None).set_index("market")[names]
        pd.testing.assert_frame_equal(flows.sort_index(), sums)
    assert market(size=1).market_flows(REGULAR, None)["market"].tolist() == ["KOSPI"]


def test_value_weighted_prices_lie_within_the_day():
    bars = market().daily_bars(REGULAR, None)
    bars = bars[bars["volume"] > 0]
    average = bars["trading_value"] / bars["volume"]
    assert ((average >= bars["low"] - 1) & (average <= bars["high"])).all()


def test_a_session_under_way_has_the_minutes_that_are_over():
    now = datetime.combine(REGULAR, time(10, 30, 30), SEOUL)
    source = SimulatedSource(krx_calendar(), lambda: now)
    clocks = source.minute_bars(REGULAR, None)["time"].dt.tz_convert(SEOUL).dt.time
    assert (clocks.min(), clocks.max()) == (time(9), time(10, 29))


@pytest.mark.parametrize("day", [date(2025, 6, 14), date(2004, 12, 30), date(2100, 1, 4)])
def test_other_days_are_named(day):
    with pytest.raises(SourceError, match=f"did not trade on {day}.*from 2005-01-03 to"):
        market().daily_bars(day, None)


def test_it_says_that_it_is_simulated():
    assert market().simulated
    assert np.all(market().symbols(REGULAR, None)["name"].str.startswith("모의 "))


@pytest.mark.parametrize("session", SESSIONS, ids=str)
def test_an_etf_holds_listed_companies_and_cash(session):
    source = market(size=50)
    held = source.etf_constituents(session, None)
    members = source.symbols(session, None).set_index("symbol")["kind"]
    etfs = members[members == "etf"].index
    assert set(held["symbol"]) == set(etfs) and len(etfs) == 3
    cash = held["constituent"] == "KRD010010001"
    assert held[cash]["symbol"].is_unique and cash.sum() == len(etfs)
    assert set(members[held[~cash]["constituent"]]) <= {"common", "preferred"}
    weights = held.assign(hundredths=(held["weight"] * 100).round().astype(int))
    assert set(weights.groupby("symbol")["hundredths"].sum()) == {10_000}
    closes = source.daily_bars(session, None).set_index("symbol")["close"]
    stock = held[~cash]
    assert (stock["value"] == stock["shares"] * closes[stock["constituent"]].to_numpy()).all()
    total = held.groupby("symbol")["value"].transform("sum")
    assert ((held["value"] / total * 100 - held["weight"]).abs() < 0.011).all()


def test_a_market_without_an_etf_says_so():
    assert len(market(size=7).etf_constituents(REGULAR, None)) == 7
    with pytest.raises(NotCoveredError, match="SIMULATED_SYMBOLS=7 or more"):
        market(size=6).etf_constituents(REGULAR, None)


def test_companies_are_the_members_that_are_no_etf():
    members = market(size=100).symbols(REGULAR, None).set_index("symbol")
    companies = market(size=100).companies(REGULAR, None).set_index("symbol")
    assert set(companies.index) == set(members[members["kind"] != "etf"].index)
    for column in ("name", "market", "listing_date"):
        assert (companies[column] == members.loc[companies.index, column]).all()
    assert companies["sector"].notna().equals(companies["market"] == "KOSDAQ")
