"""The tables we load: their columns, Arrow types, units and keys.

This is the one source of truth for a table's shape. The rules' columns, the Arrow cast, Dagster's
column schema and the sources' canonical columns all come from here; a test holds the migrations in
``sql/`` against it. How rows are judged is in ``schemas``, how they are written in ``loading``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

SYMBOL_PATTERN = "[0-9A-Z]{6}"
"""A KRX short code, as a regular expression for the whole of it."""

FLOW_MARKETS = ("KOSPI", "KOSDAQ")
"""Those whose investors KRX reports for the market as a whole."""


class Dataset(StrEnum):
    """What a source delivers; also the name of the Dagster asset that loads it."""

    SYMBOLS = "symbols"
    DAILY_BARS = "daily_bars"
    MINUTE_BARS = "minute_bars"
    SUPPLY_DEMAND = "supply_demand"
    MARKET_FLOWS = "market_flows"
    COMPANIES = "companies"
    ETF_CONSTITUENTS = "etf_constituents"


class Kind(StrEnum):
    """A column's type, named as PostgreSQL names it."""

    TEXT = "text"
    PRICE = "numeric(12,2)"
    QUANTITY = "numeric(18,2)"
    PERCENT = "numeric(7,2)"
    BIGINT = "bigint"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    TIMESTAMPTZ = "timestamptz"


@dataclass(frozen=True)
class Column:
    """One column. ``description`` states the unit and, for times, the zone."""

    name: str
    kind: Kind
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """One table of a database, as a source delivers it and as the loader writes it."""

    dataset: Dataset
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    measures: tuple[str, ...]
    """Columns of which at least one is filled in every real row: blank throughout means that the
    source answered as it does on a closed day."""
    database: Literal["timescaledb", "application_database"] = "timescaledb"
    """The Dagster resource that is the table's database."""
    dated: bool = False
    """A master: a row says from which day to which what it says was so (``valid_from``,
    ``valid_to``), instead of belonging to one session. ``<name>_on(day)`` gives a day's."""

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def by_symbol(self) -> bool:
        """Whether its rows are of symbols, so that a load can be limited to some of them."""
        return "symbol" in self.column_names

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def arrow_schema(self) -> "pa.Schema":
        """The explicit Arrow schema ADBC is given. ADBC's COPY checks widths, not types, so
        nothing may reach it in any other."""
        import pyarrow as pa

        types: Mapping[Kind, pa.DataType] = {
            Kind.TEXT: pa.string(),
            Kind.PRICE: pa.decimal128(12, 2),
            Kind.QUANTITY: pa.decimal128(18, 2),
            Kind.PERCENT: pa.decimal128(7, 2),
            Kind.BIGINT: pa.int64(),
            Kind.BOOLEAN: pa.bool_(),
            Kind.DATE: pa.date32(),
            Kind.TIMESTAMPTZ: pa.timestamp("us", "UTC"),
        }
        return pa.schema(
            pa.field(column.name, types[column.kind], nullable=column.nullable)
            for column in self.columns
        )


_SYMBOL = Column("symbol", Kind.TEXT, "KRX short code: 6 upper-case letters or digits")
_DATE = Column("date", Kind.DATE, "KRX session date, Asia/Seoul")
_OHLC = (
    Column("open", Kind.PRICE, "first price, KRW as traded; 0 while halted"),
    Column("high", Kind.PRICE, "highest price, KRW as traded; 0 while halted"),
    Column("low", Kind.PRICE, "lowest price, KRW as traded; 0 while halted"),
    Column("close", Kind.PRICE, "last price, KRW as traded"),
)
_AMOUNTS = tuple(
    Column(f"{investor}_amount", Kind.BIGINT, "KRW net bought; null = not observed", True)
    for investor in ("institution", "foreign", "individual", "other_corporation")
)

SYMBOLS = Table(
    dataset=Dataset.SYMBOLS,
    name="symbols",
    columns=(
        _SYMBOL,
        Column("name", Kind.TEXT, "short name in Korean"),
        Column("market", Kind.TEXT, "KOSPI, KOSDAQ or KONEX"),
        Column("kind", Kind.TEXT, "common, preferred, etf, etn, reit, fund or depositary", True),
        Column("listing_date", Kind.DATE, "first session listed; null = not known", True),
        Column("delisting_date", Kind.DATE, "first day no longer listed; null = none known", True),
    ),
    key=("symbol",),
    measures=("name", "market"),
    database="application_database",
    dated=True,
)

DAILY_BARS = Table(
    dataset=Dataset.DAILY_BARS,
    name="daily_bars",
    columns=(
        _DATE,
        _SYMBOL,
        *_OHLC,
        Column("volume", Kind.BIGINT, "shares traded"),
        Column("trading_value", Kind.BIGINT, "KRW traded", True),
        Column("market_cap", Kind.BIGINT, "KRW, at the close", True),
        Column("listed_shares", Kind.BIGINT, "shares listed", True),
    ),
    key=("symbol", "date"),
    measures=("open", "high", "low", "close", "volume"),
)

MINUTE_BARS = Table(
    dataset=Dataset.MINUTE_BARS,
    name="stock_prices",
    columns=(
        Column("time", Kind.TIMESTAMPTZ, "bar START, stored in UTC; closing auction at the close"),
        _SYMBOL,
        Column("venue", Kind.TEXT, "KRX or NXT"),
        *_OHLC,
        Column("volume", Kind.BIGINT, "shares traded in the minute"),
        Column("trading_value", Kind.BIGINT, "KRW traded in the minute; null = not observed", True),
    ),
    key=("symbol", "venue", "time"),
    measures=("open", "high", "low", "close", "volume"),
)

SUPPLY_DEMAND = Table(
    dataset=Dataset.SUPPLY_DEMAND,
    name="supply_demand",
    columns=(
        _DATE,
        _SYMBOL,
        *_AMOUNTS,
        Column("estimated", Kind.BOOLEAN, "true where KRW were derived from net shares"),
    ),
    key=("symbol", "date"),
    measures=tuple(column.name for column in _AMOUNTS),
)

MARKET_FLOWS = Table(
    dataset=Dataset.MARKET_FLOWS,
    name="market_flows",
    columns=(_DATE, Column("market", Kind.TEXT, "KOSPI or KOSDAQ, as a whole"), *_AMOUNTS),
    key=("market", "date"),
    measures=SUPPLY_DEMAND.measures,
)

COMPANIES = Table(
    dataset=Dataset.COMPANIES,
    name="companies",
    columns=(
        _SYMBOL,
        Column("name", Kind.TEXT, "short name in Korean"),
        Column("market", Kind.TEXT, "KOSPI, KOSDAQ or KONEX"),
        Column("sector", Kind.TEXT, "section of the market the company is in, in Korean", True),
        Column("industry", Kind.TEXT, "industry by the Korean standard classification", True),
        Column("products", Kind.TEXT, "what it makes or does, in its own words", True),
        Column("region", Kind.TEXT, "province or city of its seat", True),
        Column("homepage", Kind.TEXT, "as the company states it", True),
        Column("listing_date", Kind.DATE, "first session listed; null = not known", True),
        Column(
            "face_value", Kind.PRICE, "par value, KRW (foreign: its currency); null = none", True
        ),
    ),
    key=("symbol",),
    measures=("sector", "industry", "products", "face_value"),
    database="application_database",
    dated=True,
)

ETF_CONSTITUENTS = Table(
    dataset=Dataset.ETF_CONSTITUENTS,
    name="etf_constituents",
    columns=(
        _DATE,
        Column("symbol", Kind.TEXT, "the ETF's KRX short code"),
        Column("constituent", Kind.TEXT, "KRX short code; ISIN of what has none, such as cash"),
        Column("name", Kind.TEXT, "the constituent's name in Korean"),
        Column("shares", Kind.QUANTITY, "shares in a creation unit; null = cash, not given", True),
        Column("value", Kind.BIGINT, "KRW in a creation unit; null = not given", True),
        Column("weight", Kind.PERCENT, "percent of the creation unit's value", True),
    ),
    key=("symbol", "date", "constituent"),
    measures=("shares", "value", "weight"),
    database="application_database",
)

TABLES: Mapping[Dataset, Table] = {
    table.dataset: table
    for table in (
        SYMBOLS,
        DAILY_BARS,
        MINUTE_BARS,
        SUPPLY_DEMAND,
        MARKET_FLOWS,
        COMPANIES,
        ETF_CONSTITUENTS,
    )
}
