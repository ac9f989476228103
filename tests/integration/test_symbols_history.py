"""The dated table of symbols: what a load says, and what it must leave alone."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

import pandas as pd
import pytest

from resources.calendar import SEOUL
from resources.ingestion import ingest
from resources.ledger import Commit
from resources.loading import Attempt
from resources.tables import SYMBOLS

NOW = datetime(2025, 3, 3, 12, tzinfo=SEOUL)
DAYS = [date(2025, 1, day) for day in (2, 3, 6, 7, 8)]

# What was listed on each day, by symbol, with its name.
MEMBERS: Mapping[date, Mapping[str, str]] = {
    DAYS[0]: {"005930": "Samsung", "000660": "Hynix", "111111": "Gone"},
    DAYS[1]: {"005930": "Samsung", "000660": "Hynix", "111111": "Gone"},
    DAYS[2]: {"005930": "Samsung Electronics", "000660": "Hynix", "222222": "New"},
    DAYS[3]: {"005930": "Samsung Electronics", "000660": "Hynix", "222222": "New"},
    DAYS[4]: {"005930": "Samsung", "000660": "Hynix", "111111": "Gone", "222222": "New"},
}


class Listing:
    name = "listing"
    simulated = False

    def __init__(self, members: Mapping[date, Mapping[str, str]]) -> None:
        self.members = members

    def symbols(self, session: date, symbols: Sequence[str] | None) -> pd.DataFrame:
        rows = [
            [symbol, name, "KOSPI", "common", None, None]
            for symbol, name in self.members[session].items()
            if symbols is None or symbol in symbols
        ]
        return pd.DataFrame(rows, columns=list(SYMBOLS.column_names))


@pytest.fixture
def load(application_database) -> Callable[..., Commit]:
    def load(
        session: date,
        members: Mapping[date, Mapping[str, str]] = MEMBERS,
        symbols: tuple[str, ...] | None = None,
    ) -> Commit:
        source = Listing(members)
        attempt = Attempt(SYMBOLS, session, symbols, "run", source.name, False, False, NOW)
        return ingest(
            source, application_database, attempt, source_timeout=9, now=NOW, allow_shrink=True
        )

    return load


@pytest.fixture
def members(query_application) -> Callable[[date], dict[str, str]]:
    return lambda day: dict(
        query_application("SELECT symbol, name FROM symbols_on(%s::date)", [day])
    )


def test_spans_are_as_long_as_nothing_changes(load, query_application):
    for day in DAYS:
        load(day)
    spans = query_application(
        "SELECT symbol, name, valid_from::text, valid_to::text FROM symbols ORDER BY 1, 3"
    )
    assert spans == [
        ("000660", "Hynix", "2025-01-02", None),
        ("005930", "Samsung", "2025-01-02", "2025-01-06"),
        ("005930", "Samsung Electronics", "2025-01-06", "2025-01-08"),
        ("005930", "Samsung", "2025-01-08", None),
        ("111111", "Gone", "2025-01-02", "2025-01-06"),
        ("111111", "Gone", "2025-01-08", None),
        ("222222", "New", "2025-01-06", None),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
def test_whatever_the_order_every_session_gives_its_members(load, members, order):
    for position in order:
        load(DAYS[position])
    assert {day: members(day) for day in DAYS} == {day: dict(MEMBERS[day]) for day in DAYS}


def test_an_old_session_never_changes_newer_rows(load, members, query_application):
    load(DAYS[2])
    load(DAYS[4])
    newer = "SELECT * FROM symbols WHERE valid_from >= '2025-01-06' ORDER BY symbol, valid_from"
    before = query_application(newer)
    load(DAYS[0])
    assert query_application(newer) == before
    assert members(DAYS[0]) == MEMBERS[DAYS[0]]


def test_a_session_between_is_that_of_the_newest_load_before_it(load, members):
    load(DAYS[0])
    load(DAYS[2])
    assert members(date(2025, 1, 4)) == MEMBERS[DAYS[0]]
    assert members(date(2024, 12, 30)) == {}
    assert members(date(2026, 1, 2)) == MEMBERS[DAYS[2]]


def test_running_it_again_changes_nothing(load, query_application):
    for day in DAYS:
        load(day)
    everything = "SELECT ctid::text, * FROM symbols ORDER BY symbol, valid_from"
    before = query_application(everything)
    again = load(DAYS[1])
    assert (again.loaded, again.replaced) == (3, 3)
    assert query_application(everything) == before  # not a row was touched


def test_a_correction_reaches_up_to_the_next_loaded_session(load, members):
    load(DAYS[0])
    load(DAYS[2])
    corrected = {DAYS[0]: {"005930": "Sam", "333333": "Late"}}
    load(DAYS[0], corrected)
    assert members(DAYS[1]) == corrected[DAYS[0]]
    assert members(DAYS[2]) == MEMBERS[DAYS[2]]


def test_named_symbols_leave_the_others(load, members):
    load(DAYS[0])
    load(DAYS[2], symbols=("005930",))
    assert members(DAYS[2]) == dict(MEMBERS[DAYS[0]]) | {"005930": "Samsung Electronics"}
    # What was said of one symbol on the 6th holds against an older session loaded later.
    load(DAYS[1])
    assert members(DAYS[2])["005930"] == "Samsung Electronics"
    load(DAYS[3], symbols=("111111",))
    assert "111111" not in members(DAYS[3])
    assert "111111" in members(DAYS[2])


def test_ledger_and_quarantine_lie_beside_the_symbols(load, query_application):
    load(DAYS[0], {DAYS[0]: dict(MEMBERS[DAYS[0]]) | {"bad": "Bad"}})
    assert query_application(
        "SELECT asset, outcome, rows_loaded, rows_quarantined FROM ingest_ledger"
    ) == [("symbols", "committed", 3, 1)]
    assert query_application("SELECT row ->> 'symbol' FROM quarantine") == [("bad",)]


def test_nothing_outlives_the_transaction(load, query_application):
    """The pooler hands the server connection to the next client."""
    load(DAYS[0])
    load(DAYS[1])
    temporary = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"
    assert query_application(temporary) == [(0,)]
