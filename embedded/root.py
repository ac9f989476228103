"""Debian roots that programs run from: built by mmdebstrap in the user's cache, for all checkouts.

Standard library only: they are built while the virtual environment is being made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from embedded.errors import StackError
from embedded.locking import exclusive

SUITE = "trixie"
#: Nobody reads manuals in there; leaving them out saves a third of the unpacking.
MANUALS = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")


@dataclass(frozen=True)
class Recipe:
    """What a root is made of."""

    #: Its folder in the cache is called this, and a digest of the rest.
    name: str
    #: What it is, for people.
    description: str
    packages: tuple[str, ...]
    #: Patterns of files that are not unpacked.
    excluded: tuple[str, ...]
    #: Directories in the root that the sandbox binds things to.
    mount_points: tuple[str, ...] = ("data",)
    #: A shell command, run once the essential packages are unpacked, with the root as $1.
    essential_hook: str = "true"


SERVERS = Recipe(
    name="root",
    description="the servers' root",
    packages=(
        "postgresql-17-timescaledb",
        "postgresql-contrib",
        "pgbouncer",
        "pgbackrest",
        "valkey-server",
    ),
    excluded=(*MANUALS, "/usr/lib/postgresql/17/lib/bitcode/*"),
    # Without this, Debian's postgresql package would run initdb for a cluster that we never use.
    essential_hook=(
        'mkdir -p "$1/etc/postgresql-common" && '
        'echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"'
    ),
)
TESTS = Recipe(
    name="tests-root",
    description="the tests' root",
    packages=(
        "chromium-headless-shell",
        "fonts-dejavu-core",
        # The smallest font with Hangul.
        "fonts-wqy-microhei",
        # docker-compose.yml is read by Compose itself; its proxy, and what watches it, are run.
        "docker-compose",
        "nginx-light",
        "prometheus",
    ),
    # Drivers of graphics cards, 230 MB: the browser paints without one.
    excluded=(
        *MANUALS,
        "/usr/lib/*/libLLVM*",
        "/usr/lib/*/libgallium*",
        "/usr/lib/*/libz3*",
        "/usr/lib/chromium/libVkLayer_*",
    ),
)
RECIPES = {recipe.name: recipe for recipe in (SERVERS, TESTS)}
MARKER = ".complete"


def cache_directory() -> Path:
    """The project's folder in the user's cache."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path is to be ignored.
    base = Path(configured) if configured.startswith("/") else Path.home() / ".cache"
    return base / "stock-assets"


def root_path(recipe: Recipe, cache: Path | None = None) -> Path:
    """Where the root that the recipe makes belongs, built or not."""
    # fmt: off
    parts = [
        "2", SUITE, *recipe.packages, *recipe.excluded, *recipe.mount_points,
        recipe.essential_hook,
    ]
    # fmt: on
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return (cache or cache_directory()) / f"{recipe.name}-{digest}"


def is_complete(root: Path) -> bool:
    """Whether the root was built to the end."""
    return (root / MARKER).is_file()


def ensure_root(recipe: Recipe, cache: Path | None = None) -> Path:
    """Return the root, building it first where it is missing or half-built.

    Raises StackError where it cannot be built.
    """
    root = root_path(recipe, cache)
    if is_complete(root):
        return root
    with exclusive(
        root.with_name(root.name + ".lock"),
        on_wait=lambda: print(
            f"waiting: another set-up is building {recipe.description}", flush=True
        ),
    ):
        if is_complete(root):  # the other set-up has just finished it
            return root
        remove_unfinished(root)
        print(f"building {recipe.description} (Debian {SUITE}, a minute) in {root}", flush=True)
        # A sibling, so that the rename below stays within one file system.
        partial = Path(tempfile.mkdtemp(prefix=f"{root.name}.partial-", dir=root.parent))
        try:
            _build(recipe, partial)
            partial.chmod(0o755)
            (partial / MARKER).touch()
            partial.rename(root)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return root


def remove_unfinished(root: Path) -> None:
    """Delete what an interrupted build left behind. Call with the build's lock held."""
    leftovers = list(root.parent.glob(f"{root.name}.partial-*"))
    if root.exists():
        leftovers.append(root)
    for leftover in leftovers:
        print(f"removing a half-built root: {leftover}", flush=True)
        shutil.rmtree(leftover)


def _build(recipe: Recipe, target: Path) -> None:
    if not shutil.which("mmdebstrap"):
        raise StackError(
            f"mmdebstrap is missing, so {recipe.description} was not built. Start through make "
            "(make up, make test): as root it installs mmdebstrap, else it says how"
        )
    if os.geteuid() != 0:
        _require_subordinate_ids()
    # fmt: off
    bootstrap = [
        "mmdebstrap", "--variant=essential", "--format=tar",
        f"--include={','.join(recipe.packages)}",
        "--dpkgopt=force-confold",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.excluded),
        f"--essential-hook={recipe.essential_hook}",
        SUITE, "-",
    ]
    # Through a tar stream, because then everything belongs to whoever unpacks it. mmdebstrap's
    # own directory output would belong to root, or to the subordinate ids of an ordinary user.
    # Device nodes cannot be made by ordinary users and bwrap brings its own.
    unpack = [
        "tar", "--extract", "--no-same-owner", "--exclude=./dev/*", "--directory", str(target),
    ]
    # fmt: on
    messages: list[str] = []
    # The caches that mmdebstrap fills are in its own temporary directory and vanish with it.
    with (
        subprocess.Popen(
            bootstrap, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        ) as builder,
        subprocess.Popen(unpack, stdin=builder.stdout) as unpacker,
    ):
        # The unpacker holds the only other end, so the builder hears of its death.
        cast(IO[bytes], builder.stdout).close()
        for raw in cast(IO[bytes], builder.stderr):
            line = raw.decode(errors="replace").rstrip()
            messages.append(line)
            # Without a terminal mmdebstrap draws no progress bars: what is left are its "I:" lines.
            print(line[:160], flush=True)
    if builder.returncode or unpacker.returncode:
        raise StackError(_explain(recipe, messages))
    for name in recipe.mount_points:
        (target / name).mkdir(exist_ok=True)


def _explain(recipe: Recipe, messages: list[str]) -> str:
    text = "\n".join(messages)
    network = ("Could not resolve", "Could not connect", "Unable to connect", "Failed to fetch")
    if any(sign in text for sign in network):
        return (
            f"Debian's package mirror cannot be reached, so {recipe.description} was not built. "
            "Check the network (and http_proxy), then run the command again."
        )
    reasons = [line for line in messages if line.startswith("E:")] or messages[-3:]
    return (
        f"mmdebstrap failed to make {recipe.description}: {' | '.join(reasons)}. Its messages "
        "are above; free disk space of 2 GB and access to a Debian mirror are needed."
    )


def _require_subordinate_ids() -> None:
    """An ordinary user's mmdebstrap maps a range of subordinate ids (newuidmap reads them)."""
    import pwd

    user = pwd.getpwuid(os.getuid()).pw_name
    for path in (Path("/etc/subuid"), Path("/etc/subgid")):
        lines = path.read_text().splitlines() if path.exists() else []
        if not any(line.split(":")[0] in (user, str(os.getuid())) for line in lines):
            raise StackError(
                f"{path} has no entry for {user}, so mmdebstrap cannot build the root. As root, "
                f"run: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
            )


if __name__ == "__main__":
    try:
        ensure_root(RECIPES[sys.argv[1]])
    except StackError as error:
        sys.exit(f"error: {error}")
