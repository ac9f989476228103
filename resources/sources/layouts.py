"""The mapping file's sections: how one set of a vendor's files becomes canonical columns.

pydantic models, immutable; a key that is not in them is refused. Each checks what can be known
without the dumps. ``mapping`` puts them together and loads them.
"""

import codecs
from collections.abc import Collection, Mapping
from datetime import date, time, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from resources.sources.captures import FilePattern
from resources.tables import SUPPLY_DEMAND, Column, Kind, Table

Format = Literal["csv", "csv.gz", "parquet", "json", "json.gz"]
KrwUnit = Literal["KRW", "thousand KRW", "million KRW", "100 million KRW"]
Unit = Literal[KrwUnit, "shares", "thousand shares"]
FACTORS: Mapping[str, int] = {
    "KRW": 1,
    "thousand KRW": 1_000,
    "million KRW": 1_000_000,
    "100 million KRW": 100_000_000,
    "shares": 1,
    "thousand shares": 1_000,
}
SHARE_COLUMNS = frozenset({"volume", "listed_shares"})
AMOUNT_COLUMNS = frozenset(SUPPLY_DEMAND.measures)
_DEFAULTS: Mapping[str, str | bool] = {"venue": "KRX", "estimated": False}


def _pattern(value: object) -> FilePattern:
    if not isinstance(value, str):
        raise ValueError("must be a string such as daily/*.csv")
    return FilePattern.parse(value)


def _encoding(value: str) -> str:
    try:
        return codecs.lookup(value).name
    except LookupError:
        raise ValueError(f'"{value}" is no encoding; known: utf-8-sig, cp949, utf-16, …') from None


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (ValueError, OSError, LookupError):
        raise ValueError(f'"{value}" is no time zone; known: Asia/Seoul, UTC, …') from None


def _clock(value: object) -> time:
    """A time of day; TOML's own (15:30:00) or the text "15:30"."""
    try:
        return value if isinstance(value, time) else time.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f'"{value}" is no time of day such as "15:30"') from None


def _check_constant(column: Column, constant: object) -> None:
    allowed: Mapping[Kind, type] = {
        Kind.TEXT: str,
        Kind.BOOLEAN: bool,
        Kind.DATE: date,
        Kind.BIGINT: int,
        Kind.PRICE: int,
        Kind.QUANTITY: int,
        Kind.PERCENT: int,
    }
    # type(), since True is an int to isinstance.
    if type(constant) is not allowed[column.kind]:
        wanted = allowed[column.kind].__name__
        raise ValueError(f"constants.{column.name}: {constant!r} must be of type {wanted}")


class Section(BaseModel):
    """A table of the mapping file: immutable, and nothing in it may be misspelt."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, raw: Any) -> Any:
        if isinstance(raw, dict):
            for key in raw:
                if key not in cls.model_fields:
                    known = ", ".join(cls.model_fields)
                    raise ValueError(f'"{key}" is no key of this table; it takes: {known}')
        return raw


class SessionColumn(Section):
    """The vendor column that says which session a row belongs to (a date, Asia/Seoul)."""

    column: str
    format: str = "%Y-%m-%d"
    """strptime format of text and numbers; a parquet date or timestamp needs none."""


class BarTime(Section):
    """How a minute bar is labelled."""

    column: str
    format: str = "iso8601"
    """strptime format, or iso8601. A time of day alone is completed by the session."""
    timezone: Annotated[ZoneInfo, BeforeValidator(_zone)] = ZoneInfo("Asia/Seoul")
    """Of labels that state no offset themselves."""
    label: Literal["start", "end"]
    closing_auction: Annotated[time, BeforeValidator(_clock)] | None = None
    """The label (time of day in Seoul) of the closing-auction bar when the session closes at
    15:30. It moves with the close."""

    @property
    def is_time_of_day(self) -> bool:
        return self.format != "iso8601" and not any(
            directive in self.format for directive in ("%Y", "%y", "%j", "%d", "%c", "%x")
        )

    @property
    def auction_after_close(self) -> timedelta | None:
        """How long after the session's close the auction's label is (0 when it is the close)."""
        if self.closing_auction is None:
            return None
        label = timedelta(hours=self.closing_auction.hour, minutes=self.closing_auction.minute)
        return label - timedelta(hours=15, minutes=30)


class Layout(Section):
    """One set of equally built files, and where canonical columns are in them."""

    TABLE: ClassVar[Table]
    DERIVED: ClassVar[frozenset[str]] = frozenset({"date", "time"})
    """Canonical columns that ``session`` and ``time`` give."""

    glob: Annotated[FilePattern, BeforeValidator(_pattern)]
    format: Format | None = None
    encoding: Annotated[str, BeforeValidator(_encoding)] = "utf-8-sig"
    records: str | None = None
    """json: the dotted path to the list of records."""
    thousands: Literal["", ",", " ", "'"] = ""
    missing: tuple[str, ...] = ("",)
    columns: Mapping[str, str]
    constants: Mapping[str, bool | int | date | str] = Field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    keep: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    units: Mapping[str, Unit] = Field(default_factory=dict)

    @property
    def file_format(self) -> Format:
        """As stated, else by the glob's ending."""
        formats: tuple[Format, ...] = ("csv", "csv.gz", "parquet", "json", "json.gz")
        for known in formats:
            if self.format == known or (
                self.format is None and self.glob.text.endswith(f".{known}")
            ):
                return known
        raise ValueError(f'"{self.glob.text}" has no ending we know: state format, such as "csv"')

    @property
    def given(self) -> Mapping[str, bool | int | date | str]:
        """Canonical columns that are the same in every row, defaults included."""
        names = self.TABLE.column_names
        defaults = {k: v for k, v in _DEFAULTS.items() if k in names and k not in self.columns}
        return {**defaults, **self.constants}

    @property
    def from_rows(self) -> Collection[str]:
        """Canonical columns that the vendor gives in rows of their own, not in columns."""
        return ()

    def vendor_columns(self) -> dict[str, str]:
        """Every vendor column the layout reads, by the mapping key that names it."""
        return {
            **{f"columns.{name}": vendor for name, vendor in self.columns.items()},
            **{f"keep.{vendor}": vendor for vendor in self.keep},
        }

    def unit_kind(self, column: str) -> tuple[str, ...]:
        """What a canonical column may be measured in: "KRW", "shares", both or neither."""
        if column in SHARE_COLUMNS:
            return ("shares",)
        if column in AMOUNT_COLUMNS:
            return ("KRW", "shares")
        return ("KRW",) if self.TABLE.column(column).kind is Kind.BIGINT else ()

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        known = [name for name in self.TABLE.column_names if name not in self.DERIVED]
        for key in ("columns", "constants", "values", "units"):
            for name in getattr(self, key):
                if name not in known:
                    raise ValueError(
                        f'{key}.{name}: "{name}" is no column of {self.TABLE.dataset} that can be '
                        f"set here; known: {', '.join(known)}"
                    )
                if key in ("values", "units") and name not in self.columns:
                    raise ValueError(f"{key}.{name}: columns.{name} must be set too")
        for name, constant in self.constants.items():
            _check_constant(self.TABLE.column(name), constant)
        for name, unit in self.units.items():
            kinds = self.unit_kind(name)
            if not unit.endswith(kinds or "?"):
                raise ValueError(f'units.{name}: "{unit}" does not measure {name}')
        sources = {*self.columns, *self.given, *self.from_rows}
        if self.glob.captures_symbol:
            if not self.TABLE.by_symbol:
                raise ValueError(f"glob: {self.TABLE.dataset} has no symbols, so no {{symbol}}")
            if "symbol" in sources:
                raise ValueError("columns.symbol: the glob's {symbol} gives the symbol already")
            sources.add("symbol")
        for name in self.constants:
            if name in self.columns:
                raise ValueError(f"constants.{name}: columns.{name} is set too; remove one")
        for name in known:
            if name not in sources and not self.TABLE.column(name).nullable:
                raise ValueError(f'columns.{name} is required: {name} = "the vendor\'s column"')
        if not sources & set(self.TABLE.measures):
            raise ValueError(f"columns: name at least one of {', '.join(self.TABLE.measures)}")
        if (self.records is None) == self.file_format.startswith("json"):
            raise ValueError(
                "records is for json, and required there: the dotted path to the list of records"
            )
        return self


class SessionLayout(Layout):
    """A layout whose every row belongs to one session: that of ``session``'s column or of the
    file's name."""

    session: SessionColumn | None = None
    SESSION_REQUIRED: ClassVar[bool] = True

    def vendor_columns(self) -> dict[str, str]:
        session = {"session.column": self.session.column} if self.session else {}
        return {**super().vendor_columns(), **session}

    @model_validator(mode="after")
    def _one_session(self) -> Self:
        ways = (self.session is not None) + (self.glob.session_format is not None)
        if ways > 1:
            raise ValueError("session: the glob's {session:…} gives the session already")
        if not ways and self.SESSION_REQUIRED:
            raise ValueError(
                'session is required: session = { column = "Date" }, or {session:%Y-%m-%d} in glob'
            )
        return self
