"""Certificates, then their authority too, replaced while a backfill runs: nothing is dropped."""

import shutil
from contextlib import closing
from datetime import date

import psycopg
import pytest

from embedded.certificates import trusted_file
from embedded.rotation import shown_certificate
from embedded.stack import Stack
from resources.calendar import krx_calendar
from resources.databases import TimescaleDB
from resources.ledger import newest_commits
from resources.settings import market_settings
from resources.sources.selection import select_source
from resources.tables import Dataset
from tests.integration.access import LOGINS, eventually, login
from tests.project import finished, make_project, start_dg

FIRST = krx_calendar().sessions.index(date(2025, 1, 2))
SESSIONS = krx_calendar().sessions[FIRST : FIRST + 20]
MARKET = {
    "MARKET_SOURCE": "simulated",
    "SIMULATED_SYMBOLS": "300",
    "MINUTE_BARS_FIRST_SESSION": str(SESSIONS[0]),
}


def serials(stack: Stack) -> list[int]:
    """Of what each port shows now."""
    shown = [shown_certificate(int(stack.environment[LOGINS[name][0]])) for name in LOGINS]
    return [certificate.serial_number for certificate in shown if certificate]


def test_a_backfill_outlives_new_certificates_and_a_new_authority(
    stack, instance, timescaledb, query, tmp_path
):
    if stack.timescale_url:
        pytest.skip("another server's own certificate; without --timescale-dsn it runs")
    project = make_project(tmp_path, stack.environment | MARKET)
    backfill = ("--partition-range", f"{SESSIONS[0]}...{SESSIONS[-1]}")
    process = start_dg(project, "launch", "--assets", "minute_bars", *backfill)
    seen = [serials(stack)]
    earlier = tmp_path / "earlier.crt"
    shutil.copy(trusted_file(stack.directory), earlier)

    with closing(login(stack, "pgbouncer-ts", autocommit=True)) as lasting:
        (held,) = lasting.execute("SELECT pg_backend_pid()").fetchone() or ()
        for new_authority in (False, True):
            there = loaded(timescaledb)
            eventually(lambda there=there: loaded(timescaledb) >= there + 2, 200)
            stack.renew_certificates(new_authority=new_authority)
            seen.append(serials(stack))
            assert loaded(timescaledb) < len(SESSIONS)
        # Whoever is connected stays so, from end to end.
        assert lasting.execute("SELECT pg_backend_pid()").fetchone() == (held,)

    result = finished(process)
    assert result.returncode == 0, result.stdout + result.stderr
    assert query("SELECT outcome, count(*) FROM ingest_ledger GROUP BY 1") == [
        ("committed", len(SESSIONS))
    ]
    source = select_source(market_settings(stack.environment | MARKET))
    frames = [source.minute_bars(session, None) for session in SESSIONS]
    assert query(
        """SELECT (time AT TIME ZONE 'Asia/Seoul')::date, count(*), sum(volume)::bigint
           FROM stock_prices GROUP BY 1 ORDER BY 1"""
    ) == [
        (session, len(frame), int(frame["volume"].sum()))
        for session, frame in zip(SESSIONS, frames, strict=True)
    ]
    assert "Traceback" not in result.stdout + result.stderr

    # Each time, all four showed another one.
    assert len({serial for shown in seen for serial in shown}) == 3 * len(LOGINS)
    for name in LOGINS:
        verify = {"sslmode": "verify-full", "sslrootcert": str(trusted_file(stack.directory))}
        login(stack, name, **verify).close()
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            login(stack, name, **verify | {"sslrootcert": str(earlier)})


def loaded(database: TimescaleDB) -> int:
    return len(newest_commits(database, Dataset.MINUTE_BARS))
