"""What is done to a PostgreSQL server as its superuser: initdb, and psql over the socket."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from embedded import sandbox
from embedded.errors import StackError
from embedded.programs import Program

#: libpq's variables for what a URL may say.
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
}


def initialise(root: Path, program: Program) -> bool:
    """Make the data directory of a server that has none yet; whether that was necessary."""
    data = program.directory / "pgdata"
    (program.directory / "socket").mkdir(exist_ok=True)
    if data.exists():
        return False
    partial = program.directory / "pgdata.partial"
    shutil.rmtree(partial, ignore_errors=True)  # an interrupted initdb
    # fmt: off
    result = sandbox.run(root, program.directory, [
        "initdb", "--pgdata=/data/pgdata.partial", "--username=postgres",
        "--auth-local=peer", "--auth-host=reject",
        # PostgreSQL's own C.UTF-8: the order of texts never changes with the C library.
        "--encoding=UTF8", "--locale=C.UTF-8",
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        "--data-checksums", "--no-instructions",
    ])
    # fmt: on
    if result.returncode:
        raise StackError(f"initdb for {program.name} failed: {result.stderr.strip()[-600:]}")
    partial.rename(data)
    return True


@dataclass(frozen=True)
class Superuser:
    """psql as superuser: over our own server's socket, or to another server by its URL."""

    root: Path
    #: A directory for the sandbox's /data: the server's own, with its socket.
    directory: Path
    port: int
    url: str = ""

    def script(self, text: str, environment: Mapping[str, str], database: str = "postgres") -> str:
        """Run a psql script; returns what it prints (unaligned, tuples only)."""
        result = sandbox.run(
            self.root,
            self.directory,
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"],
            stdin=text,
            environment={**environment, **self._connection(database)},
        )
        if result.returncode:
            raise StackError(f"psql: {result.stderr.strip()[-1000:]}")
        return result.stdout

    def interactive(self, database: str) -> tuple[list[str], dict[str, str]]:
        """Command and environment of a psql for people."""
        command = sandbox.command(self.root, self.directory, ["psql", "-X"])
        environment = {**sandbox.ENVIRONMENT, "PATH": sandbox.search_path()}
        return command, {**environment, **self._connection(database)}

    def _connection(self, database: str) -> dict[str, str]:
        # As variables: a password on a command line would be everybody's.
        if not self.url:
            return {
                "PGHOST": "/data/socket",
                "PGPORT": str(self.port),
                "PGUSER": "postgres",
                "PGDATABASE": database,
            }
        given = {name: str(value) for name, value in conninfo_to_dict(self.url).items()}
        given["dbname"] = database
        return {_VARIABLES[name]: value for name, value in given.items() if name in _VARIABLES}
