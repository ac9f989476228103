"""Settings that follow from the machine's size."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded.configuration import postgresql, valkey
from embedded.machine import (
    Machine,
    control_group_limits,
    postgres_settings,
    timescaledb_settings,
    valkey_settings,
)

GIB = 1024**3
SIZES = [256 * 1024**2, GIB, 2 * GIB, 4 * GIB, 24 * GIB, 256 * GIB]


def mib(value: str) -> int:
    number, unit = int(value[:-2]), value[-2:].upper()
    assert unit == "MB"
    return number


@pytest.mark.parametrize("memory", SIZES)
@pytest.mark.parametrize("cores", [1, 2, 8, 64])
def test_settings_fit_the_machine(memory: int, cores: int) -> None:
    machine = Machine(memory, cores)
    large, small = timescaledb_settings(machine), postgres_settings(machine)
    total = memory // 1024**2
    fixed = [mib(settings["shared_buffers"]) for settings in (large, small)]
    fixed.append(mib(valkey_settings(machine)["maxmemory"]))
    # Half of the machine at least is left to the runs and to the page cache.
    assert sum(fixed) <= max(total // 2, 160)
    assert mib(large["shared_buffers"]) >= mib(small["shared_buffers"])
    for settings in (large, small):
        assert int(settings["max_parallel_workers"]) == cores
        assert int(settings["max_parallel_workers_per_gather"]) <= cores // 2
        assert int(settings["max_worker_processes"]) > cores
        # A connection's sorts cannot eat the machine even if ten run at once.
        assert 10 * mib(settings["work_mem"]) <= max(total // 4, 40)
        assert mib(settings["min_wal_size"]) <= mib(settings["max_wal_size"])


@pytest.mark.parametrize("name", ["shared_buffers", "effective_cache_size", "work_mem"])
def test_more_memory_never_means_less(name: str) -> None:
    values = [mib(timescaledb_settings(Machine(memory, 4))[name]) for memory in SIZES]
    assert values == sorted(values)
    assert values[0] < values[-1]


def test_every_place_in_the_templates_is_filled() -> None:
    machine = Machine(4 * GIB, 2)
    for name in ("postgres", "timescaledb"):
        assert "$" not in postgresql(name, 5432, machine)["postgresql.conf"]
    assert 'requirepass "a\\"b\\\\c"' in valkey(6379, 'a"b\\c', machine)["valkey.conf"]


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_the_smallest_limit_of_a_group_and_its_ancestors_counts(tmp_path: Path) -> None:
    membership, mount = tmp_path / "cgroup", tmp_path / "fs"
    write(membership, "0::/a/b\n")
    write(mount / "memory.max", "max\n")
    write(mount / "a/memory.max", f"{GIB}\n")
    write(mount / "a/b/memory.max", "max\n")
    assert control_group_limits(membership, mount) == [GIB]


def test_version_1_groups_are_read_also_where_the_path_is_the_hosts(tmp_path: Path) -> None:
    membership, mount = tmp_path / "cgroup", tmp_path / "fs"
    write(membership, "9:name=systemd:/\n4:memory:/docker/0123\n3:cpu,cpuacct:/\n")
    write(mount / "memory/memory.limit_in_bytes", f"{2 * GIB}\n")
    assert control_group_limits(membership, mount) == [2 * GIB]


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert control_group_limits(tmp_path / "missing", tmp_path) == []


def test_this_machine_is_seen() -> None:
    machine = Machine.detect()
    assert machine.cores >= 1
    assert machine.memory > 64 * 1024**2
