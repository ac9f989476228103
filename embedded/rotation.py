"""Certificates put into place, and running servers told to read them.

A server reads its files when it is told to, and shows them to whoever connects from then on; who
is connected already stays so. Nothing is dropped.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from embedded.certificates import ADDRESS, Issue
from embedded.errors import StackError
from embedded.private_files import write_private
from embedded.programs import Kind, Program
from embedded.readiness import log_end

#: PostgreSQL's request for encryption: length and code.
_REQUEST = struct.pack("!ii", 8, 80877103)


def install(
    servers: Sequence[Program], issued: Issue, process: Callable[[str], int]
) -> list[Program]:
    """Write the certificates of the servers; those that run with one already are told, and show
    the new one when this returns. `process` gives a server's process id, or 0. Returns those whose
    files changed."""
    changed: list[Program] = []
    # A pooler must trust a new authority before its server shows a certificate of it.
    for kind in (Kind.PGBOUNCER, Kind.POSTGRESQL):
        told = []
        for server in (server for server in servers if server.kind is kind):
            server.directory.mkdir(exist_ok=True)
            file = server.directory / "server.pem"
            encrypted = file.exists()
            files = {"server.pem": issued.servers[server.name]}
            if kind is Kind.PGBOUNCER:
                files["authorities.crt"] = server.authorities or issued.trusted
            # No generator: every file must be written.
            if not any([write_private(server.directory / name, files[name]) for name in files]):
                continue
            changed.append(server)
            if encrypted and (pid := process(server.name)):
                os.kill(pid, signal.SIGHUP)
                told.append(server)
        for server in told:
            _wait_until_shown(server, issued.servers[server.name])
    return changed


def shown_certificate(port: int) -> x509.Certificate | None:
    """What a server or pooler shows to who connects now; None where it does not, or not yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((ADDRESS, port), timeout=5) as connection:
            connection.sendall(_REQUEST)
            if connection.recv(1) != b"S":
                return None
            with context.wrap_socket(connection) as encrypted:
                certificate = encrypted.getpeercert(binary_form=True)
                # Goodbye; who is gone without it is worth a line in a pooler's log.
                with suppress(OSError):
                    encrypted.unwrap()
    except OSError:
        return None
    return x509.load_der_x509_certificate(certificate) if certificate else None


def _wait_until_shown(server: Program, pem: str, seconds: float = 20) -> None:
    wanted = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    deadline = time.monotonic() + seconds
    while True:
        shown = shown_certificate(server.port or 0)
        if shown and shown.public_bytes(Encoding.DER) == wanted:
            return
        if time.monotonic() > deadline:
            raise StackError(f"{server.name} does not show its new certificate. {log_end(server)}")
        time.sleep(0.05)
