"""Schema migrations by dbmate, as each database's migrator, straight to its server; and after
them the aggregates, which depend on the server's edition."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from embedded.errors import StackError
from embedded.paths import CHECKOUT

LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Target:
    """A database with migrations: their directory below sql/, and the variables that lead to it."""

    directory: str
    user: str
    password: str
    host: str
    port: str
    database: str
    sslmode: str
    sslrootcert: str

    def url(self, environment: Mapping[str, str]) -> str:
        """Connection URL, without the password: dbmate shows a URL that it cannot read."""
        address = f"{environment[self.host]}:{environment[self.port]}"
        options = {
            name: environment[variable]
            for name, variable in (("sslmode", self.sslmode), ("sslrootcert", self.sslrootcert))
            if environment.get(variable)
        }
        # Where nothing is said, dbmate's default demands encryption, and PGSSLMODE may say
        # otherwise; over loopback it would protect from nobody.
        if not options and environment[self.host] in LOOPBACK:
            options = {"sslmode": "disable"}
        query = f"?{urlencode(options, quote_via=quote)}" if options else ""
        return f"postgres://{self.user}@{address}/{environment[self.database]}{query}"


TARGETS = {
    "timescale": Target(
        "timescale",
        "collector_migrator",
        "COLLECTOR_MIGRATOR_PASSWORD",
        "TIMESCALE_SERVER_HOST",
        "TIMESCALE_SERVER_PORT",
        "TIMESCALE_DB",
        "TIMESCALE_SERVER_SSLMODE",
        "TIMESCALE_SERVER_SSLROOTCERT",
    ),
    "application": Target(
        "application",
        "stockeasy_migrator",
        "APP_DB_MIGRATOR_PASSWORD",
        "APP_DB_SERVER_HOST",
        "APP_DB_SERVER_PORT",
        "APP_DB_NAME",
        "APP_DB_SERVER_SSLMODE",
        "APP_DB_SERVER_SSLROOTCERT",
    ),
}


def up(environment: Mapping[str, str], sql: Path = CHECKOUT / "sql") -> list[str]:
    """Apply every pending migration and put the aggregates in place; returns a line about each
    thing done."""
    applied = [
        line
        for name in TARGETS
        for line in dbmate(name, "migrate", environment, sql).splitlines()
        if line.startswith("Applied:")
    ]
    return applied + deploy_aggregates(environment)


def deploy_aggregates(environment: Mapping[str, str]) -> list[str]:
    """Put the aggregates in place as the TimescaleDB server's edition allows; returns a line about
    each one that was not yet."""
    result = subprocess.run(
        [sys.executable, "-P", "-m", "resources.deployment"],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    if result.returncode:
        reason = result.stderr.strip()[-1500:].removeprefix("error: ")
        raise StackError(f"the aggregates are not in place: {reason}")
    return result.stdout.splitlines()


def rollback(name: str, environment: Mapping[str, str], sql: Path = CHECKOUT / "sql") -> str:
    """Undo the newest migration of the database `name`, a key of `TARGETS`."""
    return dbmate(name, "rollback", environment, sql)


def dbmate(name: str, verb: str, environment: Mapping[str, str], sql: Path) -> str:
    """Run one dbmate command on the database `name`; returns its output."""
    target = TARGETS[name]
    migrations = sql / target.directory
    if not any(migrations.glob("*.sql")):
        return ""
    # fmt: off
    result = subprocess.run(
        [
            str(Path(sys.executable).parent / "dbmate"),
            # It would read .env from the working directory.
            "--env-file", os.devnull, "--migrations-dir", str(migrations), "--no-dump-schema",
            # Two at once wait for each other.
            "--migration-lock", verb,
        ],
        env={
            "DATABASE_URL": target.url(environment),
            "PGPASSWORD": environment[target.password],
            # How a server elsewhere is to be trusted, where .env does not say it.
            **{name: value for name, value in os.environ.items() if name.startswith("PGSSL")},
        },
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600,
    )
    # fmt: on
    if result.returncode:
        # The migrations of a database are one sequence; dbmate names the file that failed.
        reason = (result.stderr.strip() or result.stdout.strip())[-1000:]
        raise StackError(
            f"dbmate {verb} on {environment[target.database]} at {environment[target.host]}:"
            f"{environment[target.port]} as {target.user} failed: {reason}"
        )
    return result.stdout
