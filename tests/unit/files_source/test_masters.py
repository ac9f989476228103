"""Members of a session from masters that say from when to when a symbol is listed."""

from datetime import date
from pathlib import Path

import pytest

from resources.sources import NotCoveredError
from resources.tables import SYMBOLS
from tests.unit.files_source.vendor import Refusal, Source, Write

MON, TUE, EXAM = date(2025, 11, 10), date(2025, 11, 11), date(2025, 11, 13)


MASTERS = """
[[symbols]]
name = "masters"
[[symbols.parts]]
glob = "listed.csv"
as_of = 2025-11-13
columns = { symbol = "Code", name = "Name", listing_date = "Listed" }
constants = { market = "KOSPI", kind = "common" }
date_format = "%Y/%m/%d"
[[symbols.parts]]
glob = "delisted.csv"
as_of = 2025-11-12
columns.symbol = "Code"
columns.name = "Name"
columns.market = "Market"
columns.listing_date = "From"
columns.delisting_date = "To"
"""


def masters(write: Write) -> None:
    write(
        "listed.csv",
        "Code,Name,Listed",
        "000001,a,2025/11/10",
        "000002,b,2025/11/11",
        "000003,c,",
        "000004,d,?",
    )
    write(
        "delisted.csv",
        "Code,Name,Market,From,To",
        "000005,e,KONEX,2001-01-01,2025-11-10",
        "000006,f,KONEX,2001-01-01,2025-11-11",
    )


def test_members_are_listed_and_not_yet_delisted(write: Write, source: Source) -> None:
    masters(write)
    ready = source(MASTERS)
    frame = ready.symbols(MON, None)
    assert tuple(frame.columns) == SYMBOLS.column_names
    # A garbled date decides nothing: validation is to see that row.
    assert frame["symbol"].tolist() == ["000001", "000003", "000004", "000006"]
    assert frame["listing_date"].tolist()[2] == "?"
    assert frame["delisting_date"].tolist()[3] == date(2025, 11, 11)
    assert ready.symbols(TUE, None)["symbol"].tolist() == ["000001", "000002", "000003", "000004"]
    assert ready.symbols(TUE, ["000002", "000005"])["symbol"].tolist() == ["000002"]


def test_masters_cover_up_to_their_oldest_part(write: Write, source: Source) -> None:
    masters(write)
    assert len(source(MASTERS).symbols(date(2025, 11, 12), None)) == 4
    with pytest.raises(NotCoveredError, match="masters holds sessions to 2025-11-12"):
        source(MASTERS).symbols(EXAM, None)


def test_a_master_without_one_part_is_an_error_without_all_not_covered(
    write: Write, source: Source, tmp_path: Path, refusal: Refusal
) -> None:
    masters(write)
    (tmp_path / "data" / "delisted.csv").unlink()
    said = refusal(source(MASTERS).symbols, MON, None)
    assert "dumps.toml: symbols[masters].parts[2].glob" in said and '"delisted.csv" matches' in said
    (tmp_path / "data" / "listed.csv").unlink()
    with pytest.raises(NotCoveredError, match=r'masters: "listed\.csv" matches no file'):
        source(MASTERS).symbols(MON, None)


def test_a_part_goes_by_its_number_in_errors(
    write: Write, source: Source, refusal: Refusal
) -> None:
    masters(write)
    write("delisted.csv", "Code,Name")
    said = refusal(source(MASTERS).symbols, MON, None)
    assert said.startswith("dumps.toml: symbols[masters].parts[2].columns.market names column")
