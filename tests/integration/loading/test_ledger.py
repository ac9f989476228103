"""What is kept of an attempt, and what is said when there is no database."""

import pytest

from resources.canonical import canonical
from resources.databases import DatabaseError
from resources.loading import LoadRefusedError, Refused, load
from resources.tables import DAILY_BARS
from resources.validation import split
from tests.integration.loading.dump import NOW, SESSION, Dump, attempt, bars, with_bad


def test_the_ledger_tells_it_all(run, query):
    run(Dump(with_bad(100, 2)), run_id="first", symbols=None)
    (row,) = query("SELECT * FROM ingest_ledger")
    (_, run_id, asset, session, source, simulated, provisional, outcome, symbols, *rest) = row
    assert (run_id, asset, session, source) == ("first", "daily_bars", SESSION, "dump")
    assert (simulated, provisional, outcome, symbols) == (False, False, "committed", None)
    loaded, replaced, quarantined, total, error, started_at, committed_at = rest
    assert (loaded, replaced, quarantined, error) == (98, 0, 2, None)
    assert total is not None
    assert started_at == NOW
    assert committed_at > NOW


def test_refusal_by_the_contract_raises_from_load_itself(timescaledb, run, stored):
    run(Dump(bars(10)))
    rows = canonical(split(bars(1), DAILY_BARS, SESSION, NOW).good, DAILY_BARS)
    with pytest.raises(LoadRefusedError):
        load(timescaledb, attempt(), rows, 0, Refused())
    assert len(stored()) == 10


"""One clear line that names the place and what to check, without the password."""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"password": "wrong-secret"}, "authentication failed"),
        ({"dbname": "nowhere"}, "nowhere"),
        ({"port": 1}, "Connection refused"),
    ],
)
def test_it_says_so(timescaledb, change, says):
    database = timescaledb.model_copy(update=change)
    with pytest.raises(DatabaseError) as error, database.connect():
        pass
    message = str(error.value)
    assert message.startswith("cannot reach TimescaleDB ")
    assert says in message
    assert "; check TIMESCALE_HOST, TIMESCALE_PORT, " in message
    assert "\n" not in message
    assert database.password not in message
