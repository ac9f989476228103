"""Servers whose TimescaleDB keeps its data on a small disk of its own: a tmpfs that is mounted for
its processes and for nobody else.

bubblewrap mounts it, as for the servers themselves, so neither root nor a loop device is needed.
The mount lasts as long as a process inside does; supervisord is one, so servers may be restarted.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from embedded.machine import Machine
from embedded.stack import Stack
from tests.conftest import stack_environment

SMALL = Machine(memory=1024**3, cores=2)


@dataclass(frozen=True)
class SmallDisk:
    """TimescaleDB's disk."""

    stack: Stack

    @property
    def path(self) -> Path:
        """Where the servers' processes see it, as seen from here."""
        data = self.stack.program("timescaledb").directory
        return Path(f"/proc/{self.stack.supervisor.pid()}/root{data}")

    @property
    def free(self) -> int:
        """Bytes."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize

    def leave(self, size: int) -> None:
        """Put a file there so that ``size`` bytes are free, or as many as there are without it."""
        ballast = self.path / "ballast"
        ballast.unlink(missing_ok=True)
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, self.free - size))


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[SmallDisk]:
    """A running stack in ``directory`` without Dagster; its TimescaleDB has ``size`` bytes."""
    stack = Stack(directory, stack_environment(directory), machine=SMALL)
    data = stack.program("timescaledb").directory
    data.mkdir(parents=True)
    # fmt: off
    mounted = [
        "bwrap", "--unshare-user", "--dev-bind", "/", "/",
        "--size", str(size), "--tmpfs", str(data), "--",
    ]
    # fmt: on
    try:
        subprocess.run([*mounted, "true"], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(
            f"needs a disk of its own, and bubblewrap cannot mount one here: {error.stderr.strip()}"
        )
    try:
        subprocess.run(
            [*mounted, sys.executable, "-m", __spec__.name, str(directory)],
            input=json.dumps(stack.environment),
            check=True,
            text=True,
        )
        yield SmallDisk(stack)
    finally:
        stack.stop()


if __name__ == "__main__":
    Stack(Path(sys.argv[1]), json.load(sys.stdin), machine=SMALL).start(dagster=False)
