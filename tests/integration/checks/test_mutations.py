# ruff: noqa: S608
"""Good data is corrupted once per rule, and exactly that rule finds it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pandas as pd
import pytest

from resources.checks.rules import RULES
from resources.tables import TABLES, Dataset

DAILY, MINUTE, FLOWS, MEMBERS, MARKETS = (
    Dataset.DAILY_BARS,
    Dataset.MINUTE_BARS,
    Dataset.SUPPLY_DEMAND,
    Dataset.SYMBOLS,
    Dataset.MARKET_FLOWS,
)
ERROR, WARNING = "error", "warning"

_ONE_BAR = "date = '2025-06-13' AND symbol = (SELECT max(symbol) FROM daily_bars WHERE {})"
_TRADED = _ONE_BAR.format(
    "date = '2025-06-13' AND volume > 1000 AND high > low AND low >= 5000 AND high % 100 = 0 "
    "AND high < 1.2 * close"
)
_RISEN = _ONE_BAR.format(
    "date = '2025-06-13' AND volume > 1000 AND low < open AND open < close AND close < high"
)
_BAR = (
    "(symbol, time) = (SELECT symbol, time FROM stock_prices WHERE high > low AND low >= 5000 "
    "AND volume > 1 AND time > '2025-06-13 00:00+09' ORDER BY symbol DESC, time LIMIT 1)"
)
_KOSPI = "date = '2025-06-13' AND market = 'KOSPI'"
_ONE_LOST = {"row_count": (ERROR, 1)}  # of two markets
_STRANGERS = (
    "INSERT INTO {table} SELECT (jsonb_populate_record(good, jsonb_build_object('symbol', "
    "'ZZZZZ' || n))).* FROM {table} AS good, generate_series(0, 5) AS n WHERE {where}"
)
_SIX_SYMBOLS = "(SELECT symbol FROM {table} WHERE {day} GROUP BY symbol ORDER BY symbol LIMIT {n})"


def row(change: Callable[[pd.DataFrame], None]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Change a frame's first traded row, whatever type its columns had."""

    def altered(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.astype(object)
        if "volume" in frame:
            frame = frame.sort_values("volume", ascending=False, ignore_index=True)
        change(frame)
        return frame

    return altered


def put(**values: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> None:
        for name, value in values.items():
            frame.loc[0, name] = value

    return row(change)


def twice(**differing: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def altered(frame: pd.DataFrame) -> pd.DataFrame:
        again = frame.iloc[[0]].assign(**differing)
        return pd.concat([frame, again], ignore_index=True)

    return altered


def weightless(frame: pd.DataFrame) -> pd.DataFrame:
    """The first ETF's weights are not given."""
    first = frame["symbol"] == frame["symbol"].iloc[0]
    return frame.assign(weight=frame["weight"].mask(first))


@dataclass(frozen=True)
class Fault:
    """Data of a session made bad: in the table by SQL, or as the source gives it."""

    rule: str
    severity: str
    found: int
    sql: str = ""
    source: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    also: Mapping[str, tuple[str, int]] = field(default_factory=dict)


def common(table: str, day: str, one: str) -> list[Fault]:
    """Faults that every table of symbols can have."""
    return [
        Fault("unknown_symbols", ERROR, 6, _STRANGERS.format(table=table, where=one)),
        Fault(
            "row_count",
            ERROR,
            25,
            f"DELETE FROM {table} WHERE {day} AND symbol IN "
            + _SIX_SYMBOLS.format(table=table, day=day, n=25),
        ),
    ]


FAULTS = {
    DAILY: [
        Fault("duplicates", ERROR, 2, source=twice(listed_shares=1)),
        Fault("duplicates", WARNING, 1, source=twice()),
        Fault(
            "ohlc_order", ERROR, 1, f"UPDATE daily_bars SET high = low, low = high WHERE {_TRADED}"
        ),
        Fault(
            "ohlc_order",
            ERROR,
            1,
            f"UPDATE daily_bars SET high = open, trading_value = low * volume WHERE {_RISEN}",
        ),
        Fault(
            "ohlc_order",
            ERROR,
            1,
            f"UPDATE daily_bars SET low = close, trading_value = high * volume WHERE {_RISEN}",
        ),
        Fault("ohlc_order", WARNING, 1, source=put(low=10**7)),
        Fault("positive_prices", ERROR, 1, f"UPDATE daily_bars SET open = 0 WHERE {_TRADED}"),
        Fault("positive_prices", WARNING, 1, source=put(close=-5)),
        Fault("positive_prices", WARNING, 1, source=put(open=0, high=0, low=0)),
        Fault("positive_prices", WARNING, 1, source=put(high=9_999_999.123)),
        Fault(
            "non_negative_volume", ERROR, 1, f"UPDATE daily_bars SET volume = -1 WHERE {_TRADED}"
        ),
        Fault("non_negative_volume", WARNING, 1, source=put(market_cap=-1)),
        Fault("refused_rows", WARNING, 1, source=put(volume="many; volume is negative")),
        Fault("refused_rows", WARNING, 1, source=put(symbol="5930")),
        *common("daily_bars", "date = '2025-06-13'", _TRADED),
        Fault("price_limit", WARNING, 1, f"UPDATE daily_bars SET high = high * 10 WHERE {_TRADED}"),
        Fault("tick_size", WARNING, 1, f"UPDATE daily_bars SET high = high + 1 WHERE {_TRADED}"),
        Fault(
            "vwap",
            WARNING,
            1,
            f"UPDATE daily_bars SET trading_value = high * volume + 1 WHERE {_TRADED}",
        ),
        Fault(
            "stale_close",
            WARNING,
            1,
            "UPDATE daily_bars AS bar SET (open, high, low, close, volume, trading_value) = ("
            "SELECT open, high, low, close, volume, trading_value FROM daily_bars AS before "
            "WHERE before.symbol = bar.symbol AND before.date = '2025-06-12') "
            f"WHERE {_TRADED}",
        ),
    ],
    MINUTE: [
        Fault("duplicates", ERROR, 2, source=twice(trading_value=None)),
        Fault("duplicates", WARNING, 1, source=twice()),
        Fault(
            "ohlc_order", ERROR, 1, f"UPDATE stock_prices SET high = low, low = high WHERE {_BAR}"
        ),
        Fault("ohlc_order", WARNING, 1, source=put(low=10**7)),
        Fault("positive_prices", ERROR, 1, f"UPDATE stock_prices SET open = 0 WHERE {_BAR}"),
        Fault("positive_prices", WARNING, 1, source=put(open=0)),
        Fault("non_negative_volume", ERROR, 1, f"UPDATE stock_prices SET volume = -1 WHERE {_BAR}"),
        Fault("non_negative_volume", WARNING, 1, source=put(volume=-1)),
        Fault(
            "session_hours",
            ERROR,
            1,
            f"UPDATE stock_prices SET time = '2025-06-13 15:25+09' WHERE {_BAR}",
        ),
        Fault(
            "session_hours",
            WARNING,
            1,
            source=put(time=pd.Timestamp("2025-06-16 10:00", tz="Asia/Seoul")),
        ),
        Fault("refused_rows", WARNING, 1, source=put(venue="NYSE")),
        Fault("refused_rows", WARNING, 1, source=put(close="?")),
        *common("stock_prices", "time > '2025-06-13 00:00+09'", _BAR),
        Fault("row_count", ERROR, 1, "DELETE FROM stock_prices WHERE time > '2025-06-13 11:00+09'"),
        Fault("price_limit", WARNING, 1, f"UPDATE stock_prices SET high = high * 10 WHERE {_BAR}"),
        Fault("tick_size", WARNING, 1, f"UPDATE stock_prices SET open = open + 1 WHERE {_BAR}"),
        Fault(
            "vwap",
            WARNING,
            1,
            f"UPDATE stock_prices SET trading_value = low * volume - 1 WHERE {_BAR}",
        ),
        Fault(
            "minute_volume",
            WARNING,
            1,
            "UPDATE stock_prices SET volume = volume + 1000000000, "
            f"trading_value = close * (volume + 1000000000) WHERE {_BAR}",
        ),
    ],
    FLOWS: [
        Fault("duplicates", ERROR, 2, source=twice(estimated=True)),
        Fault("duplicates", WARNING, 1, source=twice()),
        Fault("refused_rows", WARNING, 1, source=put(foreign_amount="?")),
        *common("supply_demand", "date = '2025-06-13'", _TRADED),
        Fault(
            "investor_sum",
            ERROR,
            1,
            f"UPDATE supply_demand SET foreign_amount = foreign_amount + 1 WHERE {_TRADED}",
        ),
        Fault(
            "estimated_flows",
            WARNING,
            1,
            f"UPDATE supply_demand SET estimated = true WHERE {_TRADED}",
        ),
    ],
    MEMBERS: [
        Fault("duplicates", ERROR, 2, source=twice(name="another")),
        Fault("duplicates", WARNING, 1, source=twice()),
        Fault("refused_rows", WARNING, 1, source=put(market="NASDAQ")),
        Fault("row_count", ERROR, 6, source=lambda frame: frame.iloc[:-6]),
    ],
    MARKETS: [
        Fault(
            "duplicates",
            ERROR,
            2,
            source=twice(**dict.fromkeys(TABLES[MARKETS].measures, 0)),
            also=_ONE_LOST,
        ),
        Fault("duplicates", WARNING, 1, source=twice()),
        Fault("refused_rows", WARNING, 1, source=put(market="KONEX"), also=_ONE_LOST),
        Fault("row_count", ERROR, 1, f"DELETE FROM market_flows WHERE {_KOSPI}"),
        Fault(
            "investor_sum",
            ERROR,
            1,
            f"UPDATE market_flows SET foreign_amount = foreign_amount + 1 WHERE {_KOSPI}",
        ),
    ],
    Dataset.COMPANIES: [
        Fault("duplicates", ERROR, 2, source=twice(name="another")),
        Fault("duplicates", WARNING, 1, source=twice()),
        Fault("refused_rows", WARNING, 1, source=put(market="NASDAQ")),
        Fault("row_count", ERROR, 6, source=lambda frame: frame.iloc[:-6]),
    ],
    Dataset.ETF_CONSTITUENTS: [
        # Weights that are not known: what is lost would be missing in their sum.
        Fault(
            "duplicates", ERROR, 2, source=lambda frame: twice(name="another")(weightless(frame))
        ),
        Fault("duplicates", WARNING, 1, source=twice()),
        Fault(
            "refused_rows",
            WARNING,
            1,
            source=lambda frame: put(constituent="?")(weightless(frame)),
        ),
        Fault(
            "row_count",
            ERROR,
            6,
            source=lambda frame: frame[frame["symbol"] == frame["symbol"].iloc[-1]],
        ),
        Fault("weight_sum", WARNING, 1, source=put(weight=200.0)),
    ],
}


@pytest.mark.parametrize("dataset", Dataset, ids=str)
def test_each_rule_finds_its_fault_and_no_other_rule_does(
    dataset, market, load, failing, check, query
):
    assert failing(dataset) == {}
    assert all(result.checked for result in check(dataset).values())
    for fault in FAULTS[dataset]:
        load(dataset, change=fault.source)
        if fault.sql:
            query(fault.sql)
        expected = {fault.rule: (fault.severity, fault.found), **fault.also}
        assert failing(dataset) == expected, fault
    load(dataset)
    assert failing(dataset) == {}
    by_faults = {fault.rule for fault in FAULTS[dataset]} | {"provisional"}
    assert {rule.name for rule in RULES[dataset]} <= by_faults


def test_provisional_rows_fail_once_they_should_be_final(market, load, failing, check):
    load(MINUTE, provisional=True)
    assert list(failing(MINUTE)) == ["provisional"]
    load(MINUTE)
    assert failing(MINUTE) == {}
