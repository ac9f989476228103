"""Certificates that are not to be trusted, and encryption that cannot be had: one clear line."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from embedded import processes
from embedded.certificates import trusted_file
from embedded.stack import Stack
from tests.conftest import free_ports
from tests.faults.connecting import LOGIN, SECRET, TLS, assert_clear
from tests.integration.access import eventually
from tests.project import ended


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
        ended(process)


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
