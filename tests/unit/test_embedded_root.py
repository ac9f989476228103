"""The building of Debian roots, with small programs in place of mmdebstrap."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from embedded import prepare, root
from embedded.errors import StackError
from embedded.paths import CHECKOUT
from embedded.root import SERVERS, TESTS

#: Counts its runs and writes a root of two files as a tar stream.
WORKING = """#!/bin/sh
echo run >> "$COUNT"
echo "I: working" >&2
mkdir -p "$WORK/tree/etc" "$WORK/tree/dev"
echo "postgres:x:101:103::/:/bin/sh" > "$WORK/tree/etc/passwd"
echo device > "$WORK/tree/dev/null"
tar -C "$WORK/tree" -cf - .
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    monkeypatch.setenv("WORK", str(tmp_path))
    # Whether this machine has subordinate ids for us is not the question here.
    monkeypatch.setattr("os.geteuid", lambda: 0)
    install(tmp_path, WORKING)
    return tmp_path / "cache"


def install(directory: Path, script: str) -> None:
    program = directory / "bin" / "mmdebstrap"
    program.write_text(script)
    program.chmod(0o755)


def builds(directory: Path) -> int:
    return len((directory / "count").read_text().splitlines())


def test_it_is_built_once(cache: Path) -> None:
    built = root.ensure_root(SERVERS, cache)
    assert root.is_complete(built)
    assert (built / "etc/passwd").exists()
    assert (built / "data").is_dir()
    assert not (built / "dev/null").exists()
    assert root.ensure_root(SERVERS, cache) == built
    assert builds(cache.parent) == 1


def test_a_half_built_root_is_noticed_and_built_anew(cache: Path) -> None:
    half = root.root_path(SERVERS, cache)
    (half / "etc").mkdir(parents=True)
    (half / "etc/half").touch()
    crashed = half.with_name(half.name + ".partial-crashed")
    crashed.mkdir()
    built = root.ensure_root(SERVERS, cache)
    assert root.is_complete(built)
    assert not (built / "etc/half").exists()
    assert not crashed.exists()


def test_two_builders_build_it_once(cache: Path) -> None:
    threads = [threading.Thread(target=root.ensure_root, args=(SERVERS, cache)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds(cache.parent) == 1


def test_a_missing_network_is_one_clear_error_and_leaves_nothing(cache: Path) -> None:
    message = "E: Failed to fetch http://x/InRelease  Could not resolve 'x'"
    install(cache.parent, f'#!/bin/sh\necho "{message}" >&2\nexit 25\n')
    with pytest.raises(StackError, match="mirror cannot be reached, so the servers' root"):
        root.ensure_root(SERVERS, cache)
    assert [path.name for path in cache.iterdir()] == [
        root.root_path(SERVERS, cache).name + ".lock"
    ]


def test_another_failure_gives_its_reason(cache: Path) -> None:
    install(cache.parent, '#!/bin/sh\necho "I: fine" >&2\necho "E: no space" >&2\nexit 1\n')
    with pytest.raises(
        StackError, match="mmdebstrap failed to make the servers' root: E: no space"
    ):
        root.ensure_root(SERVERS, cache)


def test_other_contents_mean_another_root(cache: Path) -> None:
    recipes = [
        SERVERS,
        TESTS,
        dataclasses.replace(SERVERS, packages=(*SERVERS.packages, "postgresql-17-cron")),
        dataclasses.replace(SERVERS, excluded=()),
        dataclasses.replace(SERVERS, mount_points=("data", "etc")),
        dataclasses.replace(SERVERS, essential_hook="true"),
    ]
    assert len({root.root_path(recipe, cache) for recipe in recipes}) == len(recipes)


def test_two_roots_stand_side_by_side(cache: Path) -> None:
    servers, tests = root.ensure_root(SERVERS, cache), root.ensure_root(TESTS, cache)
    assert root.is_complete(servers)
    assert root.is_complete(tests)
    assert builds(cache.parent) == 2


def test_a_missing_mmdebstrap_is_one_clear_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StackError, match="mmdebstrap is missing, so the tests' root was not built"):
        root.ensure_root(TESTS, cache)


def test_mmdebstrap_is_installed_where_only_the_tests_root_is_missing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    for name in ("sh", "tar", "mkdir", "mv"):
        (programs / name).symlink_to(shutil.which(name) or name)
    (programs / "bwrap").symlink_to(programs / "sh")
    (programs / "mmdebstrap").rename(tmp_path / "mmdebstrap")
    (programs / "apt-get").write_text(
        '#!/bin/sh\necho "$@" >> "$WORK/apt"\n'
        'test "$1" = update || mv "$WORK/mmdebstrap" "$WORK/bin/mmdebstrap"\n'
    )
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    servers = root.root_path(SERVERS)
    servers.mkdir(parents=True)
    (servers / root.MARKER).touch()
    monkeypatch.setattr(prepare, "venv_is_complete", lambda: True)
    # In this process, which believes to be root's.
    monkeypatch.setattr(prepare, "build_root", lambda recipe, say: root.ensure_root(recipe))

    prepare.prepare([SERVERS])
    assert not (tmp_path / "apt").exists()
    prepare.prepare([SERVERS, TESTS])
    update, install = (tmp_path / "apt").read_text().splitlines()
    assert update == "update"
    assert "mmdebstrap" in install.split()
    assert root.is_complete(root.root_path(TESTS))
    assert builds(tmp_path) == 1


def test_only_make_test_prepares_the_tests_root() -> None:
    def commands(target: str) -> str:
        return subprocess.run(
            ["make", "--dry-run", target], cwd=CHECKOUT, capture_output=True, text=True, check=True
        ).stdout

    assert TESTS.name in commands("test")
    for target in ("demo", "up", "psql", "lint"):
        assert TESTS.name not in commands(target)


@pytest.mark.parametrize("value", ["", "relative/path"])
def test_the_cache_is_the_users(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert root.cache_directory() == Path("/home/somebody/.cache/stock-assets")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert root.cache_directory() == Path("/cache/stock-assets")


def test_missing_programs_are_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = prepare.missing_packages()
    assert missing[:3] == ["mmdebstrap", "bubblewrap", "uidmap"]
    with pytest.raises(StackError, match=r"lacks mmdebstrap, bubblewrap, uidmap.*apt-get install"):
        prepare.install_packages(missing)
