"""A run that connects to databases, or fails to."""

from collections.abc import Mapping
from dataclasses import dataclass

from resources.settings import market_settings

SECRET = "secret of the 'faults' \\ %40"
SESSION = "2025-01-02"
SETTINGS = market_settings({"SYMBOLS_FIRST_SESSION": SESSION, "DAILY_BARS_FIRST_SESSION": SESSION})

LOGIN = "TIMESCALE_HOST, TIMESCALE_PORT, TIMESCALE_USER, TIMESCALE_PASSWORD, TIMESCALE_DB"
TLS = "TIMESCALE_SSLMODE, TIMESCALE_SSLROOTCERT"


@dataclass(frozen=True)
class Run:
    """A run in this process: how its one session failed (None: it did not), everything it wrote
    anywhere (which holds no password), and how often it tried to connect."""

    error: str | None
    written: str
    tries: int
    environment: Mapping[str, str]


def assert_clear(found: Run, says: str, check: str, database: str = "TimescaleDB") -> None:
    assert found.error is not None
    assert found.error.startswith(f"cannot reach {database} ")
    assert says in found.error
    assert found.error.endswith(f"; check {check} (and the attempt is not in the ledger)")
    assert found.error.count("check") == 1
    # Dagster tells how it came to the failure; nothing below it does.
    assert "Traceback" not in found.written
    assert "adbc" not in found.written
