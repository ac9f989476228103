"""A checkout to run dg in, as its user does: real processes, our dagster.yaml, an .env."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from embedded.paths import CHECKOUT

SECONDS = 300
"""What no command may take longer than."""


def make_project(directory: Path, variables: Mapping[str, str]) -> Path:
    """Links to the checkout, and an .env of its own: dg lets .env win over the environment, and
    the .env in the checkout is the demo's."""
    for name in ("pyproject.toml", "workspace.yaml", "dagster.yaml", "stock_assets"):
        (directory / name).symlink_to(CHECKOUT / name)
    lines = [
        f"{name}='{value}'"
        for name, value in {**variables, "DAGSTER_HOME": str(directory)}.items()
        if value
    ]
    (directory / ".env").write_text("\n".join(lines))
    return directory


def start_dg(project: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """dg with these arguments; ``environment`` is for what .env does not say."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("dg")), *arguments],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), "COLUMNS": "200", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """The process once it has ended, with all it wrote; killed where it does not end."""
    with process:
        try:
            stdout, stderr = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def ended(process: subprocess.Popen[Any]) -> None:
    """End the process as an operator does; by force where it does not end within a minute."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
