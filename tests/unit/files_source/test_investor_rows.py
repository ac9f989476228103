"""Dumps with a row per market and investor type: one per market comes out, nothing is lost."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from resources.sources import NotCoveredError
from resources.tables import MARKET_FLOWS
from resources.validation import split
from tests.unit.files_source.vendor import INVESTORS, MON, TUE, Refusal, Source, Write

HEADER = "Date,M,Who,KRW"
NOW = datetime(2025, 11, 12, tzinfo=UTC)


def flows(write: Write, source: Source, *rows: str) -> pd.DataFrame:
    write("market.csv", HEADER, *rows)
    return source(INVESTORS).market_flows(MON, None)


def test_types_are_put_side_by_side(write: Write, source: Source) -> None:
    frame = flows(
        write,
        source,
        "2025-11-11,KOSPI,개인,99",
        "2025-11-10,KOSPI,개인,7",
        "2025-11-10,KOSDAQ,외국인,-3",
        "2025-11-10,KOSPI,기타외국인,1000",
        "2025-11-10,KOSPI,외국인,-7.5",
    )
    assert tuple(frame.columns) == MARKET_FLOWS.column_names
    assert frame[["market", "foreign_amount", "individual_amount"]].to_numpy(
        na_value=None
    ).tolist() == [
        ["KOSPI", -7_500, 7_000],
        ["KOSDAQ", -3_000, None],
    ]
    assert frame["institution_amount"].isna().all()
    assert source(INVESTORS).market_flows(TUE, None)["individual_amount"].tolist() == [99_000]


def test_a_type_given_twice_is_refused_with_its_market(write: Write, source: Source) -> None:
    """Which of them is right cannot be told, and neither may be dropped."""
    frame = flows(
        write,
        source,
        "2025-11-10,KOSPI,개인,7",
        "2025-11-10,KOSPI,외국인,-7",
        "2025-11-10,KOSPI,개인,8",
        "2025-11-10,KOSDAQ,개인,1",
    )
    judged = split(frame, MARKET_FLOWS, MON, NOW)
    assert judged.good["market"].tolist() == ["KOSDAQ"]
    assert judged.refused["individual_amount"].tolist() == [7_000, 8_000]
    assert set(judged.reasons) == {"duplicate of (market, date)"}


def test_garbled_amounts_stay_with_their_type(write: Write, source: Source) -> None:
    frame = flows(
        write,
        source,
        "2025-11-10,KOSPI,개인,x",
        "2025-11-10,KOSPI,외국인,5",
        "2025-11-10,KOSDAQ,외국인,",
        "2025-11-10,KOSDAQ,개인,1",
    )
    assert frame["individual_amount"].tolist() == ["x", 1_000]
    assert frame["foreign_amount"].tolist() == [5_000, pd.NA]
    judged = split(frame, MARKET_FLOWS, MON, NOW)
    assert judged.reasons == ["individual_amount is not a whole number: 'x'"]


def test_rows_without_a_market_are_not_lost(write: Write, source: Source) -> None:
    frame = flows(write, source, "2025-11-10,,개인,7", "2025-11-10,KOSPI,개인,8")
    assert frame["individual_amount"].tolist() == [7_000, 8_000]
    assert split(frame, MARKET_FLOWS, MON, NOW).reasons == ["market is missing"]


def test_a_dump_without_any_known_type_covers_nothing(write: Write, source: Source) -> None:
    with pytest.raises(NotCoveredError):
        flows(write, source, "2025-11-10,KOSPI,기관,7")


def test_a_missing_column_is_named(write: Write, source: Source, refusal: Refusal) -> None:
    write("market.csv", "Date,M,Kind,KRW", "2025-11-10,KOSPI,개인,7")
    said = refusal(source(INVESTORS).market_flows, MON, None)
    assert 'market_flows[vendor].investors.column names column "Who"' in said
