"""Memory and disk of the machine that measures, and memory of the programs beside it."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from resources.measurements import Add
from resources.settings import PROJECT_ROOT, MarketSettings

_PROC = Path("/proc")
_STACK = "STOCK_ASSETS_STACK"
"""Every process of an embedded stack carries this variable; its supervisor names the program."""
_PROGRAM = "SUPERVISOR_PROCESS_NAME"


def ask_machine(environment: Mapping[str, str], settings: MarketSettings, add: Add) -> list[str]:
    """Add the numbers. Programs are those of the embedded stack that we run in, if any: from a
    container, or a shell, nobody else's memory is to be seen."""
    add("collected_unasked", (), settings.collects_unasked)
    memory = dict(line.split(":") for line in (_PROC / "meminfo").read_text().splitlines())
    for state, name in (("total", "MemTotal"), ("available", "MemAvailable")):
        add("machine_memory_bytes", [state], int(memory[name].split()[0]) * 1024)
    directory = Path(environment.get("DAGSTER_STORAGE_DIR") or PROJECT_ROOT)
    # Before Dagster's first start it is not there; its disk is.
    while not directory.exists():
        directory = directory.parent
    disk = shutil.disk_usage(directory)
    add("disk_bytes", (), disk.total)
    add("disk_free_bytes", (), disk.free)
    if stack := os.environ.get(_STACK):
        for program, used in programs(stack).items():
            add("program_memory_bytes", [program], used)
    return []


def programs(stack: str) -> dict[str, int]:
    """Bytes that each program of the stack has in memory, its children's too; what is shared
    counts in parts."""
    parents = dict(_parents())
    names = {pid: name for pid in parents if (name := _program(pid, stack))}
    used: dict[str, int] = {}
    for pid in parents:
        ancestor = pid
        # Servers write their titles over their environment, but what started them does not.
        while ancestor in parents and ancestor not in names:
            ancestor = parents[ancestor]
        if name := names.get(ancestor):
            used[name] = used.get(name, 0) + _proportional(pid)
    return used


def _parents() -> Iterator[tuple[int, int]]:
    for directory in _PROC.iterdir():
        if directory.name.isdigit():
            try:
                said = (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            yield int(directory.name), int(said[1])


def _program(pid: int, stack: str) -> str | None:
    try:
        said = (_PROC / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    variables = dict(variable.split("=", 1) for variable in said if "=" in variable)
    return variables.get(_PROGRAM) if variables.get(_STACK) == stack else None


def _proportional(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
