"""A TimescaleDB Community server that runs on every machine, for contract tests.

It is PostgreSQL 17 with TimescaleDB 2.23 and its Community module, compiled to WebAssembly
(``installation``), behind ``engine/server.cjs``. Roles, their rights and settings, transactions,
compression and continuous aggregates are the real ones. What it cannot do:

- ``COPY … FROM STDIN``: it dies. ``seeding`` writes the same rows by INSERT. COPY to the client,
  with which ADBC reads, works.
- Two clients at once: the second waits until the first has gone, for as long as its
  connect_timeout. So nothing ever waits for a lock, and a test must close what it opens.
- Passwords: it takes any, and lets in every role that exists.
- Databases: there is one, whichever a client names; CREATE DATABASE makes one that is never used.
- ``statement_timeout``, ``lock_timeout``, cancelling, encryption, ``pg_stat_activity``.
- Background workers: nothing runs by itself.
"""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from embedded import migrations
from embedded.paths import CHECKOUT
from embedded.postgresql import Superuser
from embedded.root import SERVERS, ensure_root
from tests.community.installation import ENGINE, NODE

_START_SECONDS = 120
_STOP_SECONDS = 10


class Engine:
    """The engine at the address in ``environment``; its output goes to a file in ``directory``."""

    def __init__(self, packages: Path, environment: Mapping[str, str], directory: Path) -> None:
        self.environment = environment
        self.directory = directory
        self.output = directory / "engine.log"
        command = [NODE, ENGINE / "server.cjs", packages, environment["TIMESCALE_PORT"]]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                # It ends when nobody holds the other end any more, however we end.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={},
            )

    def connect(self, role: str = "postgres") -> psycopg.Connection:
        """Connect as a role, in autocommit mode; as the superuser by default."""
        return psycopg.connect(
            host=self.environment["TIMESCALE_HOST"],
            port=self.environment["TIMESCALE_PORT"],
            user=role,
            dbname=self.environment["TIMESCALE_DB"],
            autocommit=True,
            connect_timeout=10,
        )

    def wait_until_ready(self) -> None:
        """Return once it answers; fail when it dies, or takes longer than two minutes."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self.require_alive()
            try:
                self.connect().close()
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    pytest.fail(f"the Community engine does not answer: {error}", pytrace=False)
                time.sleep(0.05)
            else:
                return

    def require_alive(self) -> None:
        """Fail, with its last output, when it has died."""
        status = self.process.poll()
        if status is not None:
            last = self.output.read_text(encoding="utf-8", errors="replace")[-3000:].strip()
            pytest.fail(
                f"the Community engine ended with status {status}. It said last: {last}",
                pytrace=False,
            )

    def prepare(self) -> None:
        """Make roles and schema, by the platform's own scripts and as it does itself."""
        address = f"{self.environment['TIMESCALE_HOST']}:{self.environment['TIMESCALE_PORT']}"
        superuser = Superuser(
            ensure_root(SERVERS),
            self.directory,
            0,
            f"postgresql://postgres@{address}?sslmode=disable",
        )
        script = (CHECKOUT / "sql" / "bootstrap" / "timescaledb.sql").read_text(encoding="utf-8")
        # psql opens the next connection before it closes the one it has.
        parts = script.split('\\connect :"database"\n')
        assert len(parts) == 2
        for part in parts:
            superuser.script(part, self.environment)
        migrations.dbmate("timescale", "migrate", self.environment, CHECKOUT / "sql")
        migrations.deploy_aggregates(self.environment)

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
