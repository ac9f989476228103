"""Runs one sandboxed server in the foreground for supervisord, and stops it cleanly.

bwrap passes no signals on, and killing it kills the server hard. So this wrapper learns the
server's process id from bwrap, sends it the server's own clean-stop signal when it is told to stop
itself, waits, and exits with the server's status. Standard library only, to start fast.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from embedded import sandbox

#: Seconds between two stop signals. A process 1 ignores a signal it has no handler for yet, and a
#: second SIGINT tells PgBouncer not to wait for its clients; PostgreSQL and Valkey do not mind.
REPEAT = 4.0
_PR_SET_PDEATHSIG = 1
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


def die_with_parent() -> None:
    """Have the kernel send us SIGTERM when supervisord dies: its death ends the servers too."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def run(bwrap: Sequence[str], stop_signal: signal.Signals) -> int:
    """Run the bwrap command until the server ends or we are told to stop; return its status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    read_end, write_end = os.pipe()
    separator = list(bwrap).index("--")
    with_info = [*bwrap[:separator], "--info-fd", str(write_end), *bwrap[separator:]]
    process = subprocess.Popen(
        with_info,
        pass_fds=[write_end],
        env={**sandbox.ENVIRONMENT, "PATH": sandbox.search_path(), **marker()},
        # Blocked signals would be inherited by the server.
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS),
    )
    os.close(write_end)
    with os.fdopen(read_end) as info:
        text = info.read()  # ends when bwrap has written it all, or has died
    server = int(json.loads(text)["child-pid"]) if text else None

    stopping = False
    while process.poll() is None:
        received = signal.sigtimedwait(_SIGNALS, REPEAT) if stopping else _wait()
        if received is None or received.si_signo != signal.SIGCHLD:
            stopping = True
            if server is not None and process.poll() is None:
                os.kill(server, stop_signal)
    # A server that was stopped as asked has done well, whatever it calls that (Valkey: 0,
    # PgBouncer after a second SIGINT: 1).
    return 0 if stopping else _status(process.returncode)


def _wait() -> signal.struct_siginfo:
    return signal.sigwaitinfo(_SIGNALS)


def _status(returncode: int) -> int:
    return returncode if returncode >= 0 else 128 - returncode


def marker() -> dict[str, str]:
    """The variable by which processes of this stack are recognised (see embedded.processes)."""
    name = "STOCK_ASSETS_STACK"
    return {name: os.environ[name]} if name in os.environ else {}


def main() -> int:
    """Command line: --root DIR --data DIR --stop-signal NAME -- program arguments."""
    parser = argparse.ArgumentParser(prog="embedded.foreground", description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stop-signal", required=True)
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    die_with_parent()
    return run(
        sandbox.command(options.root, options.data, options.program),
        signal.Signals[options.stop_signal],
    )


if __name__ == "__main__":
    sys.exit(main())
