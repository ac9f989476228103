"""The mapping file: what it accepts, and that what it refuses is said in one line with the key."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from resources.sources import SourceError
from resources.sources.mapping import DumpMapping, load_mapping
from resources.sources.masters import SymbolMasters, SymbolsSnapshot
from resources.tables import Dataset

ROOT = Path(__file__).parents[2]

COLUMNS = 'symbol = "C", open = "O", high = "H", low = "L", close = "E", volume = "V"'
DAILY = f"""
[[daily_bars]]
name = "vendor"
glob = "daily/*.csv"
session = {{ column = "D" }}
columns = {{ {COLUMNS} }}
"""
MINUTE = f"""
[[minute_bars]]
name = "vendor"
glob = "minute/*.csv"
time = {{ column = "T", label = "end", closing_auction = "15:30" }}
columns = {{ {COLUMNS} }}
"""
FLOWS = """
[[supply_demand]]
name = "vendor"
glob = "flows/*.csv"
session = { column = "D" }
columns = { symbol = "C", foreign_amount = "F" }
"""
WIDE = """
[[market_flows]]
name = "vendor"
glob = "market/*.csv"
session = { column = "D" }
columns = { market = "M", foreign_amount = "F" }
"""
INVESTORS = (
    WIDE.replace(', foreign_amount = "F"', "")
    + """
[market_flows.investors]
column = "I"
amount = "A"
labels = { foreign_amount = "foreign", individual_amount = "people" }
"""
)
MASTERS = """
[[symbols]]
name = "masters"
[[symbols.parts]]
glob = "master.csv"
as_of = 2026-01-25
columns = { symbol = "C", name = "N", market = "M" }
"""


def load(tmp_path: Path, text: str) -> DumpMapping:
    path = tmp_path / "dumps.toml"
    path.write_text(text, encoding="utf-8")
    return load_mapping(path)


def refusal(tmp_path: Path, text: str) -> str:
    """The error's text, of which every one is a single line naming the file."""
    with pytest.raises(SourceError) as error:
        load(tmp_path, text)
    said = str(error.value)
    assert str(tmp_path / "dumps.toml") in said
    assert "\n" not in said
    assert "pydantic" not in said and "Value error" not in said
    assert error.value.__cause__ is None and error.value.__suppress_context__
    return said


def test_the_default_mapping_describes_every_asset_and_the_demo() -> None:
    mapping = load_mapping(ROOT / "examples" / "krx_dumps.toml")
    names = {dataset: [d.name for d in mapping.datasets(dataset)] for dataset in Dataset}
    assert names == {
        Dataset.SYMBOLS: ["krx_masters"],
        Dataset.DAILY_BARS: ["marcap", "fdr_krx_listing"],
        Dataset.MINUTE_BARS: ["creon_1min", "yahoo_1min"],
        Dataset.SUPPLY_DEMAND: ["kospi_flows"],
        Dataset.MARKET_FLOWS: ["market_flows_krw"],
        Dataset.COMPANIES: ["krx_companies"],
        Dataset.ETF_CONSTITUENTS: ["krx_pdf"],
    }
    assert mapping.demo.ranges == {
        Dataset.SYMBOLS: (date(2025, 1, 2), date(2025, 2, 11)),
        Dataset.DAILY_BARS: (date(2025, 1, 2), date(2025, 2, 11)),
        Dataset.MINUTE_BARS: (date(2018, 1, 16), date(2018, 1, 31)),
        Dataset.SUPPLY_DEMAND: (date(2026, 3, 3), date(2026, 3, 31)),
        Dataset.MARKET_FLOWS: (date(2025, 1, 2), date(2025, 2, 11)),
        Dataset.COMPANIES: (date(2025, 1, 2), date(2025, 2, 11)),
        Dataset.ETF_CONSTITUENTS: (date(2021, 4, 2), date(2021, 4, 2)),
    }


def test_defaults_are_given_and_stay(tmp_path: Path) -> None:
    mapping = load(tmp_path, DAILY + MINUTE + FLOWS)
    (daily,) = mapping.daily_bars
    assert daily.encoding == "utf-8-sig" and daily.file_format == "csv"
    assert daily.missing == ("",) and daily.thousands == ""
    assert daily.given == {}
    assert mapping.minute_bars[0].given == {"venue": "KRX"}
    assert mapping.supply_demand[0].given == {"estimated": False}
    assert mapping.demo.ranges == {}
    with pytest.raises(ValueError, match="frozen"):
        daily.encoding = "cp949"


def test_symbols_are_a_snapshot_or_masters(tmp_path: Path) -> None:
    snapshot = MASTERS.replace('name = "masters"\n[[symbols.parts]]', 'name = "snapshot"').replace(
        "as_of = 2026-01-25", 'session = { column = "D" }'
    )
    mapping = load(tmp_path, MASTERS + snapshot)
    masters, members = mapping.symbols
    assert isinstance(masters, SymbolMasters) and masters.as_of == date(2026, 1, 25)
    assert isinstance(members, SymbolsSnapshot)


def test_masters_are_as_old_as_their_oldest_part(tmp_path: Path) -> None:
    older = MASTERS.split("\n", 3)[3].replace("2026-01-25", "2025-06-30")
    (masters,) = load(tmp_path, MASTERS + older).symbols
    assert isinstance(masters, SymbolMasters) and masters.as_of == date(2025, 6, 30)


@pytest.mark.parametrize(
    ("label", "after"), [("15:30", 0), ("15:31", 1), ("15:20", -10), ("15:30:00", 0)]
)
def test_the_auctions_label_is_relative_to_the_close(
    tmp_path: Path, label: str, after: int
) -> None:
    mapping = load(tmp_path, MINUTE.replace('"15:30"', f'"{label}"'))
    assert mapping.minute_bars[0].time.auction_after_close == timedelta(minutes=after)


@pytest.mark.parametrize(
    ("glob", "format"),
    [("a.csv", "csv"), ("a.csv.gz", "csv.gz"), ("a.parquet", "parquet")],
)
def test_the_format_is_the_globs_ending(tmp_path: Path, glob: str, format: str) -> None:
    mapping = load(tmp_path, DAILY.replace("daily/*.csv", glob))
    assert mapping.daily_bars[0].file_format == format


def test_a_missing_file_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.toml does not exist; set MARKET_DATA_MAPPING"):
        load_mapping(tmp_path / "absent.toml")


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dumps.toml"
    path.write_bytes("# 삼성".encode("cp949"))
    with pytest.raises(SourceError, match=r"dumps\.toml cannot be read as UTF-8"):
        load_mapping(path)


def test_toml_syntax_errors_give_the_place(tmp_path: Path) -> None:
    assert "line 2" in refusal(tmp_path, "[demo]\nsymbols = x")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name =", "nmae =", 'daily_bars[1]: "nmae" is no key of this table; it takes: glob'),
        ('name = "vendor"\n', "", "daily_bars[1].name: this key is required"),
        ("[[daily_bars]]", "[[dailybars]]", '"dailybars" is no key of this table'),
        ("[[daily_bars]]", "[daily_bars]", "daily_bars: "),
        ("daily/*.csv", "/daily/*.csv", "daily_bars[vendor].glob: "),
        ("daily/*.csv", "../*.csv", "inside MARKET_DATA_DIR"),
        ("daily/*.csv", "daily**/*.csv", "** must be a whole directory"),
        ("daily/*.csv", "daily/{date}.csv", '"{date}" is not a capture'),
        ("daily/*.csv", "{symbol}/{symbol}.csv", "at most once"),
        ("daily/*.csv", "{session:%Y-%m}.csv", "does not give a whole date"),
        ("daily/*.csv", "{session:%Y-%b-%d}.csv", 'not "%b"'),
        ("daily/*.csv", "{session:%Y-%m-%d.csv", "unpaired brace"),
        ("daily/*.csv", "{session:%Y-%m-%d}.csv", "session: the glob's"),
        ("daily/*.csv", "{symbol}.csv", "columns.symbol: the glob's {symbol}"),
        ("daily/*.csv", "daily/*", 'state format, such as "csv"'),
        ("daily/*.csv", "daily/*.json", "records is for json, and required there"),
        ('session = { column = "D" }', "", "session is required"),
        ('column = "D"', 'column = "D", frmat = "%Y"', 'daily_bars[vendor].session: "frmat"'),
        ('"V" }', '"V", vol = "V" }', 'columns.vol: "vol" is no column of daily_bars'),
        ('"V" }', '"V", date = "D" }', 'columns.date: "date" is no column of daily_bars that can'),
        (', volume = "V"', "", "columns.volume is required"),
        ('"V" }', '"V" }\nconstants = { close = 1 }', "constants.close: columns.close is set too"),
        ('"V" }', '"V" }\nconstants = { market_cap = "x" }', "constants.market_cap: 'x' must be"),
        ('"V" }', '"V" }\nconstants = { market_cap = true }', "must be of type int"),
        ('"V" }', '"V" }\nunits = { volume = "lots" }', "daily_bars[vendor].units.volume: "),
        ('"V" }', '"V" }\nunits = { volume = "million KRW" }', "does not measure volume"),
        ('"V" }', '"V" }\nunits = { close = "KRW" }', "does not measure close"),
        ('"V" }', '"V" }\nunits = { market_cap = "KRW" }', "columns.market_cap must be set too"),
        ('"V" }', '"V" }\nvalues.symbol = { a = 1 }', "daily_bars[vendor].values.symbol.a: "),
        ('"V" }', '"V" }\nencoding = "hangul"', 'daily_bars[vendor].encoding: "hangul" is no'),
        ('"V" }', '"V" }\nformat = "xlsx"', "daily_bars[vendor].format: "),
        ('"V" }', '"V" }\nthousands = "."', "daily_bars[vendor].thousands: "),
        ('"V" }', '"V" }\nprice = "E"', '"price" is no key'),
    ],
)
def test_daily_bars_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in DAILY
    assert said in refusal(tmp_path, DAILY.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (', label = "end"', "", "minute_bars[vendor].time.label: this key is required"),
        ('"end"', '"middle"', "minute_bars[vendor].time.label: "),
        ('"T"', '"T", timezone = "Korea/Seoul"', '"Korea/Seoul" is no time zone'),
        ('"15:30"', '"1530h"', 'closing_auction: "1530h" is no time of day'),
        ('"T"', '"T", format = "%H%M"', 'time.format: "%H%M" holds no date; set session'),
        ('"V" }', '"V", time = "T" }', 'columns.time: "time" is no column'),
    ],
)
def test_minute_bars_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in MINUTE
    assert said in refusal(tmp_path, MINUTE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"F" }', '"F" }\nunits.foreign_amount = "shares"', "price: amounts in shares need price"),
        ('"F" }', '"F" }\nprice = "E"', "price: amounts in shares need price"),
        (', foreign_amount = "F"', "", "columns: name at least one of institution_amount"),
        (
            '"F" }',
            '"F" }\nunits.foreign_amount = "shares"\nprice = "E"\nconstants.estimated = false',
            "constants.estimated: amounts from shares are always estimated",
        ),
    ],
)
def test_supply_demand_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in refusal(tmp_path, FLOWS.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"F" }', '"F" }\nunits.foreign_amount = "shares"', '"shares" does not measure'),
        ('"F" }', '"F", symbol = "S" }', 'columns.symbol: "symbol" is no column of market_flows'),
        ("market/*.csv", "market/{symbol}.csv", "glob: market_flows has no symbols"),
        (', foreign_amount = "F"', "", "columns: name at least one of institution_amount"),
        ('market = "M", ', "", "columns.market is required"),
    ],
)
def test_market_flows_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in WIDE
    assert said in refusal(tmp_path, WIDE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"M" }', '"M", foreign_amount = "F" }', "columns.foreign_amount: investors gives the"),
        ('"M" }', '"M" }\nconstants = { foreign_amount = 1 }', "constants.foreign_amount: invest"),
        ('"people"', '"foreign"', "investors: labels: two of them are the same"),
        ("individual_amount =", "people =", 'labels.people: "people" is no amount'),
        ('"A"\n', '"A"\nunit = "shares"\n', "investors.unit"),
        ('amount = "A"\n', "", "investors.amount: this key is required"),
    ],
)
def test_investor_rows_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert load(tmp_path, INVESTORS).market_flows[0].from_rows
    assert old in INVESTORS
    assert said in refusal(tmp_path, INVESTORS.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("as_of = 2026-01-25\n", "", "symbols[masters].parts[1].as_of: this key is required"),
        ("master.csv", "{session:%Y%m%d}.csv", "a part holds no {session"),
        ('"M" }', '"M" }\nsession = { column = "D" }', '"session" is no key'),
        (', market = "M"', "", "symbols[masters].parts[1]: columns.market is required"),
    ],
)
def test_masters_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in refusal(tmp_path, MASTERS.replace(old, new))


def test_two_datasets_of_one_name_are_refused(tmp_path: Path) -> None:
    assert 'daily_bars: two datasets are named "vendor"' in refusal(tmp_path, DAILY + DAILY)


def test_a_demo_range_runs_forward(tmp_path: Path) -> None:
    said = refusal(tmp_path, '[demo]\nsymbols = ["2025-02-11", "2025-01-02"]')
    assert "demo: symbols: 2025-02-11 is after 2025-01-02" in said


def test_many_errors_are_cut_to_three(tmp_path: Path) -> None:
    said = refusal(tmp_path, "\n".join(["[[minute_bars]]"] * 3))
    assert said.count("this key is required") == 3 and "and 9 more" in said
