"""The questions that docs/operations.md asks of the servers are answered by them."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest

from embedded.errors import StackError
from embedded.paths import CHECKOUT
from embedded.stack import Stack
from tests.guide import COMMANDS
from tests.integration.access import eventually, login

READ_ONLY = {"PGOPTIONS": "-c default_transaction_read_only=on"}
FILES = sorted(path.name for path in (CHECKOUT / "sql" / "operations").iterdir())


def ask(stack: Stack, sql: str, server: str = "timescaledb") -> str:
    """What psql, as superuser and free to change nothing, prints."""
    database = stack.environment["TIMESCALE_DB" if server == "timescaledb" else "APP_DB_NAME"]
    return stack.superuser(server).script(sql, READ_ONLY, database)


def asked() -> list[str]:
    """The guide's SQL, but for what changes something or ends a connection by its number."""
    found = [
        match[1] for command in COMMANDS if (match := re.match(r'echo "(.*)" \| .*psql', command))
    ]
    assert len(found) > 5
    return [sql for sql in found if not re.match(r"ALTER|SELECT pg_terminate_backend\(\d", sql)]


@pytest.mark.parametrize("sql", asked())
def test_what_it_asks_is_answered(stack: Stack, sql: str) -> None:
    ask(stack, sql)


@pytest.mark.parametrize("server", ["timescaledb", "postgres"])
@pytest.mark.parametrize("name", FILES)
def test_its_files_are_answered_by_both_servers(stack: Stack, name: str, server: str) -> None:
    answer = ask(stack, (CHECKOUT / "sql" / "operations" / name).read_text("utf-8"), server)
    if name == "sizes.sql":
        assert "write-ahead log" in answer


def test_who_holds_a_lock_is_named(stack: Stack, clean) -> None:
    question = (CHECKOUT / "sql" / "operations" / "lock_waits.sql").read_text("utf-8")
    with login(stack, "timescaledb") as holder, login(stack, "timescaledb") as waiter:
        holder.execute("LOCK TABLE quarantine")
        waiting = threading.Thread(target=waiter.execute, args=("SELECT count(*) FROM quarantine",))
        waiting.start()
        pid, blocked = holder.info.backend_pid, waiter.info.backend_pid

        def shown() -> bool:
            return any(
                line.split("|")[0] == str(blocked) and line.split("|")[4] == str(pid)
                for line in ask(stack, question).splitlines()
            )

        eventually(shown)
        holder.rollback()
        waiting.join()
        eventually(lambda: not ask(stack, question))


@pytest.fixture
def outdated(stack: Stack) -> Iterator[str]:
    """A database like ours whose extension is of the version before, which the server lacks."""
    if stack.timescale_url:
        pytest.skip("needs a server that we may give databases; run it without --timescale-dsn")
    name = "outdated"
    superuser = stack.superuser()
    bootstrap = (CHECKOUT / "sql" / "bootstrap" / "timescaledb.sql").read_text("utf-8")
    superuser.script(bootstrap, {**stack.environment, "TIMESCALE_DB": name})
    superuser.script(
        r"""SELECT source AS old FROM pg_extension_update_paths('timescaledb')
           JOIN pg_available_extensions ON name = 'timescaledb' AND default_version = target
           WHERE path = source || '--' || target
           ORDER BY string_to_array(source, '.')::int[] DESC LIMIT 1 \gset
           UPDATE _timescaledb_catalog.metadata SET value = :'old'
           WHERE key = 'timescaledb_version';
           UPDATE pg_extension SET extversion = :'old' WHERE extname = 'timescaledb';""",
        {},
        name,
    )
    yield name
    superuser.script(f"DROP DATABASE {name} WITH (FORCE)", {})


def test_the_extension_is_updated_before_a_trigger_of_ours_loads_it(
    stack: Stack, outdated: str
) -> None:
    """The bootstrap's event trigger would ask for the old version's library."""
    commands = [command for command in COMMANDS if "ALTER EXTENSION" in command]
    ((update, options),) = re.findall(r'echo "(.*)" \| PGOPTIONS=\'(.*)\'', commands[0])
    superuser = stack.superuser()
    with pytest.raises(StackError, match="could not access file"):
        superuser.script(update, {}, outdated)
    superuser.script(update, {"PGOPTIONS": options}, outdated)
    version = "SELECT extversion = default_version FROM pg_extension JOIN pg_available_extensions"
    assert superuser.script(f"{version} ON name = extname", {}, outdated).splitlines()[0] == "t"
