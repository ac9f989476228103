"""The programs of the stack: what each is called, where it listens, and how it is run."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from embedded.configuration import Rendered, pgbouncer, postgresql, valkey
from embedded.errors import StackError
from embedded.machine import Machine
from embedded.paths import CHECKOUT


class Kind(Enum):
    """What a program speaks, and when in the order it starts; it stops in the reverse order."""

    POSTGRESQL = 10
    VALKEY = 11
    PGBOUNCER = 20
    WEBSERVER = 30
    DAEMON = 31
    METRICS = 32

    @property
    def has_certificate(self) -> bool:
        """What speaks PostgreSQL's protocol speaks it encrypted."""
        return self in (Kind.POSTGRESQL, Kind.PGBOUNCER)

    @property
    def is_dagster(self) -> bool:
        """Dagster's own programs, and what measures, start last: they need the tables."""
        return self in (Kind.WEBSERVER, Kind.DAEMON, Kind.METRICS)


@dataclass(frozen=True)
class Backend:
    """The server a PgBouncer stands in front of."""

    host: str
    port: int
    sslmode: str = "verify-full"
    #: Whom it trusts to vouch for the server: the contents of a file; empty: as clients do.
    authorities: str = ""


def backend_of(url: str) -> tuple[Backend, dict[str, str]]:
    """Another TimescaleDB server by its URL, and the variables that lead migrations to it."""
    said = conninfo_to_dict(url)
    host, port = str(said.get("host", "127.0.0.1")), str(said.get("port", 5432))
    mode, file = str(said.get("sslmode", "")), str(said.get("sslrootcert", ""))
    authorities = Path(file).read_text(encoding="utf-8") if file else ""
    return Backend(host, int(port), mode or "prefer", authorities), {
        "TIMESCALE_SERVER_HOST": host,
        "TIMESCALE_SERVER_PORT": port,
        "TIMESCALE_SERVER_SSLMODE": mode,
        "TIMESCALE_SERVER_SSLROOTCERT": file,
    }


@dataclass(frozen=True)
class Program:
    """One program under supervision."""

    name: str
    kind: Kind
    command: tuple[str, ...]
    #: Its directory below the stack's; what runs in the sandbox sees it as /data.
    directory: Path
    log: Path
    port: int | None = None
    #: The variable in .env that moves the port.
    variable: str = ""
    files: Rendered = field(default_factory=dict)
    #: How long its clean stop may take, in seconds.
    patience: int = 20
    #: Whom it trusts, where those are others than clients trust.
    authorities: str = ""

    @property
    def address(self) -> str:
        """Where it listens, for people."""
        if self.kind is Kind.WEBSERVER:
            return f"http://127.0.0.1:{self.port}"
        if self.kind is Kind.METRICS:
            return f"http://127.0.0.1:{self.port}/metrics"
        return f"127.0.0.1:{self.port}" if self.port else ""

    def fingerprint(self) -> str:
        """Changes whenever the program must be restarted to be up to date."""
        content = json.dumps([self.command, sorted(self.files.items())])
        return hashlib.sha256(content.encode()).hexdigest()[:16]


def port_of(environment: Mapping[str, str], variable: str) -> int:
    """The port a variable names."""
    text = environment.get(variable, "")
    if not (text.isdigit() and 0 < int(text) < 65536):
        raise StackError(f"{variable}={text!r} is no port number: set it in .env to 1 … 65535")
    return int(text)


def is_embedded(environment: Mapping[str, str], variable: str) -> bool:
    """Whether we run a server ourselves (`yes`, the default) or an existing one is used (`no`)."""
    answer = environment.get(variable) or "yes"
    if answer not in ("yes", "no"):
        raise StackError(f"{variable}={answer!r} is neither yes nor no: set it in .env")
    return answer == "yes"


#: Secrets of the servers and of people: no program of Dagster's has them.
NOT_DAGSTERS = (
    "PGBOUNCER_AUTH_PASSWORD",
    "VALKEY_PASSWORD",
    "APP_DB_MIGRATOR_PASSWORD",
    "APP_DB_READER_PASSWORD",
    "APP_DB_APPLICATION_PASSWORD",
    "COLLECTOR_MIGRATOR_PASSWORD",
    "COLLECTOR_READER_PASSWORD",
    "TIMESCALE_SUPERUSER_PASSWORD",
    "GRAFANA_PASSWORD",
    "POSTGRES_SUPERUSER_PASSWORD",
)


def dagster_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the stack's environment Dagster's programs, and so every run, get to see."""
    return {name: value for name, value in environment.items() if name not in NOT_DAGSTERS}


#: All secrets of who measures.
_MONITORS = ("COLLECTOR_MONITOR_PASSWORD", "APP_DB_MONITOR_PASSWORD", "PGBOUNCER_STATS_PASSWORD")


def metrics_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What of the stack's environment the program `metrics` gets to see."""
    return {
        name: value
        for name, value in environment.items()
        if name in _MONITORS or not name.endswith(("_PASSWORD", "_WEBHOOK_URL"))
    }


def environments(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The files below run/ that our programs start with, by their names without .json."""
    metrics = metrics_environment(environment)
    return {"environment": dagster_environment(environment), "metrics": metrics}


def _require_encryption(environment: Mapping[str, str], *prefixes: str) -> None:
    for variable in (f"{prefix}_SSLMODE" for prefix in prefixes):
        if environment.get(variable) == "disable":
            raise StackError(
                f"{variable}=disable, but the embedded servers take encrypted connections only: "
                "delete that line in .env"
            )


def plan(
    directory: Path,
    root: Path,
    environment: Mapping[str, str],
    machine: Machine,
    *,
    timescale: Backend | None = None,
) -> list[Program]:
    """All programs that belong to the stack, in the order in which they start.

    `timescale` puts another TimescaleDB server behind PgBouncer-TS instead of our own.
    """

    def sandboxed(name: str, kind: Kind, variable: str, files: Rendered, *argv: str) -> Program:
        home = directory / name
        stop = "SIGTERM" if kind is Kind.VALKEY else "SIGINT"
        # fmt: off
        wrapper = (
            # -P: the working directory is none of Python's business.
            sys.executable, "-P", "-m", "embedded.foreground",
            "--root", str(root), "--data", str(home), "--stop-signal", stop, "--",
        )
        # fmt: on
        return Program(
            name=name,
            kind=kind,
            command=(*wrapper, *argv),
            directory=home,
            log=directory / "log" / f"{name}.log",
            port=port_of(environment, variable),
            variable=variable,
            files=files,
            # A fast shutdown still writes a checkpoint.
            patience=90 if kind is Kind.POSTGRESQL else 20,
        )

    def postgres(name: str, variable: str) -> Program:
        files = postgresql(name, port_of(environment, variable), machine)
        config = "config_file=/data/postgresql.conf"
        return sandboxed(name, Kind.POSTGRESQL, variable, files, "postgres", "-c", config)

    def pooler(
        name: str, variable: str, mode: str, backend: Backend, databases: list[str]
    ) -> Program:
        port = port_of(environment, variable)
        files = pgbouncer(
            mode, port, backend.host, backend.port, backend.sslmode, databases, environment
        )
        ini = "/data/pgbouncer.ini"
        program = sandboxed(name, Kind.PGBOUNCER, variable, files, "pgbouncer", ini)
        return replace(program, authorities=backend.authorities)

    programs = []
    local = "127.0.0.1"
    if is_embedded(environment, "EMBEDDED_POSTGRES"):
        _require_encryption(environment, "APP_DB", "APP_DB_SERVER")
        backend = Backend(local, port_of(environment, "APP_DB_SERVER_PORT"))
        names = [environment["APP_DB_NAME"], environment["DAGSTER_DB_NAME"]]
        programs += [
            postgres("postgres", "APP_DB_SERVER_PORT"),
            pooler("pgbouncer", "APP_DB_PORT", "transaction", backend, names),
        ]
    if timescale is None and is_embedded(environment, "EMBEDDED_TIMESCALEDB"):
        _require_encryption(environment, "TIMESCALE", "TIMESCALE_SERVER")
        programs.append(postgres("timescaledb", "TIMESCALE_SERVER_PORT"))
        timescale = Backend(local, port_of(environment, "TIMESCALE_SERVER_PORT"))
    if timescale is not None:
        names = [environment["TIMESCALE_DB"]]
        programs.append(pooler("pgbouncer-ts", "TIMESCALE_PORT", "session", timescale, names))
    files = valkey(port_of(environment, "VALKEY_PORT"), environment["VALKEY_PASSWORD"], machine)
    programs.append(
        sandboxed("valkey", Kind.VALKEY, "VALKEY_PORT", files, "valkey-server", "/data/valkey.conf")
    )
    programs += [*_dagster(directory, environment), _metrics(directory, environment)]
    return sorted(programs, key=lambda program: program.kind.value)


def _launcher(
    directory: Path, environment: Mapping[str, str], name: str, *configuration: str
) -> tuple[str, ...]:
    """Starts a program of ours; other variables, configuration or packages mean a restart."""
    decisive = json.dumps(sorted(environments(environment)[name].items())).encode()
    for file in (*configuration, "requirements.lock"):
        decisive += (CHECKOUT / file).read_bytes()
    # fmt: off
    return (
        sys.executable, "-P", "-m", "embedded.with_environment",
        str(directory / "run" / f"{name}.json"), hashlib.sha256(decisive).hexdigest()[:16], "--",
    )
    # fmt: on


def _dagster(directory: Path, environment: Mapping[str, str]) -> list[Program]:
    port = port_of(environment, "DAGSTER_UI_PORT")
    workspace = str(CHECKOUT / "workspace.yaml")
    launcher = _launcher(directory, environment, "environment", "dagster.yaml", "workspace.yaml")
    # fmt: off
    # By module, not by script: a script's first line cannot name an interpreter in a long path.
    webserver = (
        sys.executable, "-P", "-m", "dagster_webserver",
        "--host", "127.0.0.1", "--port", str(port), "--workspace", workspace,
    )
    daemon = (sys.executable, "-P", "-m", "dagster._daemon", "run", "--workspace", workspace)
    # fmt: on
    home, log = directory / "dagster", directory / "log"
    return [
        Program(
            name="dagster-webserver",
            kind=Kind.WEBSERVER,
            command=(*launcher, *webserver),
            directory=home,
            log=log / "dagster-webserver.log",
            port=port,
            variable="DAGSTER_UI_PORT",
        ),
        Program(
            name="dagster-daemon",
            kind=Kind.DAEMON,
            command=(*launcher, *daemon),
            directory=home,
            log=log / "dagster-daemon.log",
        ),
    ]


def _metrics(directory: Path, environment: Mapping[str, str]) -> Program:
    endpoint = (sys.executable, "-P", "-m", "resources.measurements.endpoint")
    return Program(
        name="metrics",
        kind=Kind.METRICS,
        command=(*_launcher(directory, environment, "metrics"), *endpoint),
        directory=directory / "metrics",
        log=directory / "log" / "metrics.log",
        port=port_of(environment, "METRICS_PORT"),
        variable="METRICS_PORT",
    )
