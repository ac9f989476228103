"""examples/krx_dumps.toml against the real dumps it describes (MARKET_DATA_DIR or ../shared/data).

Nothing of them is copied here: sums and counts are taken from the files themselves.
"""

import gzip
import json
import os
from datetime import date, time, timedelta
from pathlib import Path

import pandas as pd
import pytest

from resources.sources import NotCoveredError, SourceError
from resources.sources.files import FilesSource
from resources.sources.mapping import load_mapping
from resources.tables import Dataset

ROOT = Path(__file__).parents[2]
MAPPING = ROOT / "examples" / "krx_dumps.toml"
DATA = ROOT / os.environ.get("MARKET_DATA_DIR", "../shared/data")

pytestmark = pytest.mark.skipif(
    not (DATA / "reference").is_dir(),
    reason=f"no dumps in {DATA}: with MARKET_DATA_DIR set, examples/krx_dumps.toml would be run "
    "against marcap, fdr_krx_listing, creon_1min, yahoo_1min, kospi_flows and the masters",
)


class Reference:
    """The sessions that the dumps' own reference lists; all of them end at 15:30."""

    def __init__(self) -> None:
        (path,) = (DATA / "reference").glob("krx_trading_days_*.csv")
        self.sessions = sorted(map(date.fromisoformat, pd.read_csv(path)["date"]))
        self._sessions = set(self.sessions)

    def is_session(self, day: date) -> bool:
        return day in self._sessions

    def close(self, session: date) -> time:
        return time(15, 30)

    def between(self, first: date, last: date) -> list[date]:
        return [session for session in self.sessions if first <= session <= last]


@pytest.fixture(scope="module")
def calendar() -> Reference:
    return Reference()


@pytest.fixture(scope="module")
def source(calendar: Reference) -> FilesSource:
    return FilesSource(DATA, MAPPING, calendar)


def test_the_demo_is_covered(source: FilesSource, calendar: Reference) -> None:
    ranges = load_mapping(MAPPING).demo.ranges
    assert list(ranges) == list(Dataset)
    for dataset, (first, last) in ranges.items():
        assert calendar.is_session(first) and calendar.is_session(last)
        for session in calendar.between(first, last):
            assert len(getattr(source, dataset.value)(session, None)), (dataset, session)


def test_marcap(source: FilesSource, calendar: Reference) -> None:
    file = pd.read_csv(DATA / "marcap/marcap-2025.csv.gz", dtype={"Code": str})
    sessions = calendar.between(date(2025, 1, 2), date(2025, 2, 11))
    assert len(sessions) == 25
    rows = 0
    for session in sessions:
        there = file[file["Date"] == str(session)]
        got = source.daily_bars(session, None)
        rows += len(got)
        assert set(got["date"]) == {session}
        assert set(got["symbol"]) == set(there["Code"]) and got["symbol"].str.len().eq(6).all()
        for ours, theirs in {
            "open": "Open",
            "close": "Close",
            "volume": "Volume",
            "trading_value": "Amount",
            "market_cap": "Marcap",
            "listed_shares": "Stocks",
        }.items():
            assert got[ours].sum() == there[theirs].sum(), (session, ours)
        assert got["volume"].dtype == got["trading_value"].dtype == "int64"
    assert rows == len(file) == 71_708


def test_both_years_of_marcap(source: FilesSource, calendar: Reference) -> None:
    sessions = calendar.between(date(2024, 1, 2), date(2024, 2, 13))
    assert sum(len(source.daily_bars(session, None)) for session in sessions) == 80_828


def test_halted_rows_pass(source: FilesSource) -> None:
    got = source.daily_bars(date(2025, 1, 2), None)
    halted = got[got["open"] == 0]
    assert len(halted) > 50
    assert (halted[["high", "low", "volume"]] == 0).all(axis=None) and (halted["close"] > 0).all()


def test_fdr_listing(source: FilesSource) -> None:
    got = source.daily_bars(date(2026, 3, 9), None)
    assert len(got) == 2_881 and set(got["date"]) == {date(2026, 3, 9)}
    file = pd.read_csv(DATA / "fdr_krx_listing/krx_2026-03-09.csv.gz", dtype={"Code": str})
    assert got["symbol"].tolist() == file["Code"].tolist()
    for ours, theirs in {"close": "Close", "volume": "Volume", "listed_shares": "Stocks"}.items():
        assert got[ours].tolist() == file[theirs].tolist()


def test_the_saturday_file_is_never_read(source: FilesSource) -> None:
    assert (DATA / "fdr_krx_listing/krx_2026-03-14.csv.gz").exists()
    with pytest.raises(SourceError, match=r"2026-03-14: that Saturday") as error:
        source.daily_bars(date(2026, 3, 14), None)
    assert not isinstance(error.value, NotCoveredError)
    with pytest.raises(NotCoveredError, match=r"2026-03-09\.\.2026-03-13, 5 sessions"):
        source.daily_bars(date(2026, 3, 16), None)


def test_creon(source: FilesSource, calendar: Reference) -> None:
    sessions = calendar.between(date(2018, 1, 16), date(2018, 1, 31))
    frames = {session: source.minute_bars(session, None) for session in sessions}
    assert [len(frame) for frame in frames.values()] == [94] + [381] * 11
    for session, frame in frames.items():
        seoul = frame["time"].dt.tz_convert("Asia/Seoul").dt.tz_localize(None)
        assert (seoul.dt.date == session).all() and set(frame["symbol"]) == {"005930"}
        assert seoul.iloc[-2:].dt.strftime("%H:%M").tolist() == ["15:19", "15:30"]
        if len(frame) == 381:
            minutes = pd.date_range(
                pd.Timestamp(session) + timedelta(hours=9), periods=380, freq="min"
            )
            assert (seoul.iloc[:-1].to_numpy() == minutes.to_numpy()).all()
    file = pd.read_csv(next((DATA / "creon_1min").glob("*.csv.gz")))
    assert sum(frame["volume"].sum() for frame in frames.values()) == file["volume"].sum()
    assert frames[date(2018, 1, 31)].iloc[-1]["volume"] == file.iloc[-1]["volume"]


def test_yahoo(source: FilesSource) -> None:
    got = source.minute_bars(date(2025, 6, 13), None)
    seoul = got["time"].dt.tz_convert("Asia/Seoul").dt.strftime("%Y-%m-%d %H:%M").tolist()
    assert len(got) == 360
    assert (seoul[0], seoul[-1]) == ("2025-06-13 09:00", "2025-06-13 14:59")
    file = pd.read_csv(next((DATA / "yahoo_1min").glob("*.csv.gz")))
    for name in ("open", "high", "low", "close", "volume"):
        assert got[name].tolist() == file[name.title()].tolist()


def test_flows(source: FilesSource, calendar: Reference) -> None:
    file = pd.read_parquet(DATA / "kospi_flows/stock_flows.parquet")
    sessions = calendar.between(date(2026, 3, 1), date(2026, 3, 31))
    assert len(sessions) == 21 and sessions[0] == date(2026, 3, 3)
    for session in sessions:
        got = source.supply_demand(session, None).set_index("symbol")
        there = file[file["date"] == pd.Timestamp(session)].set_index("code")
        assert len(got) == 20 and got["estimated"].all()
        assert got[["individual_amount", "other_corporation_amount"]].isna().all(axis=None)
        for ours, theirs in {
            "institution_amount": "inst_net",
            "foreign_amount": "foreign_net",
        }.items():
            expected = there[theirs].astype("int64") * there["close"].astype("int64")
            assert got[ours].sort_index().tolist() == expected.sort_index().tolist()


def test_market_flows(source: FilesSource, calendar: Reference) -> None:
    file = pd.read_parquet(DATA / "market_flows_krw/flows.parquet")
    ours = {
        "institution_amount": "기관합계",
        "foreign_amount": "외국인합계",
        "individual_amount": "개인",
        "other_corporation_amount": "기타법인",
    }
    sessions = calendar.between(date(2005, 1, 3), date(2025, 12, 30))
    frames = [source.market_flows(session, None) for session in sessions]
    got = pd.concat(frames).set_index(["date", "market"])
    assert len(got) == 2 * len(sessions) == len(file) / 4
    for name, label in ours.items():
        there = file[file["investor"] == label].set_index(["date", "market"])["net_value"]
        there.index = got.index
        assert (got[name] == there.astype("int64")).all()
    assert got[[*ours]].dtypes.unique().tolist() == ["int64"]


def test_members(source: FilesSource) -> None:
    session = date(2025, 1, 2)
    got = source.symbols(session, None)
    marcap = set(source.daily_bars(session, None)["symbol"])
    assert not got["symbol"].duplicated().any()
    assert got["symbol"].str.fullmatch("[0-9A-Z]{6}").all()
    assert len(marcap & set(got["symbol"])) >= 2_850
    shares = got[got["kind"] != "etf"]
    assert set(shares["symbol"]) <= marcap
    assert set(got["market"]) == {"KOSPI", "KOSDAQ", "KONEX"}
    assert set(got["kind"]) == {"common", "preferred", "etf", "reit", "fund", "depositary"}
    named = got.set_index("symbol")["name"]
    assert (named.str.strip() != "").all()


def test_no_symbol_is_listed_twice_in_any_session(source: FilesSource, calendar: Reference) -> None:
    for session in calendar.between(date(2005, 1, 1), date(2026, 1, 25))[::20]:
        assert not source.symbols(session, None)["symbol"].duplicated().any(), session


def test_companies_are_completed_from_both_masters(source: FilesSource) -> None:
    session = date(2025, 1, 2)
    got = source.companies(session, None).set_index("symbol")
    described = pd.read_csv(
        DATA / "fdr_krx_listing/desc_2026-03-22.csv.gz", dtype={"Code": str}
    ).set_index("Code")
    packed = next((DATA / "pykrx_krx_raw").glob("MDCSTAT01901*.json.gz")).read_bytes()
    master = {
        row["ISU_SRT_CD"]: row
        for row in json.loads(gzip.decompress(packed))["response"]["OutBlock_1"]
    }
    expected = {
        symbol
        for symbol in {*described.index, *master}
        if (
            described["ListingDate"].get(symbol)
            if isinstance(described["ListingDate"].get(symbol), str)
            else master[symbol]["LIST_DD"].replace("/", "-")
        )
        <= str(session)
    }
    assert set(got.index) == expected and got.index.is_unique
    both = got.index.intersection(described.index)
    for ours, theirs in {"industry": "Industry", "products": "Products"}.items():
        said = described.loc[both, theirs].str.strip()
        assert (got.loc[both, ours].fillna("") == said.fillna("")).all()
    par = {symbol: row["PARVAL"].replace(",", "") for symbol, row in master.items()}
    filled = got["face_value"].dropna()
    assert len(filled) > 2_700
    assert all(float(par[symbol]) == value for symbol, value in filled.items())
    assert all(
        par.get(symbol, "무액면") == "무액면" for symbol in got.index.difference(filled.index)
    )


def test_what_an_etf_holds_adds_up(source: FilesSource) -> None:
    got = source.etf_constituents(date(2021, 4, 2), None)
    assert len(got) == 201 and set(got["symbol"]) == {"152100"}
    assert round(got["weight"].sum(), 2) == 100
    cash = got[got["constituent"].str.len() == 12]
    assert len(cash) == 1 and cash["shares"].isna().all()
    # The weight is the share of the amount, which tells what the columns mean.
    exact = got["value"].astype(float) / float(got["value"].sum()) * 100
    assert ((exact - got["weight"]).abs() < 0.011).all()
    assert source.etf_constituents(date(2021, 4, 2), ["005930"]).empty


def test_sessions_after_the_oldest_master_are_not_covered(source: FilesSource) -> None:
    assert len(source.symbols(date(2026, 1, 23), None)) > 3_500
    with pytest.raises(NotCoveredError, match="krx_masters holds sessions to 2026-01-25"):
        source.symbols(date(2026, 1, 26), None)


def test_raw_krx_answers_can_be_described(tmp_path: Path, calendar: Reference) -> None:
    mapping = tmp_path / "krx.toml"
    mapping.write_text(
        """
[[daily_bars]]
name = "krx"
glob = "pykrx_krx_raw/MDCSTAT01501_all_stock_prices_one_day_ALL_{session:%Y%m%d}.json.gz"
records = "response.OutBlock_1"
thousands = ","
missing = ["-", ""]
columns.symbol = "ISU_SRT_CD"
columns.open = "TDD_OPNPRC"
columns.high = "TDD_HGPRC"
columns.low = "TDD_LWPRC"
columns.close = "TDD_CLSPRC"
columns.volume = "ACC_TRDVOL"
columns.market_cap = "MKTCAP"

[[symbols]]
name = "listing"
glob = "fdr_krx_listing/krx_{session:%Y-%m-%d}.csv.gz"
columns = { symbol = "Code", name = "Name", market = "MarketId" }
values.market = { STK = "KOSPI", KSQ = "KOSDAQ", KNX = "KONEX" }
""",
        encoding="utf-8",
    )
    source = FilesSource(DATA, mapping, calendar)
    got = source.daily_bars(date(2021, 1, 4), None)
    (path,) = (DATA / "pykrx_krx_raw").glob("MDCSTAT01501*ALL_20210104.json.gz")
    answer = json.loads(gzip.decompress(path.read_bytes()))["response"]["OutBlock_1"]
    assert got["symbol"].tolist() == [row["ISU_SRT_CD"] for row in answer]
    for ours, theirs in {"close": "TDD_CLSPRC", "market_cap": "MKTCAP"}.items():
        assert got[ours].tolist() == [int(row[theirs].replace(",", "")) for row in answer]
    assert got["market_cap"].dtype == got["volume"].dtype == "int64"
    members = source.symbols(date(2026, 3, 9), None)
    assert len(members) == 2_881 and set(members["market"]) == {"KOSPI", "KOSDAQ", "KONEX"}
    # On a closed day KRX answers too, with a full table of "-".
    with pytest.raises(SourceError, match="2021-01-03"):
        source.daily_bars(date(2021, 1, 3), None)
