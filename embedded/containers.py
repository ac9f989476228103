"""What the servers in docker-compose.yml find in /data: certificates and configuration, written by
the templates of the embedded stack.

`python -m embedded.containers DIRECTORY`, which the service `configuration` runs as root on a
volume; the containers mount a folder of it each. Safe to repeat: certificates are kept until they
near their end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from embedded import configuration
from embedded.certificates import issue
from embedded.configuration import CONTAINER, Rendered
from embedded.errors import StackError
from embedded.machine import Machine
from embedded.private_files import write_private

_WEBSERVERS = ("webserver:3000", "webserver-read-only:3000")
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


@dataclass(frozen=True)
class Container:
    """A container's folder: its files, the image's user they belong to, and folders that other
    volumes are mounted on."""

    name: str
    uid: int
    gid: int
    files: Rendered
    folders: tuple[str, ...] = ()
    has_certificate: bool = True


def containers(environment: Mapping[str, str]) -> list[Container]:
    """All of them, as `environment` wants them. Raises StackError for a value that cannot be."""
    cores = len(os.sched_getaffinity(0))
    timescale = Machine(_bytes(environment, "TIMESCALE_MEMORY"), cores)
    # A server's settings expect it to share a machine; this memory is the application's server's
    # alone, whose share is a quarter of TimescaleDB's.
    postgres = Machine(4 * _bytes(environment, "POSTGRES_MEMORY"), cores)
    application = [environment["APP_DB_NAME"], environment["DAGSTER_DB_NAME"]]

    def server(name: str, port: int, machine: Machine, uid: int) -> Container:
        files = configuration.postgresql(name, port, machine, CONTAINER)
        return Container(name, uid, uid, files, ("pgdata", "socket"))

    def pooler(name: str, port: int, mode: str, server: tuple[str, int], *names: str) -> Container:
        files = configuration.pgbouncer(
            mode, port, *server, "verify-full", names, environment, CONTAINER
        )
        return Container(name, 70, 70, files)

    # Valkey's share of a machine is a twentieth; of its own container, half.
    cache = Machine(10 * _bytes(environment, "VALKEY_MEMORY"), cores)
    return [
        # Alpine's postgres is 70, Debian's 999.
        server("timescaledb", 5433, timescale, 70),
        server("postgres", 5432, postgres, 999),
        pooler("pgbouncer-ts", 6433, "session", ("timescaledb", 5433), environment["TIMESCALE_DB"]),
        pooler("pgbouncer", 6432, "transaction", ("postgres", 5432), *application),
        Container(
            "valkey",
            999,
            1000,
            configuration.valkey(6379, environment["VALKEY_PASSWORD"], cache, CONTAINER),
            has_certificate=False,
        ),
        Container("proxy", 101, 101, proxy(_WEBSERVERS, (8443, 8444)), ("users",)),
    ]


def proxy(webservers: tuple[str, str], ports: tuple[int, int]) -> Rendered:
    """What deploy/proxy/nginx.conf includes: where the webserver and its read-only twin are, and
    the ports of their users."""
    names = ("webserver", "webserver-read-only")
    upstreams = [
        f"upstream {name} {{ server {address}; keepalive 16; }}\n"
        for name, address in zip(names, webservers, strict=True)
    ]
    return {
        "upstreams.conf": "".join(upstreams),
        "listen-operators.conf": f"listen {ports[0]} ssl;\n",
        "listen-viewers.conf": f"listen {ports[1]} ssl;\n",
    }


def write(directory: Path, environment: Mapping[str, str]) -> None:
    """Write every container's folder, and whom our own processes are to trust into `trusted`."""
    wanted = containers(environment)
    names = [container.name for container in wanted if container.has_certificate]
    for name in names:
        (directory / name).mkdir(mode=0o700, exist_ok=True)
    issued = issue(directory, environment, names)
    for container in wanted:
        folder = directory / container.name
        folder.mkdir(mode=0o700, exist_ok=True)
        files = dict(container.files)
        if container.has_certificate:
            files |= {"server.pem": issued.servers[container.name]}
            files |= {"authorities.crt": issued.trusted}
        for name, content in files.items():
            write_private(folder / name, content)
        for name in container.folders:
            (folder / name).mkdir(mode=0o700, exist_ok=True)
        for path in (folder, *(folder / name for name in (*files, *container.folders))):
            os.chown(path, container.uid, container.gid)
    trusted = directory / "trusted"
    trusted.mkdir(mode=0o755, exist_ok=True)
    write_private(trusted / "authorities.crt", issued.trusted)
    (trusted / "authorities.crt").chmod(0o644)


def _bytes(environment: Mapping[str, str], variable: str) -> int:
    text = environment.get(variable, "").lower()
    number, unit = text[:-1], text[-1:]
    if not (number.isdigit() and unit in _UNITS and int(number)):
        raise StackError(f"{variable}={text!r} is no size such as 512m or 4g")
    return int(number) * _UNITS[unit]


def main() -> int:
    """Command line: the directory. One message for an expected error."""
    try:
        write(Path(sys.argv[1]), os.environ)
    except (StackError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("the configuration is in place")
    return 0


if __name__ == "__main__":
    sys.exit(main())
