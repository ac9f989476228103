"""The embedded stack with its real servers: access, crashes, restarts, changes, a clean stop."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from embedded import processes, sandbox
from embedded.environment import fresh_environment
from embedded.errors import StackError
from embedded.machine import Machine
from embedded.paths import CHECKOUT
from embedded.programs import Kind
from embedded.readiness import accepts
from embedded.stack import Stack

SMALL = Machine(memory=1024**3, cores=2)
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


# ---- the tests' common stack -----------------------------------------------------------------


@pytest.mark.parametrize("program", LOGINS)
def test_every_postgresql_port_lets_its_users_in(stack: Stack, program: str) -> None:
    with login(stack, program) as connection:
        row = connection.execute("SELECT current_database(), current_setting('TimeZone')")
        assert row.fetchone() == (stack.environment[LOGINS[program][3]], "UTC")


@pytest.mark.parametrize("program", LOGINS)
def test_a_wrong_password_is_refused(stack: Stack, program: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"password|SASL authentication"):
        login(stack, program, password="wrong")


@pytest.mark.parametrize("program", LOGINS)
def test_the_superuser_cannot_log_in_over_tcp(stack: Stack, program: str) -> None:
    if program == "timescaledb" and stack.timescale_url:
        pytest.skip("another server's own rules")
    with pytest.raises(psycopg.OperationalError):
        login(stack, program, user="postgres", password="", dbname="postgres")


@pytest.mark.parametrize("program", ["pgbouncer", "pgbouncer-ts"])
def test_the_statistics_user_sees_pools_and_commands_nothing(stack: Stack, program: str) -> None:
    secret = stack.environment["PGBOUNCER_STATS_PASSWORD"]
    parameters = {"user": "pgbouncer_stats", "password": secret, "dbname": "pgbouncer"}
    port = stack.environment[LOGINS[program][0]]
    conninfo = psycopg.conninfo.make_conninfo(host="127.0.0.1", port=port, **parameters)
    connection = psycopg.pq.PGconn.connect(conninfo.encode())
    try:
        # The console speaks the simple protocol only, which psycopg's own cursor does not.
        assert connection.exec_(b"SHOW POOLS").status == psycopg.pq.ExecStatus.TUPLES_OK
        assert connection.exec_(b"PAUSE").status == psycopg.pq.ExecStatus.FATAL_ERROR
    finally:
        connection.finish()


def test_prepared_statements_survive_transaction_pooling(stack: Stack) -> None:
    with login(stack, "pgbouncer", application_name="prepared") as connection:
        connection.prepare_threshold = 0
        for number in range(5):
            assert connection.execute("SELECT %s::int", (number,)).fetchone() == (number,)
            connection.commit()


def test_valkey_asks_for_its_password(stack: Stack) -> None:
    password = stack.environment["VALKEY_PASSWORD"]
    assert valkey(stack, "PING")[0].startswith("-NOAUTH")
    assert valkey(stack, "AUTH wrong")[0].startswith("-WRONGPASS")
    assert valkey(stack, f"AUTH {password}", "PING") == ["+OK", "+PONG"]


def test_servers_listen_on_loopback_only(stack: Stack) -> None:
    ports = {program.port for program in stack.programs}
    listening = set()
    for table in ("tcp", "tcp6"):
        for row in Path("/proc/net", table).read_text().splitlines()[1:]:
            address, _, port = row.split()[1].partition(":")
            if int(port, 16) in ports and row.split()[3] == "0A":
                listening.add(address)
    assert listening == {"0100007F"}


def test_no_command_line_and_no_log_shows_a_password(stack: Stack) -> None:
    secrets = [value for name, value in stack.environment.items() if name.endswith("_PASSWORD")]
    shown = ""
    for pid in processes.of_stack(stack.directory):
        shown += Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    assert "bwrap" in shown
    shown += "".join(log.read_text() for log in (stack.directory / "log").iterdir())
    shown += (stack.directory / "run" / "supervisord.conf").read_text()
    assert not [secret for secret in secrets if secret in shown]


@pytest.mark.parametrize("name", ["postgres", "timescaledb", "pgbouncer", "pgbouncer-ts", "valkey"])
@pytest.mark.parametrize("victim", ["server", "wrapper"])
def test_a_killed_server_comes_back(stack: Stack, name: str, victim: str) -> None:
    if name not in [program.name for program in stack.programs]:
        pytest.skip("not run by this stack")
    program, before = stack.program(name), stack.process(name)
    assert before
    os.kill(before if victim == "server" else stack.supervisor.pids()[name], signal.SIGKILL)
    eventually(lambda: stack.process(name) not in (0, before) and accepts(program))
    if name in LOGINS:
        eventually(lambda: can_log_in(stack, name))
    else:
        assert valkey(stack, "PING")[0].startswith("-NOAUTH")


def test_a_busy_backend_does_not_block_the_restart(stack: Stack) -> None:
    """A backend amid a computation would outlive its killed postmaster and hold its memory."""
    before = stack.process("postgres")
    with closing(login(stack, "postgres")) as connection:
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000000)")
        busy = "SELECT state FROM pg_stat_activity WHERE query ~ '^SELECT count.*series'"
        superuser = stack.superuser("postgres")
        eventually(lambda: superuser.script(busy, {}).strip() == "active")
        os.kill(before, signal.SIGKILL)
        eventually(lambda: can_log_in(stack, "postgres"))
    assert stack.process("postgres") != before


# ---- a stack to stop and to change, in a deep path with a space in it ------------------------


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


def test_start_again_changes_nothing_and_is_quick(own: Stack) -> None:
    own.start(dagster=False)
    before = own.supervisor.pids()
    began = time.monotonic()
    own.start(dagster=False)
    assert time.monotonic() - began < 3
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
