"""The making and keeping of `.env`."""

from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedded.environment import ensure_environment, fresh_environment, values, with_given
from embedded.errors import StackError
from embedded.paths import CHECKOUT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(CHECKOUT / ".env.example", tmp_path / ".env.example")
    return tmp_path


def test_it_is_made_private_with_a_password_for_everybody(checkout: Path) -> None:
    environment = ensure_environment(checkout, {})
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600
    passwords = [value for name, value in environment.items() if name.endswith("_PASSWORD")]
    assert all(len(password) >= 24 for password in passwords)
    # TIMESCALE_PASSWORD is collector_user's, by reference; all others differ.
    assert environment["TIMESCALE_PASSWORD"] == environment["COLLECTOR_DB_PASSWORD"]
    assert len(set(passwords)) == len(passwords) - 1
    assert environment["DAGSTER_HOME"] == str(checkout)
    assert environment["DAGSTER_STORAGE_DIR"] == str(checkout / ".local" / "dagster")


def test_the_second_time_nothing_changes(checkout: Path) -> None:
    first = ensure_environment(checkout, {})
    text = (checkout / ".env").read_text()
    (checkout / ".env").chmod(0o644)
    assert ensure_environment(checkout, {}) == first
    assert (checkout / ".env").read_text() == text
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600


def test_what_the_environment_says_at_first_is_kept(checkout: Path) -> None:
    given = {
        "MARKET_DATA_DIR": "/srv/market data",
        "TIMESCALE_PORT": "7433",
        "VALKEY_PASSWORD": "",
        "UNRELATED": "x",
        "DAGSTER_HOME": "/elsewhere",
    }
    ensure_environment(checkout, given)
    kept = values((checkout / ".env").read_text())
    assert kept["MARKET_DATA_DIR"] == "/srv/market data"
    assert kept["TIMESCALE_PORT"] == "7433"
    assert len(kept["VALKEY_PASSWORD"]) >= 24
    assert "UNRELATED" not in kept
    assert kept["DAGSTER_HOME"] == str(checkout)
    # Later the file wins, but for what it leaves commented out.
    later = ensure_environment(checkout, {"TIMESCALE_PORT": "1", "SOURCE_TIMEOUT": "7"})
    assert later["TIMESCALE_PORT"] == "7433"
    assert later["SOURCE_TIMEOUT"] == "7"
    assert "SOURCE_TIMEOUT" not in values((checkout / ".env").read_text())


def test_a_given_password_is_also_that_of_what_it_refers_to(checkout: Path) -> None:
    environment = ensure_environment(checkout, {"TIMESCALE_PASSWORD": "given"})
    assert environment["COLLECTOR_DB_PASSWORD"] == environment["TIMESCALE_PASSWORD"] == "given"


def test_a_moved_checkout_is_noticed(checkout: Path, tmp_path: Path) -> None:
    before = ensure_environment(checkout, {})
    moved = tmp_path / "moved to here"
    moved.mkdir()
    for name in (".env", ".env.example"):
        (checkout / name).rename(moved / name)
    after = ensure_environment(moved, {})
    assert after["DAGSTER_HOME"] == str(moved)
    assert after["DAGSTER_STORAGE_DIR"] == str(moved / ".local" / "dagster")
    assert after["APP_DB_PASSWORD"] == before["APP_DB_PASSWORD"]


def test_a_variable_added_to_the_example_is_added(checkout: Path) -> None:
    ensure_environment(checkout, {})
    with (checkout / ".env").open("a") as file:
        file.write("MINE=kept\n")
    with (checkout / ".env.example").open("a") as file:
        file.write("\n# What it is.\nNEW_PASSWORD=\nNEW_PORT=1\n#NEW_OPTION=off\n")
    environment = ensure_environment(checkout, {})
    assert environment["MINE"] == "kept"
    assert environment["NEW_PORT"] == "1"
    assert len(environment["NEW_PASSWORD"]) >= 24
    text = (checkout / ".env").read_text()
    assert text.count("# What it is.\nNEW_PASSWORD=") == 1
    assert "\n#NEW_OPTION=off\n" in text
    ensure_environment(checkout, {})
    assert (checkout / ".env").read_text() == text


def test_an_empty_password_is_refused(checkout: Path) -> None:
    ensure_environment(checkout, {})
    file = checkout / ".env"
    file.write_text(re.sub("(?m)^VALKEY_PASSWORD=.*", "#VALKEY_PASSWORD=", file.read_text()))
    with pytest.raises(StackError, match="VALKEY_PASSWORD is empty"):
        ensure_environment(checkout, {})


def test_a_commented_out_variable_is_not_added_again(checkout: Path) -> None:
    ensure_environment(checkout, {})
    file = checkout / ".env"
    file.write_text(file.read_text().replace("VALKEY_PORT=6379", "#VALKEY_PORT=6379"))
    assert ensure_environment(checkout, {})["VALKEY_PORT"] == "6379"
    assert file.read_text().count("VALKEY_PORT") == 1


@given(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="$"), min_size=1))
def test_any_given_value_is_read_back_as_it_was(value: str) -> None:
    assert values(with_given("#NAME=\n", {"NAME": value})) == {"NAME": value}


def test_a_stack_of_its_own_has_all_variables_and_no_file(checkout: Path) -> None:
    local = checkout / "own"
    environment = fresh_environment(checkout, local, {"VALKEY_PORT": "1", "EXTRA": "2"})
    assert environment["VALKEY_PORT"] == "1"
    assert environment["EXTRA"] == "2"
    assert environment["DAGSTER_STORAGE_DIR"] == str(local / "dagster")
    assert len(environment["APP_DB_PASSWORD"]) >= 24
    assert not (checkout / ".env").exists()


ENCRYPTED = ("TIMESCALE", "TIMESCALE_SERVER", "APP_DB", "APP_DB_SERVER")


def encryption(environment: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Mode and authorities of each server, the place of the checkout left out."""
    return {
        server: (
            environment.get(f"{server}_SSLMODE", ""),
            environment.get(f"{server}_SSLROOTCERT", "").rpartition("/.local/")[2],
        )
        for server in ENCRYPTED
    }


VERIFIED = ("verify-full", "certificates/authorities.crt")


def test_embedded_servers_are_verified(checkout: Path) -> None:
    environment = ensure_environment(checkout, {})
    assert encryption(environment) == dict.fromkeys(ENCRYPTED, VERIFIED)
    assert environment["TIMESCALE_SSLROOTCERT"].startswith(f"{checkout}/")


def test_an_older_env_gets_verification_and_keeps_what_it_says(checkout: Path) -> None:
    ensure_environment(checkout, {})
    file = checkout / ".env"
    older = re.sub(r"(?m)^\w+_SERVER_SSL\w+=.*\n", "", file.read_text())
    older = re.sub(r"(?m)^TIMESCALE_SSLMODE=.*", "#TIMESCALE_SSLMODE=prefer", older)
    older = re.sub(r"(?m)^TIMESCALE_SSLROOTCERT=.*", "#TIMESCALE_SSLROOTCERT=", older)
    older = re.sub(r"(?m)^APP_DB_SSLMODE=.*", "APP_DB_SSLMODE=verify-ca", older)
    file.write_text(re.sub(r"(?m)^APP_DB_SSLROOTCERT=.*", "APP_DB_SSLROOTCERT=/own.crt", older))
    environment = ensure_environment(checkout, {})
    assert encryption(environment) == dict.fromkeys(ENCRYPTED, VERIFIED) | {
        "APP_DB": ("verify-ca", "/own.crt")
    }


def test_servers_elsewhere_are_left_to_what_is_said_of_them(checkout: Path) -> None:
    ensure_environment(checkout, {})
    with (checkout / ".env").open("a") as file:
        file.write("EMBEDDED_TIMESCALEDB=no\n")
    found = encryption(ensure_environment(checkout, {}))
    assert found["TIMESCALE"] == found["TIMESCALE_SERVER"] == ("", "")
    assert found["APP_DB"] == VERIFIED
    file = checkout / ".env"
    file.write_text(file.read_text().replace("TIMESCALE_SSLMODE=", "TIMESCALE_SSLMODE=require"))
    assert encryption(ensure_environment(checkout, {}))["TIMESCALE"] == ("require", "")


def test_a_moved_checkout_trusts_its_own_authority(checkout: Path, tmp_path: Path) -> None:
    ensure_environment(checkout, {})
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in (".env", ".env.example"):
        (checkout / name).rename(moved / name)
    after = ensure_environment(moved, {})
    assert after["APP_DB_SSLROOTCERT"] == str(moved / ".local/certificates/authorities.crt")
