"""Least privilege, role by role: what each may do, and what it is refused, straight on the servers,
where no pooler stands between. Statements that are allowed are rolled back."""

import pytest

from tests.integration.privileges.roles import (
    ALLOWED,
    APPLICATION,
    DENIED,
    FORBIDDEN,
    LEDGER_LINE,
    NOBODY,
    TIMESCALE,
    is_refused,
)


@pytest.fixture(params=[*TIMESCALE, *APPLICATION])
def role(request: pytest.FixtureRequest) -> str:
    return request.param


def test_what_is_allowed_works(log_in, clean, role):
    with log_in(role) as connection:
        refused = [statement for statement in ALLOWED[role] if is_refused(connection, statement)]
    assert refused == []


def test_what_is_not_is_refused(log_in, clean, role):
    with log_in(role) as connection:
        statements = [*NOBODY, *FORBIDDEN[role]]
        done = [statement for statement in statements if not is_refused(connection, statement)]
    assert done == []


def test_a_reader_that_drops_its_own_guard_still_cannot_write(log_in, clean):
    for reader, statement in (
        ("collector_reader", "DELETE FROM daily_bars"),
        ("stockeasy_reader", "DELETE FROM symbols"),
    ):
        with log_in(reader) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.commit()
            with pytest.raises(DENIED):
                connection.execute(statement)


def test_the_maintainer_owns_by_membership_which_is_as_far_as_it_can_be_kept(log_in, clean):
    """TimescaleDB asks for ownership: rows and chunks it may therefore remove."""
    possible = [
        *("DELETE FROM daily_bars", "TRUNCATE daily_bars", "DELETE FROM quarantine"),
        *(LEDGER_LINE, "ALTER TABLE quarantine OWNER TO collector_maintainer"),
    ]
    with log_in("collector_maintainer") as connection:
        assert [statement for statement in possible if is_refused(connection, statement)] == []
