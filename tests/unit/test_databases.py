"""What the environment says about connections."""

import dagster as dg
import pytest

from resources.databases import ApplicationDatabase, Database, TimescaleDB

VARIABLES = {
    **{name: f"of {name}" for name in (*TimescaleDB.variables.values(),)},
    **{name: f"of {name}" for name in (*ApplicationDatabase.variables.values(),)},
    "TIMESCALE_PORT": "6433",
    "APP_DB_PORT": "6432",
}
databases = pytest.mark.parametrize("kind", [TimescaleDB, ApplicationDatabase])


def resolved(database: Database) -> Database:
    """With the environment's values, as a run has it."""
    with dg.build_resources({"database": database}) as resources:
        return resources.database


@databases
def test_encryption_need_not_be_asked_for(kind, monkeypatch):
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(kind.tls_variables["sslmode"], "")
    for database in (kind.from_environment(VARIABLES), resolved(kind.configured())):
        assert (database.sslmode, database.sslrootcert) == (None, None)


@databases
def test_encryption_that_is_asked_for_is_demanded(kind, monkeypatch):
    wanted = {
        kind.tls_variables["sslmode"]: "verify-full",
        kind.tls_variables["sslrootcert"]: "/ca",
    }
    for name, value in {**VARIABLES, **wanted}.items():
        monkeypatch.setenv(name, value)
    for database in (kind.from_environment(VARIABLES | wanted), resolved(kind.configured())):
        assert (database.sslmode, database.sslrootcert) == ("verify-full", "/ca")
        assert database.host == f"of {kind.variables['host']}"
