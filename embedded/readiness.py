"""Waiting until servers accept connections."""

from __future__ import annotations

import http.client
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from psycopg import pq
from psycopg.conninfo import make_conninfo

from embedded.certificates import ADDRESS, trusted_file
from embedded.errors import StackError
from embedded.processes import is_free
from embedded.programs import Kind, Program
from embedded.supervision import STOPPED, Supervisor

#: A program that has been started more often than this while we wait has a lasting problem.
ATTEMPTS = 3


def accepts(program: Program) -> bool:
    """Whether the program serves a client right now."""
    if program.port is None:
        return True
    if program.kind in (Kind.POSTGRESQL, Kind.PGBOUNCER):
        # Gets as far as the question for a password: the server is past its recovery.
        conninfo = make_conninfo(
            host=ADDRESS,
            port=program.port,
            user="pgbouncer",
            dbname="postgres",
            connect_timeout=2,
            sslmode="verify-full",
            sslrootcert=str(trusted_file(program.directory.parent)),
        )
        return pq.PGconn.ping(conninfo.encode()) == pq.Ping.OK
    if program.kind is Kind.VALKEY:
        return _valkey(program.port)
    if program.kind is Kind.METRICS:
        # Asked, it would measure, and wait for everybody.
        return not is_free(program.port)
    return _webserver(program.port)


def _valkey(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"PING\r\n")
            # It asks for the password, unless it still loads.
            return connection.recv(64).startswith((b"-NOAUTH", b"+PONG"))
    except OSError:
        return False


def _webserver(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/server_info")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_ready(
    programs: Sequence[Program],
    supervisor: Supervisor,
    report: Callable[[str], None],
    seconds: float = 90,
) -> None:
    """Wait until every program serves; say what is waited for; fail with the end of its log."""
    deadline = time.monotonic() + seconds
    next_report = time.monotonic() + 3
    pending = list(programs)
    attempts: defaultdict[str, set[int]] = defaultdict(set)
    while pending := [program for program in pending if not accepts(program)]:
        states, pids = supervisor.states(), supervisor.pids()
        for program in pending:
            attempts[program.name].add(pids[program.name])
            gave_up = states[program.name] in STOPPED
            if gave_up or len(attempts[program.name] - {0}) > ATTEMPTS:
                raise StackError(f"{program.name} does not stay up. {log_end(program)}")
        now = time.monotonic()
        if now > deadline:
            raise StackError(
                f"{pending[0].name} does not accept connections after {seconds:.0f} s. "
                f"{log_end(pending[0])}"
            )
        if now > next_report:
            next_report = now + 3
            report(f"waiting for {', '.join(program.name for program in pending)}")
        time.sleep(0.05)


def log_end(program: Program, lines: int = 15) -> str:
    """Where the program's log is, and its last lines."""
    try:
        end = program.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        return f"Its log {program.log} does not exist yet."
    return "\n".join([f"Its log {program.log} ends with:", *(f"  {line}" for line in end)])
