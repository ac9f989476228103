"""The application's own tables, row by row: watchlists and portfolios, through SQLAlchemy.

The one place that knows how: an engine through the application's transaction-mode PgBouncer, which
hands each transaction to whichever server connection is free. So nothing is kept between
transactions: no pool of our own, no plain ``SET`` (``SET LOCAL`` or a role's setting instead), no
temporary table, no advisory lock that outlives its transaction, and no prepared statement on our
side.

The tables are made by ``sql/application``; a test holds the models here against them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Engine,
    ForeignKey,
    Identity,
    Index,
    Integer,
    NullPool,
    Numeric,
    UniqueConstraint,
    create_engine,
    func,
)
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.types import Text

from resources.databases import ApplicationDatabase, Login
from resources.tables import SYMBOL_PATTERN

_IS_SYMBOL = f"symbol ~ '^{SYMBOL_PATTERN}$'"


class Base(DeclarativeBase):
    """Models of the application's own tables; times are instants, amounts KRW."""

    type_annotation_map = {  # noqa: RUF012
        str: Text(),
        int: BigInteger(),
        datetime: DateTime(timezone=True),
        Decimal: Numeric(12, 2),
    }


class Watchlist(Base):
    """A list of symbols somebody watches; a name is used once by an owner."""

    __tablename__ = "watchlists"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    items: Mapped[list["WatchlistItem"]] = relationship(
        order_by="WatchlistItem.position", cascade="all, delete-orphan", passive_deletes=True
    )


class WatchlistItem(Base):
    """A symbol of a watchlist; ``position`` is its place in it, from 0."""

    __tablename__ = "watchlist_items"
    __table_args__ = (
        UniqueConstraint("watchlist_id", "position", deferrable=True, initially="DEFERRED"),
        CheckConstraint(_IS_SYMBOL),
        Index("watchlist_items_symbol_idx", "symbol"),
    )

    watchlist_id: Mapped[int] = mapped_column(
        ForeignKey("watchlists.id", ondelete="CASCADE"), primary_key=True
    )
    symbol: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(Integer)
    note: Mapped[str | None]
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Portfolio(Base):
    """What somebody holds; a name is used once by an owner."""

    __tablename__ = "portfolios"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    transactions: Mapped[list["PortfolioTransaction"]] = relationship(
        order_by="PortfolioTransaction.traded_at",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )


class PortfolioTransaction(Base):
    """Shares bought or sold: ``price`` in KRW a share, ``costs`` (fees and taxes) in KRW. The view
    ``portfolio_positions`` adds them up."""

    __tablename__ = "portfolio_transactions"
    __table_args__ = (
        CheckConstraint(_IS_SYMBOL),
        Index("portfolio_transactions_portfolio_id_idx", "portfolio_id", "symbol", "traded_at"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    portfolio_id: Mapped[int] = mapped_column(ForeignKey("portfolios.id", ondelete="CASCADE"))
    symbol: Mapped[str]
    side: Mapped[str]
    shares: Mapped[int]
    price: Mapped[Decimal]
    costs: Mapped[Decimal] = mapped_column(server_default="0")
    traded_at: Mapped[datetime]
    note: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Application(Login):
    """The application's PostgreSQL as the application itself uses it, through the
    transaction-mode PgBouncer."""

    title = "application PostgreSQL"
    variables = {  # noqa: RUF012
        "host": "APP_DB_HOST",
        "port": "APP_DB_PORT",
        "password": "APP_DB_APPLICATION_PASSWORD",
        "dbname": "APP_DB_NAME",
    }
    tls_variables = ApplicationDatabase.tls_variables
    user: str = "stockeasy_app"

    def engine(self) -> Engine:
        """An engine that opens a connection when it is needed and closes it after; PgBouncer is
        the pool. Parameters, password included, never stand in its URL."""
        return create_engine(
            URL.create("postgresql+psycopg"),
            poolclass=NullPool,
            connect_args={
                **{name: value for name, value in self._parameters().items() if value is not None},
                # A prepared statement of psycopg's own would be tied to one server connection.
                "prepare_threshold": None,
            },
        )

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One unit of work in one transaction: committed at the end, rolled back if anything is
        raised. What the driver raises leaves as ``DatabaseError`` where the connection is at
        fault; a constraint that is violated, as SQLAlchemy's ``IntegrityError``."""
        engine = self.engine()
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as error:
            raise self._explained(_cause(error), connecting=error.statement is None) from error
        finally:
            engine.dispose()


def _cause(error: OperationalError) -> Exception:
    return error.orig if isinstance(error.orig, Exception) else error
