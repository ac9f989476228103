"""The command line as a user has it, over the real dumps: dg and Dagster's own processes, our
dagster.yaml and .env, the embedded servers."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from embedded.stack import Stack
from resources.tables import Dataset
from tests.project import finished, make_project, start_dg

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def project(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    variables = stack.environment | {"MINUTE_BARS_FIRST_SESSION": "2018-01-16"}
    return make_project(tmp_path_factory.mktemp("project"), variables)


@pytest.fixture
def run_dg(project: Path, market_data: Path) -> Run:
    def run_dg(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"MARKET_SOURCE": "files", "MARKET_DATA_DIR": str(market_data)}
        return finished(start_dg(project, *arguments, **environment))

    return run_dg


def launch(run_dg: Run, asset: str, first: str, last: str) -> None:
    result = run_dg("launch", "--assets", asset, "--partition-range", f"{first}...{last}")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


def test_the_location_loads(run_dg):
    assert run_dg("check", "defs").returncode == 0
    listed = run_dg("list", "defs")
    assert listed.returncode == 0
    for asset in Dataset:
        assert asset in listed.stdout


def test_a_month_of_daily_bars(run_dg, query, instance, market_data):
    """25 sessions of the whole market in one range run, to the unit."""
    launch(run_dg, "daily_bars", "2025-01-02", "2025-02-11")
    dump = pd.read_csv(market_data / "marcap" / "marcap-2025.csv.gz", dtype={"Code": str})
    sums = dump.groupby("Date")[["Volume", "Amount"]].sum().astype("int64")
    loaded = query(
        "SELECT date::text, sum(volume)::bigint, sum(trading_value)::bigint FROM daily_bars "
        "GROUP BY date ORDER BY date"
    )
    assert len(loaded) == 25
    assert loaded == list(sums.itertuples(name=None))
    assert query("SELECT count(*) FROM daily_bars") == [(71_708,)]
    halted = query("SELECT count(*) FROM daily_bars WHERE open = 0 AND close > 0 AND volume = 0")
    assert halted == [(int((dump["Open"] == 0).sum()),)]
    assert query("SELECT count(DISTINCT run_id), sum(rows_loaded) FROM ingest_ledger") == [
        (1, 71_708)
    ]
    assert instance.get_materialized_partitions(dg.AssetKey("daily_bars")) == set(sums.index)


def test_minute_bars_have_the_right_starts_and_closing_bars(run_dg, query):
    launch(run_dg, "minute_bars", "2018-01-16", "2018-01-31")
    sessions = query(
        """
        SELECT (time AT TIME ZONE 'Asia/Seoul')::date::text, count(*),
               min((time AT TIME ZONE 'Asia/Seoul')::time)::text,
               max((time AT TIME ZONE 'Asia/Seoul')::time)
                   FILTER (WHERE (time AT TIME ZONE 'Asia/Seoul')::time < '15:30')::text,
               max((time AT TIME ZONE 'Asia/Seoul')::time)::text
        FROM stock_prices WHERE symbol = '005930' AND venue = 'KRX' GROUP BY 1 ORDER BY 1
        """
    )
    assert [session for session, *_ in sessions] == [
        f"2018-01-{day}" for day in (16, 17, 18, 19, 22, 23, 24, 25, 26, 29, 30, 31)
    ]
    assert sessions[0][1:] == (94, "13:47:00", "15:19:00", "15:30:00")
    assert {session[1:] for session in sessions[1:]} == {(381, "09:00:00", "15:19:00", "15:30:00")}
    closing = "SELECT close, volume FROM stock_prices WHERE time = '2018-01-31 15:30+09'"
    assert query(closing) == [(2_495_000, 144_509)]


def test_supply_demand_is_estimated_from_net_shares(run_dg, query, market_data):
    launch(run_dg, "supply_demand", "2026-03-03", "2026-03-31")
    flows = pd.read_parquet(market_data / "kospi_flows" / "stock_flows.parquet")
    flows = flows[flows["date"].between("2026-03-01", "2026-03-31")]
    expected = {
        (str(row.date.date()), row.code): (
            round(row.inst_net * row.close),
            round(row.foreign_net * row.close),
        )
        for row in flows.itertuples()
    }
    loaded = {
        (day, symbol): amounts
        for day, symbol, *amounts in query(
            "SELECT date::text, symbol, institution_amount, foreign_amount FROM supply_demand"
        )
    }
    assert {key: tuple(amounts) for key, amounts in loaded.items()} == expected
    assert query(
        "SELECT DISTINCT estimated, individual_amount, other_corporation_amount FROM supply_demand"
    ) == [(True, None, None)]


def test_market_flows_of_a_year(run_dg, query, market_data):
    launch(run_dg, "market_flows", "2025-01-02", "2025-12-30")
    flows = pd.read_parquet(market_data / "market_flows_krw" / "flows.parquet")
    flows = flows[flows["date"] >= "2025-01-01"]
    wide = flows.pivot_table(index=["date", "market"], columns="investor", values="net_value")
    expected = {
        (str(day.date()), market): tuple(
            int(row[name]) for name in ("기관합계", "외국인합계", "개인", "기타법인")
        )
        for (day, market), row in wide.iterrows()
    }
    loaded = query(
        "SELECT date::text, market, institution_amount, foreign_amount, individual_amount, "
        "other_corporation_amount FROM market_flows"
    )
    assert {(day, market): tuple(amounts) for day, market, *amounts in loaded} == expected
    assert len(loaded) == 2 * 242


def test_members_of_a_session(run_dg, query_application):
    launch(run_dg, "symbols", "2025-01-02", "2025-01-03")
    ((count,),) = query_application("SELECT count(*) FROM symbols_on('2025-01-02')")
    assert count > 3_000
    assert query_application(
        "SELECT name, market, kind, listing_date::text FROM symbols_on('2025-01-02') "
        "WHERE symbol = '005930'"
    ) == [("삼성전자", "KOSPI", "common", "1975-06-11")]


def test_the_saturday_file_is_never_loaded(run_dg, query):
    """It repeats Friday. There is no file of Monday, which fails and stops nothing."""
    run_dg("launch", "--assets", "daily_bars", "--partition-range", "2026-03-13...2026-03-16")
    result = run_dg("launch", "--assets", "daily_bars", "--partition", "2026-03-14")
    assert result.returncode != 0
    assert query("SELECT DISTINCT date::text FROM daily_bars") == [("2026-03-13",)]


def test_a_session_without_a_dump_says_what_there_is(run_dg, query):
    result = run_dg("launch", "--assets", "daily_bars", "--partition", "2025-06-13")
    assert result.returncode != 0
    ((outcome, error),) = query("SELECT outcome, error FROM ingest_ledger")
    assert outcome == "failed"
    assert "2025-06-13" in error
    assert "marcap" in error
    assert "fdr_krx_listing" in error
    assert error in result.stdout + result.stderr
