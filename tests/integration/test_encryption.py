"""Who gets in at the four ports of PostgreSQL's protocol: encrypted, verified, by SCRAM."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
import psycopg
import pytest
import trustme
from dagster_postgres.utils import DagsterPostgresException
from sqlalchemy import text

from embedded import migrations
from embedded.certificates import trusted_file
from embedded.errors import StackError
from embedded.paths import CHECKOUT
from embedded.readiness import accepts
from embedded.rotation import shown_certificate
from embedded.stack import Stack
from resources.deployment import main as deploy
from tests.integration.access import LOGINS, login


@pytest.fixture(params=LOGINS)
def program(request: pytest.FixtureRequest, stack: Stack) -> str:
    """Each of the four, but for a server that is not ours."""
    if request.param == "timescaledb" and stack.timescale_url:
        pytest.skip("another server's own rules; without --timescale-dsn it runs")
    return str(request.param)


@pytest.fixture
def stranger(tmp_path: Path) -> str:
    """A file that trusts somebody else."""
    path = tmp_path / "stranger.crt"
    trustme.CA().cert_pem.write_to_path(str(path))
    return str(path)


def verified(stack: Stack, **changed: str) -> dict[str, str]:
    return {
        "sslmode": "verify-full",
        "sslrootcert": str(trusted_file(stack.directory)),
        **changed,
    }


@contextmanager
def refused(says: str) -> Iterator[None]:
    with pytest.raises(psycopg.OperationalError, match=says):
        yield


def test_a_plain_connection_is_refused(stack: Stack, program: str) -> None:
    with refused("SSL required|no encryption"):
        login(stack, program, sslmode="disable")


def test_a_client_that_verifies_gets_in(stack: Stack, program: str) -> None:
    with login(stack, program, **verified(stack)) as connection:
        assert connection.pgconn.ssl_in_use


def test_no_tls_before_1_3(stack: Stack, program: str) -> None:
    with refused("protocol version"):
        login(stack, program, **verified(stack, ssl_max_protocol_version="TLSv1.2"))


def test_who_trusts_another_authority_does_not_get_in(
    stack: Stack, program: str, stranger: str
) -> None:
    with refused("certificate verify failed"):
        login(stack, program, **verified(stack, sslrootcert=stranger))


def test_a_certificate_is_for_its_host_alone(stack: Stack, program: str) -> None:
    with refused('does not match host name "elsewhere"'):
        login(stack, program, **verified(stack, host="elsewhere", hostaddr="127.0.0.1"))
    login(stack, program, **verified(stack, host="localhost", hostaddr="127.0.0.1")).close()


def test_a_server_is_ready_only_for_who_trusts_it(stack: Stack, program: str) -> None:
    """What `make up` waits for is a connection that clients would make."""
    there = stack.program(program)
    assert accepts(there)
    elsewhere = stack.directory.parent / "no stack" / program
    assert not accepts(replace(there, directory=elsewhere))


@pytest.mark.parametrize("pooler", ["pgbouncer", "pgbouncer-ts"])
def test_poolers_reach_their_servers_encrypted(stack: Stack, pooler: str) -> None:
    if pooler == "pgbouncer-ts" and stack.timescale_url:
        pytest.skip("another server's own rules; without --timescale-dsn it runs")
    with login(stack, pooler) as connection:
        row = connection.execute(
            "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
        assert row.fetchone() == (True, "TLSv1.3")
    ini = (stack.program(pooler).directory / "pgbouncer.ini").read_text()
    assert "\nserver_tls_sslmode = verify-full\n" in ini


def test_every_server_has_a_certificate_of_its_own(stack: Stack) -> None:
    ports = [program.port for program in stack.programs if program.kind.has_certificate]
    shown = [shown_certificate(port) for port in ports if port]
    assert len({found.serial_number for found in shown if found}) == len(ports)


def test_keys_are_private(stack: Stack) -> None:
    private = [*stack.directory.rglob("*.pem"), *stack.directory.rglob("userlist.txt")]
    assert len(private) >= 6
    assert [file for file in private if file.stat().st_mode & 0o077] == []


@pytest.mark.parametrize("program", ["pgbouncer", "postgres"])
def test_a_password_that_is_kept_as_md5_is_refused(stack: Stack, program: str) -> None:
    """What is kept of a password is SCRAM's, or it lets nobody in: md5 would do for a login."""
    superuser = stack.superuser("postgres")
    database = stack.environment["APP_DB_NAME"]
    superuser.script(
        f"""SET password_encryption = 'md5'; CREATE ROLE of_old LOGIN PASSWORD 'old';
        GRANT CONNECT ON DATABASE {database} TO of_old""",
        {},
    )
    try:
        with refused("authentication failed"):
            login(stack, program, user="of_old", password="old", dbname=database)
    finally:
        superuser.script(f"REVOKE ALL ON DATABASE {database} FROM of_old; DROP ROLE of_old", {})


@pytest.mark.parametrize("server", ["postgres", "timescaledb"])
def test_servers_keep_scram_secrets_only(stack: Stack, server: str) -> None:
    if server == "timescaledb" and stack.timescale_url:
        pytest.skip("another server's own roles; without --timescale-dsn it runs")
    kept = "SELECT rolname FROM pg_authid WHERE rolpassword !~ '^SCRAM-SHA-256'"
    assert stack.superuser(server).script(kept, {}) == ""
    scram = "SELECT count(*) FROM pg_authid WHERE rolpassword ~ '^SCRAM-SHA-256'"
    assert int(stack.superuser(server).script(scram, {})) >= 4


def test_dagsters_storage_is_encrypted_and_verifies(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    stranger: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with instance.event_log_storage.index_connection() as connection:
        query = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert connection.execute(query).scalar() is True
        driver = connection.connection.dbapi_connection.info  # type: ignore[union-attr]
        assert driver.dsn_parameters["sslmode"] == "verify-full"
        assert driver.ssl_in_use
    monkeypatch.setenv("APP_DB_SSLROOTCERT", stranger)
    with pytest.raises(DagsterPostgresException, match="too many retries"):
        dg.DagsterInstance.from_config(str(CHECKOUT)).get_runs_count()
    # Why it retried, it says in its log.
    assert "certificate verify failed" in caplog.text


def test_migrations_and_aggregates_verify_the_server(
    stack: Stack,
    stranger: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = {
        **stack.environment,
        "APP_DB_SERVER_SSLROOTCERT": stranger,
        "TIMESCALE_SERVER_SSLROOTCERT": stranger,
        "TIMESCALE_SERVER_SSLMODE": "verify-full",
    }
    with pytest.raises(StackError, match="certificate signed by unknown authority"):
        migrations.dbmate("application", "status", wrong, CHECKOUT / "sql")
    if stack.timescale_url:
        return
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    assert deploy() == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "certificate verify failed" in error
    assert "check TIMESCALE_SERVER_SSLMODE, TIMESCALE_SERVER_SSLROOTCERT" in error
