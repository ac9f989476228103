"""Databases that cannot be reached: real runs, one clear line, and the password nowhere."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
import trustme
from adbc_driver_postgresql import dbapi

from embedded import processes
from embedded.certificates import trusted_file
from embedded.stack import Stack
from resources import databases
from resources.calendar import krx_calendar, seoul_now
from resources.databases import ApplicationDatabase, TimescaleDB
from resources.settings import market_settings
from resources.sources.simulated.source import SimulatedSource
from stock_assets.definitions import build_defs
from tests.conftest import free_ports
from tests.integration.access import eventually
from tests.project import finished, make_project, start_dg

SECRET = "secret of the 'faults' \\ %40"
SESSION = "2025-01-02"
SETTINGS = market_settings({"SYMBOLS_FIRST_SESSION": SESSION, "DAILY_BARS_FIRST_SESSION": SESSION})


@dataclass(frozen=True)
class Run:
    """A run in this process: how its one session failed (None: it did not), everything it wrote
    anywhere (which holds no password), and how often it tried to connect."""

    error: str | None
    written: str
    tries: int
    environment: Mapping[str, str]


@pytest.fixture
def run(
    stack: Stack,
    instance: dg.DagsterInstance,
    clean: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Run]:
    """Load a session of an asset with some variables changed; nothing waits between tries."""
    monkeypatch.setattr("tenacity.wait_exponential_jitter.__call__", lambda *_: 0)
    tried: list[object] = []
    really_connect = dbapi.connect

    def connect(conninfo: str) -> dbapi.Connection:
        tried.append(1)
        return really_connect(conninfo)

    monkeypatch.setattr(dbapi, "connect", connect)

    def run(asset: str = "daily_bars", **variables: str) -> Run:
        tried.clear()
        environment = {**stack.environment, **variables}
        definitions = build_defs(
            {
                "market_source": SimulatedSource(krx_calendar(), seoul_now, size=3),
                "timescaledb": TimescaleDB.from_environment(environment),
                "application_database": ApplicationDatabase.from_environment(environment),
            },
            SETTINGS,
        )
        job = definitions.resolve_implicit_global_asset_job_def()
        logs = Path(stack.environment["DAGSTER_STORAGE_DIR"])
        before = set(logs.rglob("*"))
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(asset)],
            partition_key=SESSION,
            raise_on_error=False,
        )
        written = "".join(
            [
                *capfd.readouterr(),
                *(dg.serialize_value(event) for event in instance.all_logs(result.run_id)),
                *(file.read_text() for file in set(logs.rglob("*")) - before if file.is_file()),
            ]
        )
        passwords = {name for name in environment if name.endswith("_PASSWORD")}
        assert not [name for name in passwords if environment[name] in written]
        if result.success:
            return Run(None, written, len(tried), environment)
        (failure,) = (event for event in result.all_events if event.is_step_failure)
        heading, line = failure.step_failure_data.user_failure_data.description.split("\n")
        assert heading == f"1 of 1 sessions of {asset} were not loaded:"
        return Run(line.removeprefix(f"{SESSION}: "), written, len(tried), environment)

    return run


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def pooler(
    stack: Stack, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., str]]:
    """PgBouncers like the stack's before TimescaleDB, with certificates of ours; gives their
    ports."""
    running: list[subprocess.Popen[bytes]] = []

    def pooler(
        certificate: trustme.LeafCert, sslmode: str = "require", trusted: trustme.CA | None = None
    ) -> str:
        directory = tmp_path_factory.mktemp("pooler")
        (port,) = free_ports(1)
        original = stack.program("pgbouncer-ts")
        files = dict(original.files)
        for old, new in (
            (f"listen_port = {original.port}", f"listen_port = {port}"),
            ("client_tls_sslmode = require", f"client_tls_sslmode = {sslmode}"),
        ):
            assert old in files["pgbouncer.ini"]
            files["pgbouncer.ini"] = files["pgbouncer.ini"].replace(old, new)
        for name, content in files.items():
            (directory / name).write_text(content)
        certificate.private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
        stacks = trusted_file(stack.directory).read_bytes()
        (directory / "authorities.crt").write_bytes(trusted.cert_pem.bytes() if trusted else stacks)
        # fmt: off
        running.append(subprocess.Popen([
            sys.executable, "-m", "embedded.foreground",
            "--root", str(stack.root), "--data", str(directory), "--stop-signal", "SIGINT", "--",
            "pgbouncer", "/data/pgbouncer.ini",
        ]))
        # fmt: on
        eventually(lambda: not processes.is_free(port))
        return str(port)

    yield pooler
    for process in running:
        process.terminate()
        process.wait(20)


LOGIN = "TIMESCALE_HOST, TIMESCALE_PORT, TIMESCALE_USER, TIMESCALE_PASSWORD, TIMESCALE_DB"
TLS = "TIMESCALE_SSLMODE, TIMESCALE_SSLROOTCERT"


def assert_clear(found: Run, says: str, check: str, database: str = "TimescaleDB") -> None:
    assert found.error is not None
    assert found.error.startswith(f"cannot reach {database} ")
    assert says in found.error
    assert found.error.endswith(f"; check {check} (and the attempt is not in the ledger)")
    assert found.error.count("check") == 1
    # Dagster tells how it came to the failure; nothing below it does.
    assert "Traceback" not in found.written
    assert "adbc" not in found.written


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
    assert "connect_timeout" in databases._LIMITS
    monkeypatch.setitem(databases._LIMITS, "connect_timeout", "1")
    monkeypatch.setattr("tenacity.stop_after_attempt.__call__", lambda _, s: s.attempt_number > 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        found = run(TIMESCALE_PORT=port)
    assert_clear(found, "timeout expired", LOGIN)
    assert found.tries == 4


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """Variables that trust the authority and nobody else."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return {"TIMESCALE_SSLMODE": "verify-full", "TIMESCALE_SSLROOTCERT": str(path)}


def test_a_certificate_that_is_good_is_accepted(run, pooler, authority, trusted, query):
    port = pooler(authority.issue_cert("127.0.0.1"))
    assert run(TIMESCALE_PORT=port, **trusted).error is None
    assert query("SELECT outcome, rows_loaded FROM ingest_ledger") == [("committed", 3)]
    found = run(TIMESCALE_PORT=port, TIMESCALE_SSLMODE="disable")
    assert_clear(found, "SSL required", f"{TLS}, {LOGIN}")
    assert found.tries == 2


YESTERDAY = datetime.now(UTC) - timedelta(days=1)
UNTRUSTED = "certificate verify failed (expired, or signed by nobody in TIMESCALE_SSLROOTCERT)"
BAD_CERTIFICATES: dict[str, tuple[Callable[[trustme.CA], trustme.LeafCert], str]] = {
    "expired": (
        lambda authority: authority.issue_cert("127.0.0.1", not_after=YESTERDAY),
        UNTRUSTED,
    ),
    "another authority's": (lambda _: trustme.CA().issue_cert("127.0.0.1"), UNTRUSTED),
    "another host's": (
        lambda authority: authority.issue_cert("elsewhere"),
        'server certificate for "elsewhere" does not match host name "127.0.0.1"',
    ),
}


@pytest.mark.parametrize("whose", list(BAD_CERTIFICATES))
def test_a_certificate_that_is_bad_is_not_tried_again(run, pooler, authority, trusted, whose):
    issue, says = BAD_CERTIFICATES[whose]
    found = run(TIMESCALE_PORT=pooler(issue(authority)), TIMESCALE_PASSWORD=SECRET, **trusted)
    assert_clear(found, says, f"{TLS}, {LOGIN}")
    assert found.tries == 2
    # Who does not ask for verification gets through to the password.
    port = found.environment["TIMESCALE_PORT"]
    careless = {"TIMESCALE_SSLMODE": "require", "TIMESCALE_SSLROOTCERT": ""}
    assert run(TIMESCALE_PORT=port, **careless).error is None


def test_a_pooler_refuses_a_server_that_it_does_not_trust(run, pooler, authority, trusted):
    certificate = authority.issue_cert("127.0.0.1")
    found = run(TIMESCALE_PORT=pooler(certificate, trusted=authority), **trusted)
    # What exactly is wrong is in the pooler's log; strangers are not told.
    assert_clear(found, "server login has been failing", LOGIN)


@pytest.mark.parametrize(
    ("sslmode", "says"),
    [
        ("require", "server does not support SSL, but SSL was required"),
        ("always", 'invalid sslmode value: "always"'),
    ],
)
def test_encryption_that_cannot_be_had_is_not_tried_again(run, pooler, authority, sslmode, says):
    port = pooler(authority.issue_cert("127.0.0.1"), sslmode="disable")
    found = run(TIMESCALE_PORT=port, TIMESCALE_SSLMODE=sslmode)
    assert_clear(found, says, f"{TLS}, {LOGIN}")
    assert found.tries == 2


def test_a_server_that_demands_encryption_says_so(run, stack):
    if stack.timescale_url:
        pytest.skip("another server's own rules; without --timescale-dsn it runs")
    server = {
        "TIMESCALE_PORT": stack.environment["TIMESCALE_SERVER_PORT"],
        "TIMESCALE_SSLMODE": "disable",
    }
    found = run(**server)
    assert_clear(found, "no encryption", f"{TLS}, {LOGIN}")
    assert found.tries == 2


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
