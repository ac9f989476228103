"""How much of this machine the servers may use, and the settings that follow from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024


@dataclass(frozen=True)
class Machine:
    """What the servers have to themselves: memory in bytes, and processor cores."""

    memory: int
    cores: int

    @staticmethod
    def detect() -> Machine:
        """This machine: physical memory or the control groups' limit, and the usable cores."""
        physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return Machine(
            memory=min([physical, *control_group_limits()]),
            cores=len(os.sched_getaffinity(0)),
        )


def control_group_limits(
    membership: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")
) -> list[int]:
    """Every memory limit (cgroup v1 or v2) that applies to us, in bytes."""
    limits: list[int] = []
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return limits
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            bases, name = {mount, mount / "unified"}, "memory.max"
        elif "memory" in controllers.split(","):
            bases, name = {mount / "memory", mount / controllers}, "memory.limit_in_bytes"
        else:
            continue
        # A group's ancestors limit it too. In a container the path may be the host's and not
        # visible here; the mount's own root is then the container's group.
        parts = [part for part in path.split("/") if part]
        for base in bases:
            for depth in range(len(parts) + 1):
                limits += _limit(base.joinpath(*parts[:depth]) / name)
    return limits


def _limit(file: Path) -> list[int]:
    try:
        text = file.read_text().strip()
    except OSError:
        return []
    # "max" (v2) and a number near 2**63 (v1) both mean: no limit.
    return [int(text)] if text.isdigit() and int(text) > 0 else []


def between(low: int, value: int, high: int) -> int:
    """`value`, moved into low … high."""
    return max(low, min(value, high))


def timescaledb_settings(machine: Machine) -> dict[str, str]:
    """Values for timescaledb's postgresql.conf. It gets the larger share: the data lives there."""
    mib = machine.memory // MIB
    return {
        # A fifth, not the usual quarter: Dagster and the runs' data frames share the machine.
        "shared_buffers": f"{between(64, mib // 5, 16384)}MB",
        "effective_cache_size": f"{max(128, mib // 2)}MB",
        # Per sort or hash; 50 connections, few of them busy. 1/256: 16 MB at 4 GB.
        "work_mem": f"{between(4, mib // 256, 128)}MB",
        "maintenance_work_mem": f"{between(32, mib // 16, 2048)}MB",
        "max_parallel_workers": str(machine.cores),
        "max_parallel_workers_per_gather": str(between(0, machine.cores // 2, 4)),
        "max_parallel_maintenance_workers": str(between(1, machine.cores // 2, 4)),
        # Parallel workers, and a few for PostgreSQL and TimescaleDB themselves.
        "max_worker_processes": str(4 + machine.cores),
        # A session of minute bars writes about 150 MB of log; let many fit between checkpoints.
        "max_wal_size": f"{between(512, mib // 4, 8192)}MB",
        "min_wal_size": f"{between(128, mib // 16, 1024)}MB",
        "wal_buffers": "16MB" if mib >= 2048 else "4MB",
    }


def postgres_settings(machine: Machine) -> dict[str, str]:
    """Values for the application server's postgresql.conf: a small share, its tables are small."""
    mib = machine.memory // MIB
    return {
        "shared_buffers": f"{between(32, mib // 20, 1024)}MB",
        "effective_cache_size": f"{max(64, mib // 8)}MB",
        "work_mem": f"{between(4, mib // 1024, 16)}MB",
        "maintenance_work_mem": f"{between(16, mib // 64, 256)}MB",
        "max_parallel_workers": str(machine.cores),
        "max_parallel_workers_per_gather": str(between(0, machine.cores // 2, 2)),
        "max_parallel_maintenance_workers": str(between(1, machine.cores // 2, 2)),
        "max_worker_processes": str(3 + machine.cores),
        "max_wal_size": f"{between(256, mib // 16, 2048)}MB",
        "min_wal_size": f"{between(80, mib // 64, 256)}MB",
        "wal_buffers": "4MB",
    }


def valkey_settings(machine: Machine) -> dict[str, str]:
    """Values for valkey.conf: a cache and a job queue; a twentieth of the memory is plenty."""
    return {"maxmemory": f"{between(32, machine.memory // MIB // 20, 1024)}mb"}
