"""Certificates of the embedded servers: from an authority of the stack's own, or those that
TLS_CERT_FILE, TLS_KEY_FILE and TLS_CA_FILE name.

    certificates/authority.pem    the stack's authority: its key and certificate
    certificates/authorities.crt  who is to be trusted: it and its predecessors, or TLS_CA_FILE
    SERVER/server.pem             key and certificate of a server, in one file, so that a server
                                  that is started at any moment finds two that belong together
    SERVER/authorities.crt        a copy for the server itself, which sees no other directory
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from embedded.errors import StackError
from embedded.private_files import write_private

#: Where every server listens; clients verify that the certificate is for it.
ADDRESS = "127.0.0.1"
AUTHORITY_DAYS = 3650
#: A certificate is renewed when less than this share of its life is left.
RENEW_AT = 1 / 3
FILES = ("TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_CA_FILE")


def trusted_file(directory: Path) -> Path:
    """The file with the authorities that clients of the stack in `directory` trust."""
    return directory / "certificates" / "authorities.crt"


@dataclass(frozen=True)
class Pair:
    """A private key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def pem(self) -> str:
        """Both, as one text."""
        key = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return key.decode() + certificate_pem(self.certificate)

    @staticmethod
    def read(file: Path) -> Pair | None:
        """The pair in `file`; None where there is none, or no whole one."""
        try:
            text = file.read_bytes()
            key = serialization.load_pem_private_key(text, None)
            certificate = x509.load_pem_x509_certificate(text)
        except (OSError, ValueError, TypeError):
            return None
        return Pair(key, certificate) if isinstance(key, ec.EllipticCurvePrivateKey) else None

    def must_be_renewed(self, now: datetime) -> bool:
        """Whether it is near its end, or past it."""
        begins = self.certificate.not_valid_before_utc
        ends = self.certificate.not_valid_after_utc
        return now > ends - (ends - begins) * RENEW_AT


@dataclass(frozen=True)
class Issue:
    """What is to be in the files: who is trusted, and each server's key and certificate."""

    trusted: str
    servers: Mapping[str, str]


def issue(
    directory: Path,
    environment: Mapping[str, str],
    names: Sequence[str],
    *,
    anew: bool = False,
    new_authority: bool = False,
) -> Issue:
    """Certificates for the servers `names`; those in place are kept while they are good, unless
    `anew` is asked for. A new authority, also made when the old one nears its end, is trusted
    beside its predecessors. Writes the authority's own files, no server's."""
    given = [name for name in FILES if environment.get(name)]
    trusted = trusted_file(directory)
    trusted.parent.mkdir(parents=True, exist_ok=True)
    if given:
        found = _given(environment, given)
        write_private(trusted, found[1])
        return Issue(found[1], dict.fromkeys(names, found[0]))
    now = datetime.now(UTC)
    lifetime = timedelta(days=_days(environment))
    authority = Pair.read(trusted.with_name("authority.pem"))
    known = _certificates(trusted)
    if authority is None or new_authority or authority.must_be_renewed(now):
        authority = _make("embedded stack's authority", None, timedelta(days=AUTHORITY_DAYS), now)
    kept = [old for old in known if old != authority.certificate and old.not_valid_after_utc > now]
    bundle = "".join(map(certificate_pem, [authority.certificate, *kept]))
    # Trusted first: from the next line on, there may be certificates of it.
    write_private(trusted, bundle)
    write_private(trusted.with_name("authority.pem"), authority.pem())
    servers = {}
    for name in names:
        pair = Pair.read(directory / name / "server.pem")
        if pair is None or anew or pair.must_be_renewed(now) or not _issued_by(authority, pair):
            pair = _make(name, authority, lifetime, now)
        servers[name] = pair.pem()
    return Issue(bundle, servers)


def certificate_pem(certificate: x509.Certificate) -> str:
    """The certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _make(name: str, issuer: Pair | None, lifetime: timedelta, now: datetime) -> Pair:
    """A server's certificate by `issuer`, or an authority's by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    is_authority = issuer is None
    # Names tell authorities apart that follow each other.
    label = f"{name} {now:%Y-%m-%d %H:%M:%S}" if is_authority else name
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(is_authority, 0 if is_authority else None), True)
        .add_extension(_usage(is_authority), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
    )
    if issuer:
        names = [x509.DNSName(name), x509.DNSName("localhost"), x509.IPAddress(ip_address(ADDRESS))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False
        )
    return Pair(key, builder.sign(signer, hashes.SHA256()))


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issued_by(authority: Pair, pair: Pair) -> bool:
    try:
        pair.certificate.verify_directly_issued_by(authority.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return pair.key.public_key() == pair.certificate.public_key()


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return []


def _days(environment: Mapping[str, str]) -> int:
    text = environment.get("TLS_CERTIFICATE_DAYS") or "365"
    if not (text.isdigit() and 0 < int(text) <= AUTHORITY_DAYS):
        raise StackError(
            f"TLS_CERTIFICATE_DAYS={text!r} is no number of days from 1 to {AUTHORITY_DAYS}"
        )
    return int(text)


def _given(environment: Mapping[str, str], given: Sequence[str]) -> tuple[str, str]:
    """Key with certificate, and authorities, of the files that the variables name."""
    if missing := [name for name in FILES if name not in given]:
        raise StackError(f"{', '.join(given)} set, but not {', '.join(missing)}: set all or none")
    texts = []
    for name in FILES:
        try:
            texts.append(Path(environment[name]).expanduser().read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not PEM"
            raise StackError(f"{name}={environment[name]} cannot be read: {reason}") from None
    certificate, key, authorities = texts
    names = ", ".join(f"{name}={environment[name]}" for name in FILES)
    try:
        _shake_hands(*(str(Path(environment[name]).expanduser()) for name in FILES))
    except ssl.SSLCertVerificationError as error:
        raise StackError(f"clients would refuse {names}: {error.verify_message}") from None
    except (ssl.SSLError, ValueError) as error:
        raise StackError(f"a server could not use {names}: {error}") from None
    return key + ("" if key.endswith("\n") else "\n") + certificate, authorities


def _shake_hands(certificate: str, key: str, authorities: str) -> None:
    """What a server and a client that verifies it would do; raises what either would."""

    def no_password() -> str:
        raise ValueError("the key must not be protected by a password")

    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key, no_password)
    asking = ssl.create_default_context(cafile=authorities)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(back, there, server_hostname=ADDRESS)
    server = serving.wrap_bio(there, back, server_side=True)
    done = False
    while not done:
        for side in (client, server):
            try:
                side.do_handshake()
                done = side is server
            except ssl.SSLWantReadError:
                done = False
