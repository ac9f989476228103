"""The building of the Debian root, with small programs in place of mmdebstrap."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from embedded import prepare, root
from embedded.errors import StackError

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
    built = root.ensure_root(cache)
    assert root.is_complete(built)
    assert (built / "etc/passwd").exists()
    assert (built / "data").is_dir()
    assert not (built / "dev/null").exists()
    assert root.ensure_root(cache) == built
    assert builds(cache.parent) == 1


def test_a_half_built_root_is_noticed_and_built_anew(cache: Path) -> None:
    half = root.root_path(cache)
    (half / "etc").mkdir(parents=True)
    (half / "etc/half").touch()
    crashed = half.with_name(half.name + ".partial-crashed")
    crashed.mkdir()
    built = root.ensure_root(cache)
    assert root.is_complete(built)
    assert not (built / "etc/half").exists()
    assert not crashed.exists()


def test_two_builders_build_it_once(cache: Path) -> None:
    threads = [threading.Thread(target=root.ensure_root, args=(cache,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert builds(cache.parent) == 1


def test_a_missing_network_is_one_clear_error_and_leaves_nothing(cache: Path) -> None:
    message = "E: Failed to fetch http://x/InRelease  Could not resolve 'x'"
    install(cache.parent, f'#!/bin/sh\necho "{message}" >&2\nexit 25\n')
    with pytest.raises(StackError, match="mirror cannot be reached"):
        root.ensure_root(cache)
    assert [path.name for path in cache.iterdir()] == [root.root_path(cache).name + ".lock"]


def test_another_failure_gives_its_reason(cache: Path) -> None:
    install(cache.parent, '#!/bin/sh\necho "I: fine" >&2\necho "E: no space" >&2\nexit 1\n')
    with pytest.raises(StackError, match="mmdebstrap failed: E: no space"):
        root.ensure_root(cache)


def test_other_packages_mean_another_root(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = root.root_path(cache)
    monkeypatch.setattr(root, "PACKAGES", (*root.PACKAGES, "postgresql-17-cron"))
    assert root.root_path(cache) != before


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
