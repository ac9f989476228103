from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from embedded.stack import Stack
from tests.integration.privileges.roles import APPLICATION, TIMESCALE

_LOOKS_UP = "PGBOUNCER_AUTH_PASSWORD"

LogIn = Callable[..., psycopg.Connection]


@pytest.fixture
def log_in(stack: Stack) -> LogIn:
    """Connect straight to a server: as whom, and to which database (default: the role's own)."""
    variables = {"TIMESCALE_DB", "APP_DB_NAME", "DAGSTER_DB_NAME"}

    def log_in(role: str, database: str | None = None, server: str | None = None, **more: Any):
        if server is None:
            server = "TIMESCALE" if role in TIMESCALE else "APP_DB"
        own = "TIMESCALE_DB" if server == "TIMESCALE" else "APP_DB_NAME"
        own = "DAGSTER_DB_NAME" if role == "dagster" else own
        password = {**TIMESCALE, **APPLICATION}.get(role, _LOOKS_UP)
        name = database or own
        return psycopg.connect(
            host=stack.environment[f"{server}_SERVER_HOST"],
            port=stack.environment[f"{server}_SERVER_PORT"],
            user=role,
            password=stack.environment[password],
            dbname=stack.environment[name] if name in variables else name,
            sslmode=stack.environment[f"{server}_SERVER_SSLMODE"] or "prefer",
            sslrootcert=stack.environment[f"{server}_SERVER_SSLROOTCERT"] or None,
            connect_timeout=10,
            **more,
        )

    return log_in
