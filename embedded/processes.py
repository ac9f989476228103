"""What runs on this machine that concerns a stack: its own processes, and who holds a port."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

#: Every process of a stack carries this variable, whose value is the stack's directory.
MARKER = "STOCK_ASSETS_STACK"
PROC = Path("/proc")


def of_stack(directory: Path) -> list[int]:
    """Process ids of everything that this stack has started and that still runs."""
    wanted = f"{MARKER}={directory}".encode()
    parents = {pid: parent for pid in _pids() if (parent := _parent(pid)) is not None}
    marked = {pid for pid in parents if wanted in _environment(pid)}

    def belongs(pid: int) -> bool:
        # Servers write their titles over their environment, but what started them does not.
        while pid in parents:
            if pid in marked:
                return True
            pid = parents[pid]
        return False

    return [pid for pid in parents if belongs(pid)]


def topmost(directory: Path) -> list[int]:
    """Of the stack's processes, those that no other of them has started."""
    found = set(of_stack(directory))
    return [pid for pid in found if _parent(pid) not in found]


def children(pid: int) -> list[int]:
    """Process ids of the direct children."""
    return [candidate for candidate in _pids() if _parent(candidate) == pid]


def _parent(pid: int) -> int | None:
    """Process id of the parent; None when the process is gone, be it as a zombie."""
    try:
        # The name in parentheses may itself contain spaces and parentheses.
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # A killed process looks dead while threads of it still hold its sockets.
    dead = not fields or fields[0] == "X" or (fields[0] == "Z" and int(fields[17]) <= 1)
    return None if dead else int(fields[1])


def _environment(pid: int) -> list[bytes]:
    try:
        return (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # another user's, or gone
        return []


def wait_until_gone(
    directory: Path, seconds: float, meanwhile: Callable[[], object] = lambda: None
) -> list[int]:
    """Wait until nothing of the stack runs any more; return what remains after `seconds`."""
    deadline = time.monotonic() + seconds
    while remaining := of_stack(directory):
        if time.monotonic() > deadline:
            return remaining
        meanwhile()
        time.sleep(0.05)
    return []


def describe(pid: int) -> str:
    """`name (process 123)`, as far as /proc tells."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        name = Path(words[0]).name or (PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return f"process {pid}"
    return f"{name} (process {pid})"


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1 at this port."""
    with socket.socket() as probe:
        # As servers do; connections of an earlier server that fade away must not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def becomes_free(port: int, seconds: float) -> bool:
    """Wait until nobody listens at the port; whether that was so within `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def listener(port: int) -> int | None:
    """Process id of who listens on the port, or None where /proc does not tell."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not inodes:
        return None
    for pid in _pids():
        try:
            for descriptor in (PROC / str(pid) / "fd").iterdir():
                if str(descriptor.readlink()) in inodes:
                    return pid
        except OSError:
            continue
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in (row.split() for row in rows):
            # Fields: number, local address:port, remote, state (0A is LISTEN), …, inode.
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def _pids() -> list[int]:
    # Newest first: what we look for has usually started lately.
    return sorted(
        (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()), reverse=True
    )
