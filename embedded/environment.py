"""`.env`: made from `.env.example` on first use, kept complete and private afterwards."""

from __future__ import annotations

import io
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from embedded.certificates import trusted_file
from embedded.errors import StackError
from embedded.locking import exclusive
from embedded.private_files import write_private

#: `NAME=value`, or `#NAME=value` for a variable that is described but left at its default.
_LINE = re.compile(r"^(?P<off>#?)(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)$")
#: How the file ends that set-up has clients trust, wherever the checkout was.
_TRUSTED = str(trusted_file(Path("/")))
_REFERENCE = re.compile(r"^\$\{([A-Z][A-Z0-9_]*)\}$")


def ensure_environment(checkout: Path, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Make or complete `checkout/.env` and return what the stack is to run with.

    On first use, variables that `given` (the process's environment) sets are kept in it. Later,
    the file wins; only what it leaves commented out is taken from `given`.
    """
    given = dict(os.environ if given is None else given)
    example = (checkout / ".env.example").read_text(encoding="utf-8")
    file = checkout / ".env"
    local = checkout / ".local"
    with exclusive(local / "run" / "environment.lock"):
        if file.exists():
            old = file.read_text(encoding="utf-8")
            new = _with_added(old, example)
        else:
            old, new = "", with_given(example, given)
        new = fill(new, own_variables(checkout, local) | trust(new, given, local))
        if new != old:
            write_private(file, new)
        elif file.stat().st_mode & 0o077:
            file.chmod(0o600)
    said = {name: given[name] for name in variables(example) if given.get(name)}
    environment = {**values(example), **said, **values(new)}
    for name, value in environment.items():
        if name.endswith("_PASSWORD") and not value:
            raise StackError(f"{name} is empty: delete its line in .env to get a random one")
    return environment


def own_variables(checkout: Path, local: Path) -> dict[str, str]:
    """Variables that are not configuration: where this checkout is, and its data."""
    return {"DAGSTER_HOME": str(checkout), "DAGSTER_STORAGE_DIR": str(local / "dagster")}


def trust(text: str, given: Mapping[str, str], local: Path) -> dict[str, str]:
    """The variables of encryption that an env file leaves open: the embedded servers are verified,
    by the authorities of `local`. What the file says of another server is left alone."""
    said = values(text)
    file = str(trusted_file(local))
    found: dict[str, str] = {}
    for prefix, switch in (("TIMESCALE", "EMBEDDED_TIMESCALEDB"), ("APP_DB", "EMBEDDED_POSTGRES")):
        embedded = (said.get(switch) or given.get(switch) or "yes") != "no"
        for server in (prefix, f"{prefix}_SERVER"):
            mode, authorities = f"{server}_SSLMODE", f"{server}_SSLROOTCERT"
            by_set_up = said.get(authorities, "").endswith(_TRUSTED)
            if embedded and (by_set_up or not said.get(authorities)):
                found |= {mode: said.get(mode) or "verify-full", authorities: file}
            elif by_set_up:
                # The embedded servers were used before.
                found |= {mode: "", authorities: ""}
    return found


def fresh_environment(checkout: Path, local: Path, overrides: Mapping[str, str]) -> dict[str, str]:
    """A whole environment for a stack of its own: the example's values, new passwords, overrides.

    Reads and writes no `.env`.
    """
    example = (checkout / ".env.example").read_text(encoding="utf-8")
    known = {name: value for name, value in overrides.items() if name in variables(example)}
    text = with_given(example, known)
    text = fill(text, own_variables(checkout, local) | trust(text, overrides, local))
    return {**values(text), **overrides}


def variables(text: str) -> list[str]:
    """Names of all variables in an env file, those commented out included."""
    return [match["name"] for line in text.splitlines() if (match := _LINE.match(line))]


def values(text: str) -> dict[str, str]:
    """What an env file says, references resolved."""
    parsed = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in parsed.items() if value is not None}


def with_given(text: str, given: Mapping[str, str]) -> str:
    """The env file `text` with every variable set that is in `given` and not empty there."""
    given = {name: value for name, value in given.items() if value}
    for line in text.splitlines():
        match = _LINE.match(line)
        reference = _REFERENCE.match(match["value"]) if match else None
        # TIMESCALE_PASSWORD=${COLLECTOR_DB_PASSWORD}: who sets one means the other as well.
        if match and reference and match["name"] in given:
            given.setdefault(reference[1], given[match["name"]])
    return _replace(text, {name: _quote(value) for name, value in given.items()})


def fill(text: str, own: Mapping[str, str]) -> str:
    """Give every empty password a random value, and set the checkout's own variables."""
    passwords = {
        match["name"]: secrets.token_urlsafe(24)
        for line in text.splitlines()
        if (match := _LINE.match(line)) and not match["off"]
        if match["name"].endswith("_PASSWORD") and match["value"].strip() in ("", '""', "''")
    }
    missing = [
        f"{name}={_quote(value)}" for name, value in own.items() if name not in variables(text)
    ]
    text = _replace(text, {**passwords, **{name: _quote(value) for name, value in own.items()}})
    if missing:
        text = (
            text.rstrip("\n") + "\n\n# Set by set-up, absolute paths.\n" + "\n".join(missing) + "\n"
        )
    return text


def _replace(text: str, new: Mapping[str, str]) -> str:
    lines = []
    for line in text.splitlines():
        match = _LINE.match(line)
        lines.append(
            f"{match['name']}={new[match['name']]}" if match and match["name"] in new else line
        )
    return "\n".join(lines) + "\n"


def _quote(value: str) -> str:
    """`value` as it must be written in an env file that python-dotenv reads."""
    if "\n" in value or "\r" in value:
        raise StackError("a variable for .env contains a line break: set it to a single line")
    if re.fullmatch(r"[\w@%+=:,./~-]*", value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _with_added(text: str, example: str) -> str:
    """`text` and, at its end, what only the example has, with the comments above it."""
    known = set(variables(text))
    added: list[str] = []
    comments: list[str] = []
    for line in example.splitlines():
        match = _LINE.match(line)
        if match is None:
            # A comment belongs to the lines below it; an empty line or a heading ends it.
            comments = [*comments, line] if line.startswith("# ") and "----" not in line else []
        elif match["name"] not in known:
            added += [*comments, line]
            comments = []
    return text.rstrip("\n") + "\n\n" + "\n".join(added) + "\n" if added else text
