"""The sources that the environment names: both servers, both poolers, Dagster's storage, the
machine."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from resources.calendar import KrxCalendar, krx_calendar, seoul_now
from resources.databases import DatabaseError
from resources.freshness import Watched, due_session
from resources.measurements import Add, Source
from resources.measurements.logins import (
    ApplicationConsole,
    ApplicationMonitor,
    DagsterMonitor,
    Monitor,
    TimescaleConsole,
    TimescaleMonitor,
)
from resources.measurements.machine import ask_machine
from resources.settings import MarketSettings
from resources.statements import statement

if TYPE_CHECKING:
    import psycopg

_Step = Callable[["psycopg.Connection", Add], None]

TIMESCALE, APPLICATION = "timescaledb", "postgres"
_CLIENTS = {"cl_active": "active", "cl_waiting": "waiting"}
_SERVERS = {"sv_active": "active", "sv_idle": "idle", "sv_used": "used", "sv_login": "login"}
_STATS = {
    "total_xact_count": ("transactions_total", 1),
    "total_received": ("received_bytes_total", 1),
    "total_sent": ("sent_bytes_total", 1),
    "total_wait_time": ("waited_seconds_total", 1e-6),
}


def sources(environment: Mapping[str, str], settings: MarketSettings) -> list[Source]:
    """All of them. Raises KeyError for a variable that ``environment`` lacks."""
    timescale = TimescaleMonitor.from_environment(environment)
    application = ApplicationMonitor.from_environment(environment)
    steps: list[tuple[str, Monitor, list[_Step]]] = [
        (
            TIMESCALE,
            timescale,
            [
                *_of_server(TIMESCALE),
                _rows("monitoring/chunks"),
                _rows("monitoring/compression"),
                _rows("monitoring/statements", TIMESCALE),
                _rows("monitoring/checks"),
                _lags("timescaledb", settings),
            ],
        ),
        (
            APPLICATION,
            application,
            [
                *_of_server(APPLICATION),
                _rows("monitoring/statements", APPLICATION),
                _lags("application_database", settings),
            ],
        ),
        ("dagster", DagsterMonitor.from_environment(environment), [_rows("monitoring/dagster")]),
    ]
    steps += [
        (name, console, [_pools(name), _stats(name)])
        for name, console in (
            ("pgbouncer-ts", TimescaleConsole.from_environment(environment)),
            ("pgbouncer", ApplicationConsole.from_environment(environment)),
        )
    ]
    return [
        *(Source(name, _asking(login, todo)) for name, login, todo in steps),
        Source("machine", lambda add: ask_machine(environment, settings, add)),
    ]


def _asking(login: Monitor, steps: Sequence[_Step]) -> Callable[[Add], list[str]]:
    def ask(add: Add) -> list[str]:
        problems: list[str] = []
        with login.connect() as connection:
            for step in steps:
                try:
                    step(connection, add)
                except Exception as error:
                    # Without a connection there is no next step.
                    if connection.closed:
                        raise
                    problems.append(" ".join(str(error).split()))
        return problems

    return ask


def _of_server(server: str) -> list[_Step]:
    def clock(connection: "psycopg.Connection", add: Add) -> None:
        before = time.time()
        row = connection.execute(statement("monitoring/clock")).fetchone()
        if row is None:
            raise DatabaseError(f"{server} does not say what time it is")
        # It was read somewhere between our two looks.
        add("clock_offset_seconds", [server], row[0] - (before + time.time()) / 2)

    return [clock, _rows("monitoring/server", server)]


def _rows(name: str, *parameters: str) -> _Step:
    """What a statement gives: a quantity's name, its labels, and the number."""

    def step(connection: "psycopg.Connection", add: Add) -> None:
        for quantity, labels, value in connection.execute(statement(name), parameters or None):
            if value is not None:
                add(quantity, labels, value)

    return step


def _lags(database: str, settings: MarketSettings) -> _Step:
    """How far the newest session that is there is behind the newest that is due (``freshness``),
    of all that this database's ledger knows of."""
    watched = [one for one in Watched if one.database == database]

    def step(connection: "psycopg.Connection", add: Add) -> None:
        now, calendar = seoul_now(), krx_calendar()
        for one in watched:
            kind = "refreshed" if one.is_aggregate else "loaded"
            query = statement(f"freshness/newest_{kind}_session")
            (newest,) = connection.execute(query, [one.value]).fetchone() or (None,)
            due = due_session(one, calendar, settings, now)
            first = settings.first_session(one.dataset, now.date())
            add("sessions_behind", [one.value], sessions_behind(calendar, newest, due, first))

    return step


def sessions_behind(
    calendar: KrxCalendar, newest: date | None, due: date | None, first: date
) -> int:
    """Sessions up to ``due`` that are newer than ``newest`` (none: from the ``first`` on)."""
    if due is None:
        return 0
    begin = first if newest is None else newest + timedelta(days=1)
    return sum(begin <= session <= due for session in calendar.sessions)


def _pools(pooler: str) -> _Step:
    def step(connection: "psycopg.Connection", add: Add) -> None:
        waiting = in_use = 0
        longest = 0.0
        for pool in _shown(connection, "POOLS"):
            if pool["database"] == "pgbouncer":
                continue
            of = [pooler, str(pool["database"]), str(pool["user"])]
            for column, state in _CLIENTS.items():
                add("pool_clients", [*of, state], float(str(pool[column])))
            for column, state in _SERVERS.items():
                add("pool_servers", [*of, state], float(str(pool[column])))
            waiting += int(str(pool["cl_waiting"]))
            in_use += int(str(pool["sv_active"]))
            longest = max(longest, int(str(pool["maxwait"])) + int(str(pool["maxwait_us"])) / 1e6)
        add("clients_waiting", [pooler], waiting)
        add("servers_in_use", [pooler], in_use)
        add("longest_wait_seconds", [pooler], longest)

    return step


def _stats(pooler: str) -> _Step:
    def step(connection: "psycopg.Connection", add: Add) -> None:
        databases = [row for row in _shown(connection, "STATS") if row["database"] != "pgbouncer"]
        for column, (quantity, factor) in _STATS.items():
            total = sum(int(str(row[column])) for row in databases)
            add(quantity, [pooler], total * factor)

    return step


def _shown(connection: "psycopg.Connection", what: str) -> list[dict[str, object]]:
    cursor = connection.execute(f"SHOW {what}".encode())
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]
