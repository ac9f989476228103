"""Bar labels: start or end, zones, the closing auction, and files by symbol."""

from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resources.sources import NotCoveredError
from resources.sources.files import FilesSource
from resources.tables import MINUTE_BARS
from tests.unit.files_source.vendor import Refusal, Source, Write

MON, TUE, EXAM = date(2025, 11, 10), date(2025, 11, 11), date(2025, 11, 13)
MINUTE = """
[[minute_bars]]
name = "vendor"
glob = "minute/A{symbol}.csv"
time = { column = "T", format = "%Y%m%d%H%M", label = "end", closing_auction = "15:30" }
columns = { open = "O", high = "H", low = "L", close = "C", volume = "V" }
"""
MINUTE_HEADER = "T,O,H,L,C,V"


def starts(source: FilesSource, session: date) -> list[str]:
    """Starts of the session's bars in Seoul."""
    frame = source.minute_bars(session, None)
    assert tuple(frame.columns) == MINUTE_BARS.column_names
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    assert set(frame["venue"]) == {"KRX"}
    return frame["time"].dt.tz_convert("Asia/Seoul").dt.strftime("%Y-%m-%d %H:%M").tolist()


def minute(write: Write, *labels: str) -> None:
    write("minute/A005930.csv", MINUTE_HEADER, *(f"{label},1,2,1,2,3" for label in labels))


def test_end_labels_and_the_closing_auction(write: Write, source: Source) -> None:
    minute(write, "202511100901", "202511101520", "202511101530", "202511110901")
    assert starts(source(MINUTE), MON) == [
        "2025-11-10 09:00",
        "2025-11-10 15:19",
        "2025-11-10 15:30",
    ]
    frame = source(MINUTE).minute_bars(MON, None)
    assert frame["time"][0] == datetime(2025, 11, 10, 0, 0, tzinfo=UTC)
    assert frame["symbol"].tolist() == ["005930"] * 3


def test_the_closing_auction_moves_with_the_close(write: Write, source: Source) -> None:
    minute(write, "202511131001", "202511131530", "202511131620", "202511131630")
    assert [start[-5:] for start in starts(source(MINUTE), EXAM)] == [
        "10:00",
        "15:29",
        "16:19",
        "16:30",
    ]


def test_start_labels_and_an_auction_called_otherwise(write: Write, source: Source) -> None:
    minute(write, "202511100900", "202511101519", "202511101520")
    mapping = MINUTE.replace('"end"', '"start"').replace('"15:30"', '"15:20"')
    assert [s[-5:] for s in starts(source(mapping), MON)] == ["09:00", "15:19", "15:30"]


def test_without_a_closing_auction_no_label_is_special(write: Write, source: Source) -> None:
    minute(write, "202511101530")
    mapping = MINUTE.replace(', closing_auction = "15:30"', "")
    assert [s[-5:] for s in starts(source(mapping), MON)] == ["15:29"]


@pytest.mark.parametrize(
    ("format", "timezone", "label"),
    [
        ("iso8601", "UTC", "2025-11-10 00:01:00"),
        ("iso8601", "Asia/Seoul", "2025-11-10T09:01"),
        ("iso8601", "Asia/Seoul", "2025-11-10 00:01:00+00:00"),
        ("iso8601", "UTC", "2025-11-10 09:01:00+09:00"),
        ("%d.%m.%Y %H:%M", "America/New_York", "09.11.2025 19:01"),
        ("%Y-%m-%d %H:%M %z", "Asia/Seoul", "2025-11-10 00:01 +0000"),
    ],
)
def test_zones(write: Write, source: Source, format: str, timezone: str, label: str) -> None:
    minute(write, label)
    mapping = MINUTE.replace("%Y%m%d%H%M", format).replace(
        "label =", f'timezone = "{timezone}", label ='
    )
    assert starts(source(mapping), MON) == ["2025-11-10 09:00"]


@pytest.mark.parametrize(
    "labels",
    [
        np.array([202511100901, 202511101530]),
        np.array([202511100901.0, 202511101530.0]),
        np.array(["202511100901", "202511101530"]),
        pd.to_datetime(["2025-11-10 09:01", "2025-11-10 15:30"]),
        pd.to_datetime(["2025-11-10 00:01", "2025-11-10 06:30"], utc=True),
        pd.Categorical(["202511100901", "202511101530"]),
    ],
    ids=["int", "float", "text", "naive", "aware", "dictionary"],
)
def test_labels_of_parquet_files(source: Source, labels: Any, parquet: Write) -> None:
    parquet("minute/A005930.parquet", T=labels, O=1, H=2, L=1, C=2, V=[3.0, np.nan])
    ready = source(MINUTE.replace(".csv", ".parquet"))
    assert [s[-5:] for s in starts(ready, MON)] == ["09:00", "15:30"]
    assert ready.minute_bars(MON, None)["volume"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("session", "format", "rows"),
    [
        (
            'session = { column = "D", format = "%Y%m%d" }',
            "%H%M",
            ("20251110,901", "20251110,1530"),
        ),
        (
            'session = { column = "D", format = "%Y%m%d" }',
            "%H:%M:%S",
            ("20251110,9:01:00", "20251110,15:30:00"),
        ),
        ("", "%H%M%S", ("x,090100", "x,153000")),
    ],
)
def test_labels_that_are_a_time_of_day(
    write: Write, source: Source, session: str, format: str, rows: tuple[str, str]
) -> None:
    name = "minute/2025-11-10_005930.csv"
    write(name, "D,T,O,H,L,C,V", *(f"{row},1,2,1,2,3" for row in rows))
    glob = "minute/*_{symbol}.csv" if session else "minute/{session:%Y-%m-%d}_{symbol}.csv"
    mapping = MINUTE.replace("minute/A{symbol}.csv", glob).replace("%Y%m%d%H%M", format) + session
    assert [s[-5:] for s in starts(source(mapping), MON)] == ["09:00", "15:30"]


def test_a_time_of_day_that_is_a_number_gets_its_zeros_back(write: Write, source: Source) -> None:
    write("minute/2025-11-10_005930.csv", MINUTE_HEADER, "1,1,2,1,2,3", "100,1,2,1,2,3")
    mapping = (
        MINUTE.replace("A{symbol}", "{session:%Y-%m-%d}_{symbol}")
        .replace("%Y%m%d%H%M", "%H%M")
        .replace("label =", 'timezone = "UTC", label =')
    )
    assert [s[-5:] for s in starts(source(mapping), MON)] == ["09:00", "09:59"]


def test_a_garbled_label_is_passed_on_where_the_session_is_known(
    write: Write, source: Source
) -> None:
    write(
        "minute/2025-11-10_005930.csv",
        MINUTE_HEADER,
        "202511100901,1,2,1,2,3",
        "2025111O0902,1,2,1,2,3",
    )
    mapping = MINUTE.replace("A{symbol}", "{session:%Y-%m-%d}_{symbol}")
    got = source(mapping).minute_bars(MON, None)["time"].tolist()
    assert got == [pd.Timestamp("2025-11-10 00:00", tz="UTC"), "2025111O0902"]


def test_a_garbled_label_that_would_be_the_session_is_an_error(
    write: Write, source: Source, refusal: Refusal
) -> None:
    minute(write, "202511100901", "2025111O0902")
    said = refusal(source(MINUTE).minute_bars, MON, None)
    assert 'column "T" has "2025111O0902"' in said
    assert "minute_bars[vendor].time.format" in said


def test_files_of_other_symbols_are_left_alone_but_decide_coverage(
    write: Write, source: Source
) -> None:
    write("minute/A005930.csv", MINUTE_HEADER, "202511100901,1,2,1,2,30")
    write("minute/A000660.csv", MINUTE_HEADER, "202511110901,1,2,1,2,30")
    broken = write("minute/A999999.csv", "not,a,dump\n")
    assert len(source(MINUTE).minute_bars(MON, ["005930"])) == 1
    broken.unlink()
    empty = source(MINUTE).minute_bars(TUE, ["005930"])
    assert empty.empty and tuple(empty.columns) == MINUTE_BARS.column_names
    assert str(empty["time"].dtype) == "datetime64[us, UTC]"
    with pytest.raises(NotCoveredError):
        source(MINUTE).minute_bars(EXAM, ["005930"])
