"""A stack: the servers of one directory, and what makes them ready for use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path

from embedded import certificates, migrations, postgresql, processes, sandbox
from embedded.environment import variables
from embedded.errors import StackError
from embedded.locking import exclusive
from embedded.machine import Machine
from embedded.paths import CHECKOUT
from embedded.postgresql import Superuser
from embedded.private_files import write_private
from embedded.programs import Backend, Kind, Program, backend_of, environments, plan
from embedded.readiness import wait_until_ready
from embedded.root import SERVERS, ensure_root
from embedded.rotation import install
from embedded.supervision import Supervisor

Report = Callable[[str], None]

#: Seconds that a clean stop of everything may take.
PATIENCE = 150


def _say(line: str) -> None:
    print(line, flush=True)


def _lock(directory: Path, report: Report) -> AbstractContextManager[None]:
    return exclusive(
        directory / "run" / "stack.lock",
        on_wait=lambda: report("waiting: another up or down is at work here"),
    )


class Stack:
    """The servers whose data is in `directory`, configured by the variables in `environment`.

    `timescale_url` is a superuser's URL of another TimescaleDB server, to be used instead of our
    own; PgBouncer-TS stands in front of it.
    """

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        *,
        timescale_url: str = "",
        sql: Path = CHECKOUT / "sql",
        root: Path | None = None,
        machine: Machine | None = None,
        report: Report = _say,
    ) -> None:
        self.directory = directory.absolute()
        self.timescale_url = timescale_url
        self.sql = sql
        self.root = root or ensure_root(SERVERS)
        self.report = report
        self.environment = {
            **environment,
            "DAGSTER_STORAGE_DIR": str(self.directory / "dagster"),
            # dagster.yaml forbids it already, yet the webserver would make folders for it.
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }
        self.supervisor = Supervisor(self.directory)
        self._backend: Backend | None = None
        if timescale_url:
            self._backend, where = backend_of(timescale_url)
            self.environment |= where
        self.programs = plan(
            self.directory,
            self.root,
            self.environment,
            machine or Machine.detect(),
            timescale=self._backend,
        )

    # ---- start and stop ----------------------------------------------------------------------

    def start(self, dagster: bool = True) -> None:
        """Bring everything up, without Dagster's programs if so asked. Safe to repeat: what runs
        and has not changed is left alone."""
        programs = [program for program in self.programs if dagster or not program.kind.is_dagster]
        servers = [program for program in programs if not program.kind.is_dagster]
        with _lock(self.directory, self.report):
            self._clear_strays()
            self._check_ports(programs)
            self._configure(programs)
            if self.supervisor.is_running():
                # What changed is stopped here and started below, in order.
                self.supervisor.reload()
            else:
                self.report("starting the servers")
                self.supervisor.launch(self._inherited())
                self.supervisor.reload()
            for kind in (Kind.POSTGRESQL, Kind.VALKEY, Kind.PGBOUNCER):
                self.supervisor.start([server.name for server in servers if server.kind is kind])
            wait_until_ready(servers, self.supervisor, self.report)
            self.bootstrap()
            for line in migrations.up(self.environment, self.sql):
                self.report(line)
            if dagster:
                self._start_dagster([program for program in programs if program.kind.is_dagster])

    def stop(self) -> None:
        """Stop everything cleanly and wait until it is gone."""
        self.stop_directory(self.directory, self.report)

    @staticmethod
    def stop_directory(directory: Path, report: Report = _say) -> bool:
        """Stop whatever runs for the stack in `directory`, in the reverse order of its start, and
        wait until it is gone. Returns whether anything ran; needs no configuration."""
        if not directory.exists():
            return False
        with _lock(directory, report):
            if not processes.of_stack(directory):
                return False
            report("stopping")
            # The longest clean stop is a server's last checkpoint.
            remaining = Supervisor(directory).shut_down(PATIENCE)
        if remaining:
            names = ", ".join(processes.describe(pid) for pid in remaining)
            raise StackError(f"still running after {PATIENCE} s: {names}; end them by hand")
        return True

    def renew_certificates(self, *, new_authority: bool = False) -> list[Program]:
        """Make every server's certificate anew, at the authority's hand or a new one's. Running
        servers show theirs when this returns. Returns those that have another one now."""
        with _lock(self.directory, self.report):
            return self._certify(anew=True, new_authority=new_authority)

    def is_running(self) -> bool:
        """Whether anything of the stack runs."""
        return bool(processes.of_stack(self.directory))

    # ---- what tests and people ask for -------------------------------------------------------

    def program(self, name: str) -> Program:
        """The program called `name`."""
        for program in self.programs:
            if program.name == name:
                return program
        known = ", ".join(program.name for program in self.programs)
        raise StackError(f"this stack has no program {name!r}; it has {known}")

    def process(self, name: str) -> int:
        """Process id on this machine of the server itself, not of its wrapper; 0: not running."""
        wrapper = self.supervisor.pids()[name]
        if not wrapper or self.program(name).kind.is_dagster:
            return wrapper
        # wrapper → bwrap → server
        for bwrap in processes.children(wrapper):
            for server in processes.children(bwrap):
                return server
        return 0

    def superuser(self, name: str = "timescaledb") -> Superuser:
        """psql as superuser on the server `postgres` or `timescaledb`."""
        if name == "timescaledb" and self.timescale_url:
            return Superuser(self.root, self.directory / "pgbouncer-ts", 0, self.timescale_url)
        program = self.program(name)
        return Superuser(self.root, program.directory, program.port or 0)

    def bootstrap(self) -> None:
        """Make roles, databases and extensions on the servers we are superuser of; repeatable."""
        names = [program.name for program in self.programs if program.kind is Kind.POSTGRESQL]
        if self.timescale_url:
            names.append("timescaledb")
        for name in names:
            superuser = self.superuser(name)
            for script in ("pgbouncer.sql", f"{name}.sql"):
                file = self.sql / "bootstrap" / script
                try:
                    superuser.script(file.read_text(encoding="utf-8"), self.environment)
                except StackError as error:
                    raise StackError(f"bootstrap {file} failed on {name}: {error}") from None

    # ---- steps -------------------------------------------------------------------------------

    def _clear_strays(self) -> None:
        if self.supervisor.is_running() or not self.supervisor.terminate_strays():
            return
        self.report("stopping what an earlier supervisor left behind")
        if remaining := processes.wait_until_gone(self.directory, PATIENCE):
            names = ", ".join(processes.describe(pid) for pid in remaining)
            raise StackError(f"left over from an earlier start: {names}; end them by hand")

    def _check_ports(self, programs: list[Program]) -> None:
        owners: dict[int, str] = {}
        for program in programs:
            if program.port is None:
                continue
            if program.port in owners:
                raise StackError(
                    f"{owners[program.port]} and {program.variable} are both {program.port}: "
                    "give one of them another port in .env"
                )
            owners[program.port] = program.variable
        own: set[int] | None = None
        for port, variable in owners.items():
            if processes.is_free(port):
                continue
            own = set(processes.of_stack(self.directory)) if own is None else own
            # What was killed just now may hold its port for a moment longer, by a child that
            # nothing tells to be the stack's once its parent is gone.
            holder = processes.listener(port)
            if holder in own or processes.becomes_free(port, 5):
                continue
            who = processes.describe(holder) if holder else "another program"
            raise StackError(
                f"port {port} is in use by {who}; set {variable} in .env to a free one"
            )

    def _configure(self, programs: list[Program]) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        for folder in ("run", "log"):
            (self.directory / folder).mkdir(exist_ok=True)
        if not all((program.directory / "pgdata").exists() for program in self._postgresql()):
            sandbox.check(self.root)
        for program in programs:
            program.directory.mkdir(exist_ok=True)
            # While a server runs its data directory exists, so this does nothing to it.
            if program.kind is Kind.POSTGRESQL and postgresql.initialise(self.root, program):
                self.report(f"initialised {program.name}")
            for name, content in program.files.items():
                write_private(program.directory / name, content)
        self._certify()
        for name, visible in environments(self.environment).items():
            write_private(self.directory / "run" / f"{name}.json", json.dumps(visible))
        self.supervisor.write(programs)

    def _certify(self, *, anew: bool = False, new_authority: bool = False) -> list[Program]:
        """Give every server its certificate, running ones too; returns those that got one."""
        servers = [program for program in self.programs if program.kind.has_certificate]
        known = self.supervisor.pids() if self.supervisor.is_running() else {}
        issued = certificates.issue(
            self.directory,
            self.environment,
            [server.name for server in servers],
            anew=anew,
            new_authority=new_authority,
        )
        return install(servers, issued, lambda name: self.process(name) if name in known else 0)

    def _postgresql(self) -> list[Program]:
        return [program for program in self.programs if program.kind is Kind.POSTGRESQL]

    def _inherited(self) -> dict[str, str]:
        """supervisord's environment: ours (proxies, certificates), but nothing .env decides."""
        example = CHECKOUT / ".env.example"
        decided = {*variables(example.read_text(encoding="utf-8")), *self.environment}
        kept = {
            name: value
            for name, value in os.environ.items()
            # libpq reads PG* and would follow them to other servers.
            if name not in decided and not name.startswith("PG")
        }
        return {**kept, processes.MARKER: str(self.directory)}

    def _start_dagster(self, programs: list[Program]) -> None:
        self._migrate_dagster()
        self.supervisor.start([program.name for program in programs])
        if not all(self._is_up(program) for program in programs):
            self.report("starting Dagster")
        wait_until_ready(programs, self.supervisor, self.report)

    def _is_up(self, program: Program) -> bool:
        return self.supervisor.states().get(program.name) == "RUNNING"

    def _migrate_dagster(self) -> None:
        """Bring Dagster's own tables to its version: once per version and database, it is slow."""
        stamp = self.directory / "run" / "dagster-migrated"
        names = ("APP_DB_HOST", "APP_DB_PORT", "DAGSTER_DB_NAME")
        state = " ".join([version("dagster"), *(self.environment[name] for name in names)])
        if stamp.exists() and stamp.read_text(encoding="utf-8") == state:
            return
        self.report("preparing Dagster's storage")
        result = subprocess.run(
            [sys.executable, "-P", "-m", "dagster", "instance", "migrate"],
            env={**self._inherited(), **environments(self.environment)["environment"]},
            cwd=self.directory / "dagster",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise StackError(f"dagster instance migrate failed: {result.stderr.strip()[-1500:]}")
        write_private(stamp, state)
