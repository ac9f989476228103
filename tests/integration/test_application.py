"""The application's tables through SQLAlchemy and the transaction-mode PgBouncer."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect, select, text
from sqlalchemy.exc import IntegrityError

from resources.application import (
    Application,
    Base,
    Portfolio,
    PortfolioTransaction,
    Watchlist,
    WatchlistItem,
)
from resources.databases import DatabaseUnavailableError, LoginError

ROOT = Path(__file__).parents[2]
CLIENTS = 60
AT = datetime(2025, 1, 2, 9, tzinfo=UTC)


@pytest.fixture
def application(stack, clean) -> Iterator[Application]:
    yield Application.from_environment(stack.environment)


def test_models_are_the_tables(application):
    engine = application.engine()
    there = inspect(engine)
    for table in Base.metadata.sorted_tables:
        columns = [
            (column["name"], column["type"].compile(engine.dialect), column["nullable"])
            for column in there.get_columns(table.name)
        ]
        assert columns == [
            (column.name, column.type.compile(engine.dialect), column.nullable)
            for column in table.columns
        ]
        for column in there.get_columns(table.name):
            model = table.columns[column["name"]]
            assert ("identity" in column) == (model.identity is not None)
            has_default = column["default"] is not None
            assert has_default == (model.server_default is not None and model.identity is None)
        key = there.get_pk_constraint(table.name)["constrained_columns"]
        assert key == [column.name for column in table.primary_key]
        references = {
            (*key["constrained_columns"], key["referred_table"], key["options"].get("ondelete"))
            for key in there.get_foreign_keys(table.name)
        }
        assert references == {
            (key.parent.name, key.column.table.name, key.ondelete) for key in table.foreign_keys
        }
        unique = {
            tuple(found["column_names"]) for found in there.get_unique_constraints(table.name)
        }
        assert unique == {
            tuple(column.name for column in constraint.columns)
            for constraint in table.constraints
            if type(constraint).__name__ == "UniqueConstraint"
        }
        indexes = {
            (found["name"], tuple(found["column_names"]))
            for found in there.get_indexes(table.name)
            if "duplicates_constraint" not in found
        }
        assert indexes == {
            (index.name, tuple(column.name for column in index.columns)) for index in table.indexes
        }


def test_every_table_of_the_application_has_a_model(query_application):
    mine = query_application(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace "
        "AND c.relkind = 'r' AND has_table_privilege('stockeasy_app', c.oid, 'INSERT')"
    )
    assert {name for (name,) in mine} == set(Base.metadata.tables)


def test_a_watchlist_keeps_its_order_and_goes_with_its_items(application):
    with application.session() as session:
        session.add(
            Watchlist(
                owner="kim",
                name="chips",
                items=[
                    WatchlistItem(symbol="005930", position=0),
                    WatchlistItem(symbol="000660", position=1),
                ],
            )
        )
    with application.session() as session:
        first, second = session.scalars(select(Watchlist)).one().items
        assert (first.symbol, second.symbol) == ("005930", "000660")
        first.position, second.position = 1, 0
    with application.session() as session:
        watchlist = session.scalars(select(Watchlist)).one()
        assert [item.symbol for item in watchlist.items] == ["000660", "005930"]
        session.delete(watchlist)
    with application.session() as session:
        assert session.scalars(select(WatchlistItem)).all() == []


def test_positions_follow_from_transactions(application):
    def trade(symbol: str, side: str, shares: int, price: str) -> PortfolioTransaction:
        return PortfolioTransaction(
            symbol=symbol, side=side, shares=shares, price=Decimal(price), costs=10, traded_at=AT
        )

    with application.session() as session:
        session.add(
            Portfolio(
                owner="kim",
                name="own",
                transactions=[
                    trade("005930", "buy", 10, "100.5"),
                    trade("005930", "sell", 4, "200"),
                    trade("000660", "buy", 1, "5"),
                    trade("000660", "sell", 1, "6"),
                ],
            )
        )
    with application.session() as session:
        positions = session.execute(
            text("SELECT symbol, shares, net_paid FROM portfolio_positions")
        ).all()
    assert positions == [("005930", 6, Decimal("225.00"))]


@pytest.mark.parametrize(
    "row",
    [
        Watchlist(owner=" ", name="n"),
        Watchlist(owner="lee", name="twice"),
        WatchlistItem(watchlist_id=0, symbol="005930", position=0),
        PortfolioTransaction(
            portfolio_id=0, symbol="5930", side="buy", shares=1, price=1, traded_at=AT
        ),
        PortfolioTransaction(
            portfolio_id=0, symbol="005930", side="short", shares=1, price=1, traded_at=AT
        ),
        PortfolioTransaction(
            portfolio_id=0, symbol="005930", side="buy", shares=0, price=1, traded_at=AT
        ),
        PortfolioTransaction(
            portfolio_id=0, symbol="005930", side="buy", shares=1, price=1, traded_at=AT
        ),
    ],
    ids=["blank", "twice", "no list", "symbol", "side", "shares", "no portfolio"],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(application, row):
    with application.session() as session:
        session.add(Watchlist(owner="lee", name="twice"))
    with pytest.raises(IntegrityError), application.session() as session:
        session.add(Watchlist(owner="kim", name="before"))
        session.flush()
        session.merge(row)
    with application.session() as session:
        assert session.scalars(select(Watchlist.name)).all() == ["twice"]


def test_many_clients_share_few_connections_and_leave_nothing_to_the_next(application):
    """All at once, so that the pooler must hand connections on in between."""
    ready = threading.Barrier(CLIENTS)

    def client(number: int) -> int:
        engine = application.engine()
        with engine.connect() as connection:
            ready.wait(timeout=60)
            for turn in range(5):
                with connection.begin():
                    found = connection.execute(
                        text("SELECT current_setting('stock.client', true), CAST(:n AS int)"),
                        {"n": number * 10 + turn},
                    ).one()
                    assert found[1] == number * 10 + turn
                    assert not found[0], "another client's setting"
                    connection.execute(text(f"SET LOCAL stock.client = 'c{number}'"))
                    assert connection.scalar(text("SHOW stock.client")) == f"c{number}"
                    server = connection.scalar(text("SELECT pg_backend_pid()"))
        return server

    with ThreadPoolExecutor(CLIENTS) as pool:
        servers = set(pool.map(client, range(CLIENTS)))
    assert len(servers) <= 40  # pgbouncer's, for all clients of a database
    with application.engine().connect() as connection:
        left = "SELECT count(*) FROM pg_prepared_statements"
        assert connection.scalar(text(left)) == 0


def test_prepared_statements_follow_their_client(application):
    """What other clients of the same pooler may do: psycopg's own prepared statements."""
    parameters = {
        name: value for name, value in application._parameters().items() if value is not None
    }
    ready = threading.Barrier(CLIENTS)

    def client(number: int) -> list[int]:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            ready.wait(timeout=60)
            return [
                connection.execute(
                    "SELECT %s::int + %s::int", [number, turn], prepare=True
                ).fetchone()[0]
                for turn in range(10)
            ]

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(client, range(CLIENTS)))
    assert answers == [[number + turn for turn in range(10)] for number in range(CLIENTS)]


def test_errors_name_the_database_and_not_the_password(application):
    wrong = application.model_copy(update={"password": "geheim"})
    with (
        pytest.raises(LoginError, match="APP_DB_APPLICATION_PASSWORD") as error,
        wrong.session() as s,
    ):
        s.execute(text("SELECT 1"))
    assert "geheim" not in str(error.value) + repr(wrong) + str(wrong.engine().url)
    away = application.model_copy(update={"port": 1})
    with pytest.raises(DatabaseUnavailableError, match="at 127"), away.session() as session:
        session.execute(text("SELECT 1"))


def test_only_migrations_go_straight_to_the_applications_server():
    """Whatever we run names the pooler's port; the server's own is for migrations and bootstrap."""
    files = [*ROOT.glob("resources/**/*.py"), *ROOT.glob("stock_assets/**/*.py")]
    files += [ROOT / "dagster.yaml", ROOT / "workspace.yaml"]
    assert len(files) > 40
    straight = re.compile(r"APP_DB_SERVER|\b5432\b")
    assert [file.name for file in files if straight.search(file.read_text("utf-8"))] == []
    embedded = {
        file.name for file in ROOT.glob("embedded/*.py") if "APP_DB_SERVER" in file.read_text()
    }
    assert "migrations.py" in embedded
    assert not {"demo.py"} & embedded
