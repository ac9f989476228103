"""Which process executes a run, so that its death is noticed.

Dagster notices a dead worker through the code server that started it, and not at all when that is
gone as well, or when the run was started by a command: such a run stays "started", and keeps its
slot, until its longest permitted time is over.
"""

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import dagster as dg

_TAG = "stock_assets/worker"
_PROC = Path("/proc")


@dataclass(frozen=True)
class Worker:
    """A process, for good: process ids alone are used again."""

    host: str
    boot: str
    """The kernel's id of this start of the machine."""
    namespace: str
    """Where the process id counts; a container made anew has another one."""
    pid: int
    started: int
    """In clock ticks since the start of the machine."""

    @classmethod
    def this(cls) -> Self:
        """The calling process."""
        pid = os.getpid()
        return cls(
            host=socket.gethostname(),
            boot=(_PROC / "sys/kernel/random/boot_id").read_text().strip(),
            namespace=str((_PROC / "self/ns/pid").readlink()),
            pid=pid,
            started=_started(pid) or 0,
        )

    def is_gone(self) -> bool:
        """Whether it certainly ended. Of another machine's processes nothing is certain."""
        here = Worker.this()
        if self.host != here.host:
            return False
        if (self.boot, self.namespace) != (here.boot, here.namespace):
            return True
        return _started(self.pid) != self.started


def claim_run(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> None:
    """Say that this process executes the run. From now on it keeps a connection to Dagster's event
    log: the run ends with the process, and records much."""
    from resources.dagster_storage import EventLog

    storage = context.instance.event_log_storage
    if isinstance(storage, EventLog):
        storage.keep_connection()
    tag = {_TAG: json.dumps({"run": context.run.run_id, **asdict(Worker.this())})}
    context.instance.add_run_tags(context.run.run_id, tag)


def worker_of(run: dg.DagsterRun) -> Worker | None:
    """The process that executes the run; None before it has claimed it."""
    claim = json.loads(run.tags.get(_TAG, "{}"))
    # A retry inherits the tags of the run whose worker died.
    return Worker(**claim) if claim.pop("run", None) == run.run_id else None


def _started(pid: int) -> int | None:
    try:
        # The name in parentheses may itself contain spaces and parentheses.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # Ended, and not yet collected by its parent.
    return None if fields[0] in ("Z", "X") else int(fields[19])
