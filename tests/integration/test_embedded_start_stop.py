"""A stack to stop and to change, in a deep path with a space in it."""

from __future__ import annotations

import os
import re
import signal
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from embedded import processes
from embedded.environment import fresh_environment
from embedded.errors import StackError
from embedded.machine import Machine
from embedded.paths import CHECKOUT
from embedded.programs import Kind
from embedded.stack import Stack
from tests.integration.access import can_log_in, control_data, login

SMALL = Machine(memory=1024**3, cores=2)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, free_stack: Callable[[Path], Stack]) -> Stack:
    directory = tmp_path_factory.mktemp("own stack") / ("deep" * 15) / ("deeper" * 10)
    return free_stack(directory)


@pytest.fixture(scope="module")
def free_stack(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Stack]]:
    """Makes stacks on free ports, with embedded servers whatever pytest's option says."""
    made: list[Stack] = []

    def make(directory: Path, **changed: str) -> Stack:
        directory.mkdir(parents=True)
        ports = dict(_free_port_variables())
        environment = fresh_environment(CHECKOUT, directory, {**ports, **changed})
        made.append(Stack(directory, environment, machine=SMALL))
        return made[-1]

    yield make
    for stack in made:
        Stack.stop_directory(stack.directory)


def _free_port_variables() -> Iterator[tuple[str, str]]:
    example = (CHECKOUT / ".env.example").read_text()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        start = 20000 + probe.getsockname()[1] % 10000
    free = (port for port in range(start, 32000) if processes.is_free(port))
    for name in re.findall(r"^(\w+_PORT)=", example, re.MULTILINE):
        yield name, str(next(free))


def changed(stack: Stack, **variables: str) -> Stack:
    return Stack(stack.directory, {**stack.environment, **variables}, machine=SMALL)


def test_stop_is_clean_and_the_next_start_recovers_nothing(own: Stack) -> None:
    own.start(dagster=False)
    assert own.is_running()
    # A client that never leaves holds up neither the pooler nor the server.
    with closing(login(own, "pgbouncer-ts")) as lasting:
        lasting.execute("SELECT 1")
        own.stop()
        assert processes.of_stack(own.directory) == []
    for name in ("postgres", "timescaledb"):
        assert control_data(own, name) == "shut down"
        own.program(name).log.unlink()
    own.start(dagster=False)
    for name in ("postgres", "timescaledb"):
        log = own.program(name).log.read_text()
        assert "database system was shut down at" in log
        assert "recovery" not in log
        assert "interrupted" not in log


def test_start_again_changes_nothing(own: Stack) -> None:
    own.start(dagster=False)
    before = own.supervisor.pids()
    own.start(dagster=False)
    assert own.supervisor.pids() == before


def test_a_changed_port_and_password_are_taken_over(own: Stack) -> None:
    own.start(dagster=False)
    before = own.supervisor.pids()
    port = dict(_free_port_variables())["VALKEY_PORT"]
    new = changed(own, APP_DB_PORT=port, APP_DB_PASSWORD='it\'s "new" $1 %s')
    new.start(dagster=False)
    after = new.supervisor.pids()
    assert [name for name in after if after[name] != before[name]] == ["pgbouncer"]
    assert can_log_in(new, "pgbouncer")
    with pytest.raises(psycopg.OperationalError):
        login(new, "pgbouncer", password=own.environment["APP_DB_PASSWORD"])
    own.start(dagster=False)
    assert can_log_in(own, "pgbouncer")


def test_a_busy_port_is_named_before_anything_starts(
    free_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        stack = free_stack(tmp_path / "busy", TIMESCALE_SERVER_PORT=str(port))
        with pytest.raises(StackError) as error:
            stack.start(dagster=False)
    assert f"port {port} is in use by" in str(error.value)
    assert f"process {os.getpid()}" in str(error.value)
    assert "set TIMESCALE_SERVER_PORT in .env" in str(error.value)
    assert not stack.is_running()


def test_one_port_for_two_servers_is_refused(own: Stack) -> None:
    twice = changed(own, VALKEY_PORT=own.environment["APP_DB_PORT"])
    with pytest.raises(StackError, match=r"(APP_DB|VALKEY)_PORT and (APP_DB|VALKEY)_PORT"):
        twice.start(dagster=False)


def test_a_killed_supervisor_leaves_clean_data_and_start_goes_on(own: Stack) -> None:
    own.start(dagster=False)
    supervisor = own.supervisor.pid()
    assert supervisor
    os.kill(supervisor, signal.SIGKILL)
    # The wrappers hear of its death and stop their servers as usual, while we start again.
    own.program("timescaledb").log.unlink()
    own.start(dagster=False)
    assert can_log_in(own, "pgbouncer-ts")
    log = own.program("timescaledb").log.read_text()
    assert "database system was shut down at" in log
    assert "recovery" not in log


def test_a_server_that_cannot_start_is_named_with_the_end_of_its_log(own: Stack) -> None:
    own.stop()
    version = own.program("postgres").directory / "pgdata" / "PG_VERSION"
    version.write_text("9.6\n")
    try:
        with pytest.raises(StackError) as error:
            own.start(dagster=False)
    finally:
        version.write_text("17\n")
    text = str(error.value)
    assert text.startswith("postgres does not stay up")
    assert str(own.program("postgres").log) in text
    assert "incompatible with server" in text
    own.start(dagster=False)
    assert can_log_in(own, "postgres")


def test_dagster_runs_and_leaves_nothing_behind(own: Stack) -> None:
    before = set(CHECKOUT.iterdir())
    own.start()
    try:
        dagster = [program for program in own.programs if program.kind.is_dagster]
        assert {own.supervisor.states()[program.name] for program in dagster} == {"RUNNING"}
        webserver = next(program for program in dagster if program.kind is Kind.WEBSERVER)
        with urllib.request.urlopen(f"{webserver.address}/server_info", timeout=10) as answer:  # noqa: S310
            assert answer.status == 200
    finally:
        own.stop()
    assert processes.of_stack(own.directory) == []
    litter = {path.name for path in set(CHECKOUT.iterdir()) - before}
    assert not litter & {"storage", "logs", ".logs_queue", ".telemetry", ".nux", "history"}
