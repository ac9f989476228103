"""docker-compose.yml, as Docker Compose itself understands it; no engine is needed for that."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from embedded.environment import fresh_environment
from embedded.errors import StackError
from embedded.paths import CHECKOUT
from embedded.root import TESTS, ensure_root

COMPOSE = "usr/libexec/docker/cli-plugins/docker-compose"
Config = dict[str, Any]
Compose = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def tests_root() -> Path:
    """The Debian root with what only tests run."""
    try:
        return ensure_root(TESTS)
    except StackError as error:
        pytest.skip(f"needs the tests' Debian root, which cannot be built: {error}")


@pytest.fixture(scope="session")
def compose(tests_root: Path) -> Compose:
    """Run `docker compose` on the project's file with the given variables and no others."""

    def compose(
        *arguments: str, variables: Mapping[str, str], files: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        names = files or ("docker-compose.yml",)
        command = [str(tests_root / COMPOSE), "--env-file", os.devnull]
        for name in names:
            command += ["--file", str(CHECKOUT / name)]
        return subprocess.run(
            [*command, *arguments],
            env={"PATH": os.environ["PATH"], **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return compose


@pytest.fixture(scope="session")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `.env` says after set-up."""
    return fresh_environment(CHECKOUT, tmp_path_factory.mktemp("local"), {})


@pytest.fixture(scope="session")
def config(compose: Compose, variables: Mapping[str, str]) -> Config:
    """The file with every variable and default filled in, all profiles included."""
    result = compose("--profile", "*", "config", "--format", "json", variables=variables)
    assert result.returncode == 0, result.stderr
    content: Config = json.loads(result.stdout)
    return content
