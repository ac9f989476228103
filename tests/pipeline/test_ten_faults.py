"""A session with ten different faults, loaded and checked by a real run."""

from datetime import date

import dagster as dg
import pandas as pd
import pytest

from resources.calendar import krx_calendar, seoul_now
from resources.checks.rules import RULES
from resources.sources.simulated.source import SimulatedSource
from resources.tables import Dataset

BEFORE, SESSION = "2025-06-12", "2025-06-13"


class Faulty(SimulatedSource):
    """The simulated market, 200 symbols, with ten faults in one session's daily bars."""

    def __init__(self) -> None:
        super().__init__(krx_calendar(), seoul_now, size=200)

    def daily_bars(self, session, symbols):
        frame = super().daily_bars(session, symbols)
        if str(session) != SESSION:
            return frame
        before = super().daily_bars(date.fromisoformat(BEFORE), symbols).set_index("symbol")
        good = (frame["volume"] > 1000) & (frame["low"] >= 5000) & (frame["high"] > frame["low"])
        good &= before["volume"].reindex(frame["symbol"]).gt(1000).to_numpy()
        frame = pd.concat([frame[good], frame[~good]], ignore_index=True)

        duplicate = frame.iloc[[0]].assign(market_cap=1)  # 1, two rows that differ
        frame.loc[1, ["low", "high"]] = frame.loc[1, ["high", "low"]].to_numpy()  # 2
        frame.loc[2, "open"] = 0  # 3
        frame.loc[3, "volume"] = -1  # 4
        frame.loc[4, "high"] *= 10  # 5: beyond the price limit
        frame.loc[5, "high"] += 1  # 6: off its tick
        frame.loc[6, "trading_value"] = frame.loc[6, "high"] * frame.loc[6, "volume"] + 1  # 7
        repeated = ["open", "high", "low", "close", "volume", "trading_value"]
        frame.loc[7, repeated] = before.loc[frame.loc[7, "symbol"], repeated].to_numpy()  # 8
        strangers = frame.iloc[10:16].copy()  # 9: six symbols that are no members
        strangers["symbol"] = [f"ZZZZZ{number}" for number in range(6)]
        return pd.concat([frame.iloc[:-20], duplicate, strangers])  # 10: twenty symbols missing


FOUND = {
    "duplicates": ("ERROR", 2),
    "ohlc_order": ("WARN", 1),
    "positive_prices": ("WARN", 1),
    "non_negative_volume": ("WARN", 1),
    "price_limit": ("WARN", 1),
    "tick_size": ("WARN", 1),
    "vwap": ("WARN", 1),
    "stale_close": ("WARN", 1),
    "unknown_symbols": ("ERROR", 6),
    # Twenty, and the four symbols whose rows were refused.
    "row_count": ("ERROR", 24),
}


@pytest.fixture
def evaluated(instance):
    """What Dagster has of a session's checks: passed, severity, found."""

    def evaluated(session: str) -> dict[str, tuple[bool, str, int]]:
        found = {}
        for rule in RULES[Dataset.DAILY_BARS]:
            history = instance.event_log_storage.get_asset_check_execution_history(
                dg.AssetCheckKey(dg.AssetKey("daily_bars"), rule.name), limit=10
            )
            (one,) = [
                event
                for record in history
                if (event := record.event.dagster_event.event_specific_data).partition == session
            ]
            found[rule.name] = (one.passed, one.severity.value, one.metadata["found"].value)
        return found

    return evaluated


def test_ten_faults_are_ten_findings(launch, evaluated, query):
    assert launch(Faulty(), "symbols,daily_bars", BEFORE, SESSION).success
    assert {name for name, (passed, _, _) in evaluated(BEFORE).items() if not passed} == set()
    findings = {
        name: (severity, found)
        for name, (passed, severity, found) in evaluated(SESSION).items()
        if not passed
    }
    assert findings == FOUND
    # The table says the same, and who may read it can tell which fault was whose.
    kept = query(
        "SELECT rule, CASE severity WHEN 'error' THEN 'ERROR' ELSE 'WARN' END, found "
        "FROM check_results WHERE NOT passed AND asset = 'daily_bars'"
    )
    assert {rule: (severity, found) for rule, severity, found in kept} == FOUND
    assert query("SELECT count(*) FROM quarantine") == [(5,)]
