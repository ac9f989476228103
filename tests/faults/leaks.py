"""Where a secret could show: every place is read whole."""

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from embedded import sandbox
from embedded.stack import Stack

#: Files that hold secrets because a program reads them there.
PRIVATE = (
    "run/environment.json",
    "run/metrics.json",
    "pgbouncer/userlist.txt",
    "pgbouncer-ts/userlist.txt",
    "valkey/valkey.conf",
)


def secrets(environment: Mapping[str, str]) -> dict[str, set[str]]:
    """Every password of an environment, as it is and as programs write it."""
    return {
        name: {value, quote(value), quote(value, safe=""), json.dumps(value)[1:-1]}
        for name, value in environment.items()
        if name.endswith("_PASSWORD")
    }


def shown(text: str | bytes, known: Mapping[str, Iterable[str]]) -> list[str]:
    """Names of the secrets that the text holds."""
    raw = text.encode() if isinstance(text, str) else text
    return [name for name, forms in known.items() if any(form.encode() in raw for form in forms)]


def shown_in_files(directory: Path, known: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Files below the directory that hold secrets, and which; but for the private ones."""
    found = {}
    for file in directory.rglob("*"):
        name = str(file.relative_to(directory))
        if name in PRIVATE or not file.is_file() or file.is_symlink():
            continue
        try:
            content = file.read_bytes()
        except FileNotFoundError:  # servers remove files of theirs
            continue
        if names := shown(content, known):
            found[name] = names
    return found


def dumped(stack: Stack, server: str) -> str:
    """All databases of a server as SQL, what is kept of passwords left out."""
    program = stack.program(server)
    result = sandbox.run(
        stack.root,
        program.directory,
        ["pg_dumpall", "--no-role-passwords"],
        environment={"PGHOST": "/data/socket", "PGPORT": str(program.port), "PGUSER": "postgres"},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@contextmanager
def watched_command_lines() -> Iterator[set[bytes]]:
    """The command line of every process that runs on this machine meanwhile, as `ps` would show
    them."""
    seen: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        seen.add((entry / "cmdline").read_bytes())
                    except OSError:
                        continue
            over.wait(0.1)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        over.set()
        watching.join()


def environment_of(pid: int) -> bytes:
    """A process's environment; empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
