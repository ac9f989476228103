"""Which files and rows belong to a session, and what is said when none do."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from resources.sources import NotCoveredError, SourceError
from resources.sources.files import FilesSource
from resources.tables import DAILY_BARS
from tests.unit.files_source.vendor import DAILY, DAILY_HEADER, MON, TUE, Refusal, Source, Write

SATURDAY = date(2025, 11, 15)


def test_rows_of_the_session_in_canonical_columns(write: Write, source: Source) -> None:
    write(
        "daily/a.csv",
        DAILY_HEADER,
        "2025-11-11,005930,1,2,1,2,30",
        "2025-11-10,005930,10,20.5,10,20,300.0",
        "2025-11-11,0126Z0,1,2,1,2,40",
        "2025-11-10,000660,0,0,0,7,0",
    )
    frame = source(DAILY).daily_bars(MON, None)
    assert tuple(frame.columns) == DAILY_BARS.column_names
    assert frame["date"].tolist() == [MON, MON]
    assert type(frame["date"].iloc[0]) is date
    assert frame["symbol"].tolist() == ["005930", "000660"]
    assert frame["high"].tolist() == [20.5, 0]
    assert frame["volume"].dtype == "int64" and frame["volume"].tolist() == [300, 0]
    assert frame["market_cap"].isna().all() and frame["market_cap"].dtype == "Int64"
    assert source(DAILY).daily_bars(TUE, None)["volume"].tolist() == [30, 40]
    assert (FilesSource.name, FilesSource.simulated) == ("files", False)


def test_rows_of_several_files_are_put_together(write: Write, source: Source) -> None:
    write("daily/a.csv", DAILY_HEADER, "2025-11-10,005930,1,2,1,2,30")
    write("daily/b.csv", DAILY_HEADER, "2025-11-10,000660,1.5,2,1,2,x")
    frame = source(DAILY).daily_bars(MON, None)
    assert frame["symbol"].tolist() == ["005930", "000660"]
    assert frame["open"].tolist() == [1, 1.5]
    assert frame["volume"].tolist() == [30, "x"]


NAMED = DAILY.replace('session = { column = "Date" }\n', "").replace(
    "daily/*.csv", "daily/{session:%Y%m%d}.csv"
)


def test_the_session_of_a_files_name(write: Write, source: Source) -> None:
    write("daily/20251110.csv", "Code,O,H,L,C,V", "005930,1,2,1,2,30")
    write("daily/20251111.csv", "Code,O,H,L,C,V", "005930,1,2,1,2,31")
    assert source(NAMED).daily_bars(TUE, None)["volume"].tolist() == [31]


def test_a_file_with_a_header_only_gives_an_empty_typed_frame(write: Write, source: Source) -> None:
    write("daily/20251110.csv", "Code,O,H,L,C,V\n")
    frame = source(NAMED).daily_bars(MON, None)
    assert frame.empty and tuple(frame.columns) == DAILY_BARS.column_names
    assert frame["volume"].dtype == "int64"


def test_a_files_timestamp_is_the_session_it_has_in_seoul(parquet: Write, source: Source) -> None:
    midnights = pd.to_datetime(["2025-11-09 15:00", "2025-11-10 15:00"], utc=True)
    parquet("daily/a.parquet", Date=midnights, Code=["a", "b"], O=1, H=1, L=1, C=1, V=[1, 2])
    ready = source(DAILY.replace(".csv", ".parquet"))
    assert ready.daily_bars(MON, None)["volume"].tolist() == [1]
    assert ready.daily_bars(TUE, None)["volume"].tolist() == [2]


def test_a_name_that_is_no_date_is_an_error(write: Write, source: Source, refusal: Refusal) -> None:
    write("daily/20251131.csv", "Code,O,H,L,C,V\n")
    said = refusal(source(NAMED).daily_bars, MON, None)
    assert "20251131.csv" in said and "daily_bars[vendor].glob" in said


@pytest.mark.parametrize("ask", ["symbols", "daily_bars", "minute_bars", "supply_demand"])
def test_a_closed_day_is_refused_even_if_a_file_is_there(
    write: Write, source: Source, ask: str
) -> None:
    write("daily/20251115.csv", "Code,O,H,L,C,V", "005930,1,2,1,2,30")
    with pytest.raises(SourceError, match="2025-11-15: that Saturday is no KRX session") as error:
        getattr(source(NAMED), ask)(SATURDAY, None)
    assert not isinstance(error.value, NotCoveredError)


def test_the_first_dataset_that_covers_the_session_wins_whole(write: Write, source: Source) -> None:
    second = DAILY.replace('"vendor"', '"second"').replace("daily/", "other/")
    write("daily/a.csv", DAILY_HEADER, "2025-11-10,005930,1,2,1,2,30")
    write(
        "other/a.csv",
        DAILY_HEADER,
        "2025-11-10,000660,1,2,1,2,99",
        "2025-11-11,000660,1,2,1,2,98",
    )
    both = source(DAILY + second)
    assert both.daily_bars(MON, None)["volume"].tolist() == [30]
    assert both.daily_bars(TUE, None)["volume"].tolist() == [98]
    assert both.daily_bars(MON, ["000660"]).empty


def test_a_session_nobody_covers_names_what_was_tried(write: Write, source: Source) -> None:
    absent = DAILY.replace('"vendor"', '"absent"').replace("daily/", "absent/")
    write(
        "daily/a.csv",
        DAILY_HEADER,
        "2025-11-10,005930,1,2,1,2,30",
        "2025-11-12,005930,1,2,1,2,30",
        "2025-11-15,005930,1,2,1,2,30",
    )
    with pytest.raises(NotCoveredError) as error:
        source(DAILY + absent).daily_bars(TUE, None)
    assert "daily_bars of 2025-11-11" in str(error.value)
    assert "vendor holds 2025-11-10..2025-11-12, 2 sessions" in str(error.value)
    assert 'absent: "absent/*.csv" matches no file in' in str(error.value)


def test_an_asset_without_datasets_is_not_covered(source: Source) -> None:
    with pytest.raises(NotCoveredError, match=r"there is no \[\[minute_bars\]\]"):
        source(DAILY).minute_bars(MON, None)


def test_a_missing_directory_names_the_variable(
    tmp_path: Path, source: Source, refusal: Refusal
) -> None:
    (tmp_path / "data").write_text("no directory")
    assert "data is no directory; set MARKET_DATA_DIR" in refusal(source, DAILY)


@pytest.mark.parametrize(
    ("cell", "sample"), [("2025-13-01", '"2025-13-01"'), ("10.11.2025", '"10.11'), ("", "a blank")]
)
def test_a_row_without_a_session_is_not_lost(
    write: Write, source: Source, cell: str, sample: str, refusal: Refusal
) -> None:
    path = write(
        "daily/a.csv",
        DAILY_HEADER,
        "2025-11-10,005930,1,2,1,2,3",
        f"{cell},000660,1,2,1,2,3",
    )
    said = refusal(source(DAILY).daily_bars, MON, None)
    assert f'{path}: column "Date" has {sample}' in said
    assert "dumps.toml: daily_bars[vendor].session.format" in said


def test_named_symbols_only(write: Write, source: Source) -> None:
    write(
        "daily/a.csv",
        DAILY_HEADER,
        "2025-11-10,005930,1,2,1,2,30",
        "2025-11-10,000660,1,2,1,2,40",
    )
    daily = source(DAILY)
    assert daily.daily_bars(MON, ["000660", "999999"])["volume"].tolist() == [40]
    assert daily.daily_bars(MON, ["999999"]).empty
    assert daily.daily_bars(MON, []).empty
    with pytest.raises(NotCoveredError):
        daily.daily_bars(TUE, ["000660"])
