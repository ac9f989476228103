"""Databases that cannot be reached: real runs, one clear line, and the password nowhere."""

import socket
from pathlib import Path

import dagster as dg
import pytest

from resources import databases
from tests.faults.connecting import LOGIN, SECRET, SESSION, assert_clear
from tests.project import finished, make_project, start_dg


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"TIMESCALE_PASSWORD": SECRET}, "authentication failed"),
        ({"TIMESCALE_USER": "nobody"}, "no such user"),
        # PgBouncer does not tell strangers which databases there are.
        ({"TIMESCALE_DB": "nowhere"}, "authentication failed"),
    ],
)
def test_a_login_that_is_refused_is_not_tried_again(run, query, variables, says):
    found = run(**variables)
    assert_clear(found, says, LOGIN)
    assert found.tries == 2  # the load, and the ledger
    assert query("SELECT count(*) FROM ingest_ledger") == [(0,)]


def test_a_server_without_a_pooler_names_the_missing_database(run, stack):
    server = {
        "TIMESCALE_HOST": stack.environment["TIMESCALE_SERVER_HOST"],
        "TIMESCALE_PORT": stack.environment["TIMESCALE_SERVER_PORT"],
        "TIMESCALE_SSLMODE": stack.environment["TIMESCALE_SERVER_SSLMODE"],
        "TIMESCALE_SSLROOTCERT": stack.environment["TIMESCALE_SERVER_SSLROOTCERT"],
    }
    found = run(TIMESCALE_DB="nowhere", **server)
    assert_clear(found, 'database "nowhere" does not exist', LOGIN)
    assert found.tries == 2


def test_the_applications_database_has_variables_of_its_own(run):
    found = run("symbols", APP_DB_PASSWORD=SECRET)
    check = "APP_DB_HOST, APP_DB_PORT, APP_DB_USER, APP_DB_PASSWORD, APP_DB_NAME"
    assert_clear(found, "authentication failed", check, "application PostgreSQL")


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"TIMESCALE_PORT": "1"}, "Connection refused"),
        # libpq shows a URL that it cannot read, so it must not be given one.
        ({"TIMESCALE_HOST": "[::1"}, "could not translate host name"),
    ],
)
def test_a_server_that_is_not_there_is_tried_again(run, variables, says):
    found = run(**variables)
    assert_clear(found, says, LOGIN)
    assert found.tries == 10


def test_a_server_that_never_answers_is_given_up(run, monkeypatch):
    assert "connect_timeout" in databases.LIMITS
    monkeypatch.setitem(databases.LIMITS, "connect_timeout", "1")
    monkeypatch.setattr("tenacity.stop_after_attempt.__call__", lambda _, s: s.attempt_number > 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        found = run(TIMESCALE_PORT=port)
    assert_clear(found, "timeout expired", LOGIN)
    assert found.tries == 4


def test_a_wrong_password_ends_a_run_with_one_line(stack, instance, query, tmp_path):
    """In a process of its own, configured by .env; the other sessions are not tried."""
    variables = {"TIMESCALE_PASSWORD": SECRET.replace("'", ""), "DAILY_BARS_FIRST_SESSION": SESSION}
    project = make_project(tmp_path, stack.environment | variables)
    storage = Path(stack.environment["DAGSTER_STORAGE_DIR"])
    before = set(storage.rglob("*"))
    backfill = ("--assets", "daily_bars", "--partition-range", f"{SESSION}...2025-01-06")
    result = finished(start_dg(project, "launch", *backfill))
    assert result.returncode == 1
    (run,) = instance.get_runs()
    logs = [file.read_text() for file in set(storage.rglob("*")) - before if file.is_file()]
    events = [dg.serialize_value(event) for event in instance.all_logs(run.run_id)]
    written = [result.stdout, result.stderr, *logs, *events]
    passwords = {value for name, value in variables.items() if name.endswith("_PASSWORD")}
    passwords |= {v for name, v in stack.environment.items() if name.endswith("_PASSWORD")}
    assert not [text for text in written for password in passwords if password in text]
    assert logs and events
    line = f"authentication failed; check {LOGIN} (and the attempt is not in the ledger)"
    said = result.stdout + result.stderr
    assert "3 of 3 sessions of daily_bars were not loaded:\n2025-01-02: cannot reach " in said
    assert f"{line}\nand 2 that were not tried\n" in said
    assert said.count("not loaded: cannot reach ") == 1
    assert any(line in event for event in events)
    assert "Traceback" not in said
