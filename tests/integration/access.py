"""How tests get at the servers of a stack, and wait for them."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable

import psycopg
import requests

from embedded import sandbox
from embedded.stack import Stack

#: Through each port: host and port variable, user, password variable, database variable.
LOGINS = {
    "pgbouncer-ts": ("TIMESCALE_PORT", "collector_user", "COLLECTOR_DB_PASSWORD", "TIMESCALE_DB"),
    "timescaledb": (
        "TIMESCALE_SERVER_PORT",
        "collector_migrator",
        "COLLECTOR_MIGRATOR_PASSWORD",
        "TIMESCALE_DB",
    ),
    "pgbouncer": ("APP_DB_PORT", "stockeasy_collector", "APP_DB_PASSWORD", "APP_DB_NAME"),
    "postgres": ("APP_DB_SERVER_PORT", "dagster", "DAGSTER_DB_PASSWORD", "DAGSTER_DB_NAME"),
}


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def login(stack: Stack, program: str, **changed: str | int) -> psycopg.Connection:
    port, user, password, database = LOGINS[program]
    parameters = {
        "host": stack.environment["TIMESCALE_SERVER_HOST"]
        if program == "timescaledb"
        else "127.0.0.1",
        "port": stack.environment[port],
        "user": user,
        "password": stack.environment[password],
        "dbname": stack.environment[database],
        "connect_timeout": 5,
    }
    return psycopg.connect(**{**parameters, **changed})  # type: ignore[arg-type]


def can_log_in(stack: Stack, program: str) -> bool:
    try:
        with login(stack, program) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def ask(stack: Stack, query: str, **variables: object) -> dict[str, object]:
    """Ask the webserver, as the UI does."""
    url = f"http://127.0.0.1:{stack.environment['DAGSTER_UI_PORT']}/graphql"
    answer = requests.post(url, json={"query": query, "variables": variables}, timeout=60).json()
    assert "errors" not in answer, answer["errors"]
    (content,) = answer["data"].values()
    return content


def valkey(stack: Stack, *commands: str) -> list[str]:
    address = ("127.0.0.1", int(stack.environment["VALKEY_PORT"]))
    with (
        socket.create_connection(address, timeout=5) as connection,
        connection.makefile("rw", newline="\r\n") as stream,
    ):
        answers = []
        for command in commands:
            stream.write(command + "\r\n")
            stream.flush()
            answers.append(stream.readline().strip())
        return answers


def control_data(stack: Stack, name: str) -> str:
    command = ["pg_controldata", "/data/pgdata"]
    result = sandbox.run(stack.root, stack.program(name).directory, command)
    match = re.search(r"cluster state: +(.*)", result.stdout)
    assert match, result.stderr
    return match[1]
