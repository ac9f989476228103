"""The embedded stack's real servers: who gets in, and what happens when one is killed."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from embedded import processes
from embedded.readiness import accepts
from embedded.stack import Stack
from tests.integration.access import LOGINS, can_log_in, eventually, login, valkey


@pytest.mark.parametrize("program", LOGINS)
def test_every_postgresql_port_lets_its_users_in(stack: Stack, program: str) -> None:
    with login(stack, program) as connection:
        row = connection.execute("SELECT current_database(), current_setting('TimeZone')")
        database, zone = row.fetchone() or ("", "")
    assert database == stack.environment[LOGINS[program][3]]
    if not (stack.timescale_url and program in ("timescaledb", "pgbouncer-ts")):
        assert zone == "UTC"


@pytest.mark.parametrize("program", LOGINS)
def test_a_wrong_password_is_refused(stack: Stack, program: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"password|SASL authentication"):
        login(stack, program, password="wrong")


@pytest.mark.parametrize("program", LOGINS)
def test_the_superuser_cannot_log_in_over_tcp(stack: Stack, program: str) -> None:
    if program == "timescaledb" and stack.timescale_url:
        pytest.skip("another server's own rules")
    with pytest.raises(psycopg.OperationalError):
        login(stack, program, user="postgres", password="", dbname="postgres")


@pytest.mark.parametrize("program", ["pgbouncer", "pgbouncer-ts"])
def test_the_statistics_user_sees_pools_and_commands_nothing(stack: Stack, program: str) -> None:
    secret = stack.environment["PGBOUNCER_STATS_PASSWORD"]
    parameters = {"user": "pgbouncer_stats", "password": secret, "dbname": "pgbouncer"}
    port = stack.environment[LOGINS[program][0]]
    conninfo = psycopg.conninfo.make_conninfo(host="127.0.0.1", port=port, **parameters)
    connection = psycopg.pq.PGconn.connect(conninfo.encode())
    try:
        # The console speaks the simple protocol only, which psycopg's own cursor does not.
        assert connection.exec_(b"SHOW POOLS").status == psycopg.pq.ExecStatus.TUPLES_OK
        assert connection.exec_(b"PAUSE").status == psycopg.pq.ExecStatus.FATAL_ERROR
    finally:
        connection.finish()


def test_prepared_statements_survive_transaction_pooling(stack: Stack) -> None:
    with login(stack, "pgbouncer", application_name="prepared") as connection:
        connection.prepare_threshold = 0
        for number in range(5):
            assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)
            connection.commit()


def test_valkey_asks_for_its_password(stack: Stack) -> None:
    password = stack.environment["VALKEY_PASSWORD"]
    assert valkey(stack, "PING")[0].startswith("-NOAUTH")
    assert valkey(stack, "AUTH wrong")[0].startswith("-WRONGPASS")
    assert valkey(stack, f"AUTH {password}", "PING") == ["+OK", "+PONG"]


def test_servers_listen_on_loopback_only(stack: Stack) -> None:
    ports = {program.port for program in stack.programs}
    listening = set()
    for table in ("tcp", "tcp6"):
        for row in Path("/proc/net", table).read_text().splitlines()[1:]:
            address, _, port = row.split()[1].partition(":")
            if int(port, 16) in ports and row.split()[3] == "0A":
                listening.add(address)
    assert listening == {"0100007F"}


def test_no_command_line_and_no_log_shows_a_password(stack: Stack) -> None:
    secrets = [value for name, value in stack.environment.items() if name.endswith("_PASSWORD")]
    shown = ""
    for pid in processes.of_stack(stack.directory):
        shown += Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    assert "bwrap" in shown
    shown += "".join(log.read_text() for log in (stack.directory / "log").iterdir())
    shown += (stack.directory / "run" / "supervisord.conf").read_text()
    assert not [secret for secret in secrets if secret in shown]


@pytest.mark.parametrize("name", ["postgres", "timescaledb", "pgbouncer", "pgbouncer-ts", "valkey"])
@pytest.mark.parametrize("victim", ["server", "wrapper"])
def test_a_killed_server_comes_back(stack: Stack, name: str, victim: str) -> None:
    if name not in [program.name for program in stack.programs]:
        pytest.skip("not run by this stack")
    program, before = stack.program(name), stack.process(name)
    assert before
    os.kill(before if victim == "server" else stack.supervisor.pids()[name], signal.SIGKILL)
    eventually(lambda: stack.process(name) not in (0, before) and accepts(program), 60)
    if name in LOGINS:
        eventually(lambda: can_log_in(stack, name))
    else:
        assert valkey(stack, "PING")[0].startswith("-NOAUTH")


def test_a_busy_backend_does_not_block_the_restart(stack: Stack) -> None:
    """A backend amid a computation would outlive its killed postmaster and hold its memory."""
    before = stack.process("postgres")
    with closing(login(stack, "postgres")) as connection:
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000000)")
        busy = "SELECT state FROM pg_stat_activity WHERE query ~ '^SELECT count.*series'"
        superuser = stack.superuser("postgres")
        eventually(lambda: superuser.script(busy, {}).strip() == "active")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: can_log_in(stack, "postgres"))
    assert stack.process("postgres") != before
