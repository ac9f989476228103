"""The servers' configuration files, from the templates in embedded/config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import Template

from embedded import scram
from embedded.errors import StackError
from embedded.machine import Machine, postgres_settings, timescaledb_settings, valkey_settings
from embedded.paths import TEMPLATES

#: File name → content.
Rendered = dict[str, str]

#: A server's key with certificate, and whom it trusts, as the sandbox sees them.
CERTIFICATE = "/data/server.pem"
AUTHORITIES = "/data/authorities.crt"

#: Of each server's 100 connections, its pooler may open this many for us.
POOL = {"transaction": (20, 40), "session": (30, 40)}
MAX_CONNECTIONS = 100


def template(file: str, /, **replacements: object) -> str:
    """The template `file` filled in; a name it lacks or has too much is an error in the code."""
    return Template((TEMPLATES / file).read_text(encoding="utf-8")).substitute(replacements)


def postgresql(name: str, port: int, machine: Machine) -> Rendered:
    """postgresql.conf and pg_hba.conf of the server `postgres` or `timescaledb`."""
    large = name == "timescaledb"
    settings = timescaledb_settings(machine) if large else postgres_settings(machine)
    common = template(
        "postgresql.conf",
        port=port,
        max_connections=MAX_CONNECTIONS,
        certificate=CERTIFICATE,
        key=CERTIFICATE,
        **settings,
    )
    return {
        "postgresql.conf": common + template(f"{name}.conf", **settings),
        "pg_hba.conf": template("pg_hba.conf"),
    }


def pgbouncer(
    mode: str,
    port: int,
    server_host: str,
    server_port: int,
    server_tls_sslmode: str,
    databases: Sequence[str],
    environment: Mapping[str, str],
) -> Rendered:
    """pgbouncer.ini and its user list, for `mode` transaction or session."""
    for database in databases:
        if not re.fullmatch(r"[A-Za-z_][\w-]*", database, re.ASCII):
            raise StackError(f"{database!r} cannot be a database name here: use letters, digits, _")
    pool_size, max_db_connections = POOL[mode]
    lines = [f"{name} = host={server_host} port={server_port}" for name in databases]
    users = {
        "pgbouncer": environment["PGBOUNCER_AUTH_PASSWORD"],
        "pgbouncer_stats": scram.secret("pgbouncer_stats", environment["PGBOUNCER_STATS_PASSWORD"]),
    }
    return {
        "pgbouncer.ini": template(
            "pgbouncer.ini",
            databases="\n".join(lines),
            server_host=server_host,
            server_port=server_port,
            server_tls_sslmode=server_tls_sslmode,
            certificate=CERTIFICATE,
            key=CERTIFICATE,
            authorities=AUTHORITIES,
            port=port,
            pooling=template(f"pgbouncer.{mode}").rstrip(),
            pool_size=pool_size,
            max_db_connections=max_db_connections,
        ),
        # A quote in a value is doubled.
        "userlist.txt": "".join(
            '"{}" "{}"\n'.format(name, password.replace('"', '""'))
            for name, password in users.items()
        ),
    }


def valkey(port: int, password: str, machine: Machine) -> Rendered:
    """valkey.conf."""
    quoted = '"{}"'.format(password.replace("\\", "\\\\").replace('"', '\\"'))
    return {
        "valkey.conf": template(
            "valkey.conf", port=port, password=quoted, **valkey_settings(machine)
        )
    }
