"""Certificates of the embedded servers: whose they are, how long they last, what is accepted."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from embedded import certificates
from embedded.certificates import Issue, Pair, issue, trusted_file
from embedded.errors import StackError

NAMES = ["postgres", "pgbouncer-ts"]


def installed(directory: Path, issued: Issue) -> None:
    for name, pem in issued.servers.items():
        (directory / name).mkdir(exist_ok=True)
        (directory / name / "server.pem").write_text(pem)


def issued(directory: Path, environment: dict[str, str] | None = None, **options: bool) -> Issue:
    found = issue(directory, environment or {}, NAMES, **options)
    installed(directory, found)
    return found


def serials(found: Issue) -> list[int]:
    return [
        x509.load_pem_x509_certificate(pem.encode()).serial_number for pem in found.servers.values()
    ]


def is_accepted(directory: Path, name: str, trusted: Path | None = None) -> bool:
    pem = str(directory / name / "server.pem")
    try:
        certificates._shake_hands(pem, pem, str(trusted or trusted_file(directory)))
    except OSError:
        return False
    return True


def test_a_client_that_verifies_accepts_every_server(tmp_path: Path) -> None:
    found = issued(tmp_path)
    assert len(set(serials(found))) == len(NAMES)
    assert all(is_accepted(tmp_path, name) for name in NAMES)
    certificate = x509.load_pem_x509_certificate(found.servers["pgbouncer-ts"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pgbouncer-ts", "localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    # Nobody signs with a server's key.
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_another_stacks_authority_accepts_none(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    issued(tmp_path / "a")
    issued(tmp_path / "b")
    assert not is_accepted(tmp_path / "a", "postgres", trusted_file(tmp_path / "b"))


def test_the_authoritys_key_is_private(tmp_path: Path) -> None:
    issued(tmp_path)
    for file in trusted_file(tmp_path).parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(("days", "expected"), [("", 365), ("7", 7)])
def test_they_last_as_long_as_configured(tmp_path: Path, days: str, expected: int) -> None:
    found = issued(tmp_path, {"TLS_CERTIFICATE_DAYS": days})
    certificate = x509.load_pem_x509_certificate(found.servers["postgres"].encode())
    left = certificate.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(0) < timedelta(days=expected) - left < timedelta(minutes=1)


@pytest.mark.parametrize("days", ["0", "-1", "many", "99999"])
def test_a_lifetime_that_is_none_is_named(tmp_path: Path, days: str) -> None:
    with pytest.raises(StackError, match=f"TLS_CERTIFICATE_DAYS='{days}'"):
        issued(tmp_path, {"TLS_CERTIFICATE_DAYS": days})


def test_good_ones_are_kept_and_others_made_anew(tmp_path: Path) -> None:
    first = issued(tmp_path)
    assert issued(tmp_path) == first
    # One with less than a third of its life left, and one that cannot be read.
    authority = Pair.read(tmp_path / "certificates" / "authority.pem")
    short = certificates._make("postgres", authority, timedelta(minutes=20), datetime.now(UTC))
    (tmp_path / "postgres" / "server.pem").write_text(short.pem())
    (tmp_path / "pgbouncer-ts" / "server.pem").write_text(first.servers["pgbouncer-ts"][:300])
    second = issued(tmp_path)
    assert not {*serials(first), short.certificate.serial_number} & {*serials(second)}
    assert second.trusted == first.trusted
    # All of them, if so asked.
    third = issued(tmp_path, anew=True)
    assert not {*serials(second)} & {*serials(third)}
    assert third.trusted == first.trusted


def test_a_new_authority_is_trusted_beside_the_old_one(tmp_path: Path) -> None:
    issued(tmp_path)
    old = tmp_path / "old.pem"
    old.write_text((tmp_path / "postgres" / "server.pem").read_text())
    key = (tmp_path / "certificates" / "authority.pem").read_text()
    found = issued(tmp_path, anew=True, new_authority=True)
    certificates._shake_hands(str(old), str(old), str(trusted_file(tmp_path)))
    assert is_accepted(tmp_path, "postgres")
    assert (tmp_path / "certificates" / "authority.pem").read_text() != key
    assert found.trusted.count("BEGIN CERTIFICATE") == 2


def test_an_authority_near_its_end_is_followed_and_forgotten_after_it(tmp_path: Path) -> None:
    issued(tmp_path)
    now = datetime.now(UTC)
    folder = tmp_path / "certificates"
    ending = certificates._make("ending", None, timedelta(minutes=20), now)
    ended = certificates._make("ended", None, timedelta(minutes=-1), now)
    folder.joinpath("authority.pem").write_text(ending.pem())
    texts = [certificates.certificate_pem(pair.certificate) for pair in (ending, ended)]
    folder.joinpath("authorities.crt").write_text("".join(texts))
    found = issued(tmp_path)
    assert texts[0] in found.trusted
    assert texts[1] not in found.trusted
    assert is_accepted(tmp_path, "postgres")
    # What the last one had signed, the next start replaces.
    assert issued(tmp_path) == found


def given(directory: Path, certificate: trustme.LeafCert, authority: trustme.CA) -> dict[str, str]:
    files = {
        "TLS_CERT_FILE": b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
        "TLS_KEY_FILE": certificate.private_key_pem.bytes(),
        "TLS_CA_FILE": authority.cert_pem.bytes(),
    }
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return {name: str(directory / name) for name in files}


def test_given_files_are_used_for_all(tmp_path: Path) -> None:
    authority = trustme.CA()
    environment = given(tmp_path, authority.issue_cert("127.0.0.1", "db.example"), authority)
    found = issued(tmp_path, environment)
    assert len(set(serials(found))) == 1
    assert all(is_accepted(tmp_path, name) for name in NAMES)
    assert not (tmp_path / "certificates" / "authority.pem").exists()
    # Back to the stack's own.
    assert issued(tmp_path).servers != found.servers
    assert all(is_accepted(tmp_path, name) for name in NAMES)


def test_given_files_that_clients_would_refuse_are_refused(tmp_path: Path) -> None:
    authority = trustme.CA()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for certificate, says in (
        (authority.issue_cert("127.0.0.1", not_after=yesterday), "certificate has expired"),
        (authority.issue_cert("db.example"), "not valid for '127.0.0.1'"),
        (trustme.CA().issue_cert("127.0.0.1"), "unable to get local issuer certificate"),
    ):
        environment = given(tmp_path, certificate, authority)
        with pytest.raises(StackError, match=says) as error:
            issued(tmp_path, environment)
        assert str(error.value).startswith("clients would refuse TLS_CERT_FILE=")
        assert "\n" not in str(error.value)


def test_given_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    environment = given(tmp_path, authority.issue_cert("127.0.0.1"), authority)
    with pytest.raises(StackError, match="TLS_CERT_FILE set, but not TLS_KEY_FILE, TLS_CA_FILE"):
        issued(tmp_path, {"TLS_CERT_FILE": environment["TLS_CERT_FILE"]})
    with pytest.raises(StackError, match="TLS_CA_FILE=/nowhere cannot be read: No such file"):
        issued(tmp_path, environment | {"TLS_CA_FILE": "/nowhere"})
    other = authority.issue_cert("127.0.0.1").private_key_pem.bytes()
    (tmp_path / "TLS_KEY_FILE").write_bytes(other)
    with pytest.raises(StackError, match=r"a server could not use .*TLS_KEY_FILE"):
        issued(tmp_path, environment)
