"""supervisord for one stack: its configuration, its control socket, and what we ask of it."""

from __future__ import annotations

import configparser
import hashlib
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport  # type: ignore[import-untyped]

from embedded import processes
from embedded.configuration import template
from embedded.errors import StackError
from embedded.paths import CHECKOUT
from embedded.private_files import write_private
from embedded.programs import Program

STOPPED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


class Supervisor:
    """The supervisord of the stack in `directory`, running or not."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configuration = directory / "run" / "supervisord.conf"
        self.pid_file = directory / "run" / "supervisord.pid"

    # ---- its state ---------------------------------------------------------------------------

    def pid(self) -> int | None:
        """Process id of the running supervisord, or None."""
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        # After a reboot the number may be another program's.
        return pid if pid in processes.of_stack(self.directory) else None

    def is_running(self) -> bool:
        """Whether it runs and answers."""
        path = self._socket()
        if path is None:
            return False
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                return False
        return True

    def states(self) -> dict[str, str]:
        """State name of every program it knows, e.g. RUNNING."""
        return {row["name"]: row["statename"] for row in self._rows("getAllProcessInfo")}

    def pids(self) -> dict[str, int]:
        """Process id of every program it knows, of its wrapper that is; 0: not running."""
        return {row["name"]: row["pid"] for row in self._rows("getAllProcessInfo")}

    # ---- what it does ------------------------------------------------------------------------

    def write(self, programs: Iterable[Program]) -> None:
        """Write its configuration; a running one takes it over by `reload`."""
        log = self.directory / "log"
        text = template(
            "supervisord.conf",
            run=_escape(str(self.directory / "run")),
            log=_escape(str(log)),
            socket=_escape(str(self._socket() or _new_socket(self.directory))),
            # Says that it is meant; otherwise it warns.
            user="user = root" if os.geteuid() == 0 else "",
        )
        for program in programs:
            text += template(
                "program.conf",
                name=program.name,
                command=_escape(shlex.join(program.command)),
                directory=_escape(str(program.directory)),
                fingerprint=program.fingerprint(),
                stop_seconds=program.patience,
                # Wrappers pass the stop on themselves; Dagster's children must hear it too.
                as_group=str(program.kind.is_dagster).lower(),
                priority=program.kind.value,
                log=_escape(str(program.log)),
            )
        write_private(self.configuration, text)

    def launch(self, inherited: dict[str, str]) -> None:
        """Start supervisord in the background, with no program running yet."""
        _private_directory((self._socket() or _new_socket(self.directory)).parent)
        result = subprocess.run(
            [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(self.configuration)],
            env={**inherited, "PYTHONPATH": _python_path(inherited)},
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise StackError(f"supervisord did not start: {result.stderr.strip()[-600:]}")

    def reload(self) -> list[str]:
        """Take the written configuration over. Programs that are gone or changed are stopped;
        returns the names of the new and the changed ones, which are stopped now."""
        result: Any = self._call("reloadConfig")
        added, changed, removed = result[0]
        # The last to start is the first to stop.
        order: dict[str, int] = {
            row["name"]: row["group_prio"] for row in self._rows("getAllConfigInfo")
        }
        for name in sorted([*changed, *removed], key=lambda name: -order.get(name, 99)):
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in [*changed, *added]:
            self._call("addProcessGroup", name)
        return [*changed, *added]

    def start(self, names: Sequence[str]) -> None:
        """Start those of the programs that do not run."""
        states = self.states()
        for name in names:
            if states[name] in STOPPED:
                self._call("startProcess", name, False)

    def shut_down(self, seconds: float) -> list[int]:
        """Stop everything, in reverse order of priority, and supervisord itself. Returns the
        process ids that remain after `seconds`."""
        if self.is_running():
            self._call("shutdown")
        else:
            # Without its socket supervisord understands this signal; without supervisord, every
            # wrapper does.
            self.terminate_strays()
        # supervisord looks at its children once a second, and whenever somebody connects.
        return processes.wait_until_gone(self.directory, seconds, meanwhile=self.is_running)

    def terminate_strays(self) -> bool:
        """Ask what a dead or deaf supervisord has left to end; whether there was anything."""
        # Never what is below a wrapper: bwrap would take its server with it, without a clean stop.
        strays = processes.topmost(self.directory)
        for stray in strays:
            try:
                os.kill(stray, signal.SIGTERM)
            except ProcessLookupError:
                continue
        return bool(strays)

    # ---- how it is reached -------------------------------------------------------------------

    def _socket(self) -> Path | None:
        """The control socket as configured; the temporary directory may be another one today."""
        parser = configparser.RawConfigParser(inline_comment_prefixes=(";",), strict=False)
        try:
            parser.read(self.configuration, encoding="utf-8")
            path = Path(parser["unix_http_server"]["file"].replace("%%", "%"))
        except (KeyError, configparser.Error):
            return None
        # In a copy of a checkout, the configuration still names the original's socket.
        return path if path.name == _socket_name(self.directory) else None

    def _rows(self, method: str) -> list[dict[str, Any]]:
        rows: Any = self._call(method)
        return list(rows)

    def _call(self, method: str, *arguments: object) -> object:
        transport = SupervisorTransport(None, None, f"unix://{self._socket()}")
        with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as server:
            try:
                return getattr(server.supervisor, method)(*arguments)
            except xmlrpc.client.Fault as fault:
                if fault.faultString.startswith(("NOT_RUNNING", "ALREADY_STARTED")):
                    return None
                raise StackError(f"supervisord refused {method}: {fault.faultString}") from None
            except OSError as error:
                raise StackError(f"supervisord does not answer: {error}. Run make down") from None
            finally:
                transport.close()


def _socket_name(directory: Path) -> str:
    return f"{hashlib.sha256(str(directory).encode()).hexdigest()[:12]}.sock"


def _new_socket(directory: Path) -> Path:
    # Paths of Unix sockets end at 107 bytes; a checkout may be deeper than that.
    name = f"stock-assets-{os.getuid()}/{_socket_name(directory)}"
    for base in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - a private directory in there
        # supervisord first binds a longer name next to it.
        if len(f"{base}/{name}") < 90:
            break
    return Path(base, name)


def _private_directory(path: Path) -> None:
    """Make sure that the directory is ours alone: whoever may write there could command us."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise StackError(f"{path} is not a private directory of yours: remove it and try again")


def _python_path(inherited: dict[str, str]) -> str:
    # So that programs find this package where it is not installed, and from this checkout.
    return os.pathsep.join(filter(None, [str(CHECKOUT), inherited.get("PYTHONPATH", "")]))


def _escape(text: str) -> str:
    """`text` as a value in supervisord's configuration."""
    if " ;" in text or " #" in text or "\n" in text:
        raise StackError(f"{text!r} contains ' #' or ' ;', which supervisord takes for a comment")
    return text.replace("%", "%%")
