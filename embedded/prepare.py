"""What every make target needs first: system programs, the virtual environment, Debian roots.

Runs under the system's Python, standard library only. All is left alone where it is complete; what
is missing of the environment and the roots is made side by side.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial

from embedded.errors import StackError
from embedded.locking import exclusive
from embedded.paths import CHECKOUT
from embedded.root import RECIPES, Recipe, cache_directory, is_complete, root_path

VENV = CHECKOUT / ".venv"
STAMP = VENV / ".complete"


def missing_packages() -> list[str]:
    """Debian packages whose programs this machine lacks."""
    missing = [
        package
        for package, program in (("mmdebstrap", "mmdebstrap"), ("bubblewrap", "bwrap"))
        if not shutil.which(program)
    ]
    # Only an ordinary user's mmdebstrap maps subordinate ids.
    if not shutil.which("newuidmap") and (missing or os.geteuid() != 0):
        missing.append("uidmap")
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("python3-venv")
    return missing


def install_packages(missing: list[str]) -> None:
    """Install them where we are root on Debian; else name them and the command."""
    update = ["apt-get", "update"]
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise StackError(
            f"this machine lacks {', '.join(missing)}. On Debian, run as root: "
            f"{' '.join(update)} && {' '.join(install)}"
        )
    print(f"installing {', '.join(missing)} with apt-get", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (update, install):
        result = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode:
            raise StackError(
                f"{' '.join(command)} failed:\n{result.stdout.strip()[-1500:]}\n"
                "Check the network and apt's sources, then run the command again."
            )


def venv_stamp() -> str:
    """Changes whenever the virtual environment must be made anew."""
    digest = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        digest.update((CHECKOUT / name).read_bytes())
    # It names its own place and its Python, and breaks when either moves.
    digest.update(f"{VENV} {sys.version} {sys.base_prefix}".encode())
    return digest.hexdigest()


def venv_is_complete() -> bool:
    """Whether the virtual environment was made to the end, from the present lock file."""
    try:
        return STAMP.read_text() == venv_stamp() and (VENV / "bin" / "python").exists()
    except OSError:
        return False


def make_venv(say: Callable[[str], None]) -> None:
    """Make the virtual environment anew from requirements.lock."""
    if VENV.exists():
        say("removing the environment: it is unfinished, or its lock file changed")
        shutil.rmtree(VENV)
    say("making a virtual environment in .venv")
    _run([sys.executable, "-m", "venv", str(VENV)], say)
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
    count = sum(1 for line in lock.splitlines() if line[:1].isalnum())
    say(f"installing {count} packages from requirements.lock (about a minute)")
    try:
        _install(say)
    except StackError as error:
        raise StackError(
            f"pip could not install requirements.lock: {error}. Check the network and pip's "
            "configuration, then run the command again."
        ) from None
    STAMP.write_text(venv_stamp())
    say("the environment is complete")


def _install(say: Callable[[str], None]) -> None:
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "-qq", "--disable-pip-version-check"]
    # fmt: off
    _run([
        *pip, "install", "--progress-bar=off", "--require-hashes",
        "--requirement", str(CHECKOUT / "requirements.lock"),
    ], say)
    _run([
        *pip, "install", "--progress-bar=off", "--no-deps", "--no-build-isolation",
        "--editable", str(CHECKOUT),
    ], say)
    # fmt: on


def build_root(recipe: Recipe, say: Callable[[str], None]) -> None:
    """Build a Debian root, in a process of its own."""
    _run([sys.executable, "-m", "embedded.root", recipe.name], say)


def _run(command: list[str], say: Callable[[str], None]) -> None:
    last = ""
    # fmt: off
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:
        # fmt: on
        for line in process.stdout or ():
            if line.strip():
                last = line.strip()
                say(last)
    if process.returncode:
        # The root's builder has worded its error already.
        raise StackError(last.removeprefix("error: ") or f"{command[0]} failed")


def prepare(recipes: Sequence[Recipe]) -> None:
    """Make whatever is missing of the environment and these roots; returns quickly where nothing
    is."""
    jobs: dict[str, Callable[[Callable[[str], None]], None]] = {}
    if not venv_is_complete():
        jobs["venv"] = make_venv
    for recipe in recipes:
        if not is_complete(root_path(recipe)):
            jobs[recipe.name] = partial(build_root, recipe)
    if missing := missing_packages():
        # Where all is built, the programs that build are not needed any more.
        needed = {"venv": ("python3-venv",)}
        wanted = {package for job in jobs for package in needed.get(job, ("mmdebstrap", "uidmap"))}
        if recipes:
            wanted.add("bubblewrap")
        if wanted.intersection(missing):
            install_packages(missing)
    if not jobs:
        return
    errors: list[str] = []

    def work(name: str, job: Callable[[Callable[[str], None]], None]) -> None:
        try:
            job(lambda line: print(f"{name} | {line}", flush=True))
        except StackError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=work, args=job, daemon=True) for job in jobs.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise StackError("; ".join(errors))


def main() -> int:
    """Command line: the names of the roots that are wanted. One message for an expected error."""
    try:
        name = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:12]
        with exclusive(
            cache_directory() / f"checkout-{name}.lock",
            on_wait=lambda: print("waiting: another make prepares this checkout", flush=True),
        ):
            prepare([RECIPES[name] for name in sys.argv[1:]])
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next make goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
