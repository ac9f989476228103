"""The mapping file: which vendor dumps on disk hold which asset, and how they are built.

A TOML file with one array of datasets per asset (``[[daily_bars]]``, ``[[symbols]]``, …), tried in
order. ``examples/krx_dumps.toml`` explains every key by use; ``layouts`` holds what the assets have
in common. There is no expression language: what a key cannot say is done to the dump beforehand.

``load_mapping`` checks everything that can be known without the dumps; what depends on them
(a column that is not there, a cell that is no number) shows when ``files`` reads them.
"""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, ValidationError, model_validator

from resources.sources import SourceError
from resources.sources.layouts import BarTime, KrwUnit, Section, SessionLayout
from resources.sources.masters import TAGS, CompaniesDataset, Masters, Snapshot, SymbolsDataset
from resources.tables import (
    DAILY_BARS,
    ETF_CONSTITUENTS,
    MARKET_FLOWS,
    MINUTE_BARS,
    SUPPLY_DEMAND,
    Dataset,
    Table,
)

DateRange = tuple[date, date]


class DailyBars(SessionLayout):
    """``[[daily_bars]]``"""

    TABLE: ClassVar[Table] = DAILY_BARS
    name: str


class MinuteBars(SessionLayout):
    """``[[minute_bars]]``. Without ``session`` a bar belongs to its label's date in Seoul."""

    TABLE: ClassVar[Table] = MINUTE_BARS
    SESSION_REQUIRED: ClassVar[bool] = False
    name: str
    time: BarTime

    def vendor_columns(self) -> dict[str, str]:
        return {**super().vendor_columns(), "time.column": self.time.column}

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.time.is_time_of_day and self.session is None and self.glob.session_format is None:
            raise ValueError(
                f'time.format: "{self.time.format}" holds no date; set session too, or put '
                "{session:%Y-%m-%d} into glob"
            )
        return self


class SupplyDemand(SessionLayout):
    """``[[supply_demand]]``. Amounts in shares become KRW by ``price``, a vendor column of KRW a
    share; such rows are estimated."""

    TABLE: ClassVar[Table] = SUPPLY_DEMAND
    name: str
    price: str | None = None

    @property
    def in_shares(self) -> tuple[str, ...]:
        """The amount columns that the vendor gives as net shares."""
        return tuple(name for name, unit in self.units.items() if unit.endswith("shares"))

    @property
    def given(self) -> Mapping[str, bool | int | date | str]:
        return {**super().given, "estimated": True} if self.in_shares else super().given

    def vendor_columns(self) -> dict[str, str]:
        price = {"price": self.price} if self.price else {}
        return {**super().vendor_columns(), **price}

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if bool(self.in_shares) != (self.price is not None):
            raise ValueError(
                'price: amounts in shares need price = "the vendor\'s closing price", others none'
            )
        for key in ("columns", "constants"):
            if self.in_shares and "estimated" in getattr(self, key):
                raise ValueError(f"{key}.estimated: amounts from shares are always estimated")
        return self


class InvestorRows(Section):
    """``investors`` of dumps with a row per market and investor type: which of our columns each
    label of ``column`` is. Rows with other labels are left out."""

    column: str
    amount: str
    """The vendor's column of the amounts."""
    unit: KrwUnit = "KRW"
    labels: Mapping[str, str] = Field(min_length=1)

    @model_validator(mode="after")
    def _known_investors(self) -> Self:
        for name in self.labels:
            if name not in MARKET_FLOWS.measures:
                known = ", ".join(MARKET_FLOWS.measures)
                raise ValueError(f'labels.{name}: "{name}" is no amount; known: {known}')
        if len(set(self.labels.values())) < len(self.labels):
            raise ValueError("labels: two of them are the same")
        return self


class MarketFlows(SessionLayout):
    """``[[market_flows]]``: amounts in ``columns``, or in rows of their own (``investors``)."""

    TABLE: ClassVar[Table] = MARKET_FLOWS
    name: str
    investors: InvestorRows | None = None

    @property
    def from_rows(self) -> Collection[str]:
        return self.investors.labels if self.investors else ()

    def vendor_columns(self) -> dict[str, str]:
        rows = self.investors
        ours = {"investors.column": rows.column, "investors.amount": rows.amount} if rows else {}
        return {**super().vendor_columns(), **ours}

    def unit_kind(self, column: str) -> tuple[str, ...]:
        return ("KRW",) if column in MARKET_FLOWS.measures else ()

    @model_validator(mode="after")
    def _amounts_in_one_way(self) -> Self:
        if self.investors:
            for key in ("columns", "constants"):
                for name in getattr(self, key):
                    if name in MARKET_FLOWS.measures:
                        raise ValueError(f"{key}.{name}: investors gives the amounts already")
        return self


class EtfConstituents(SessionLayout):
    """``[[etf_constituents]]``"""

    TABLE: ClassVar[Table] = ETF_CONSTITUENTS
    name: str


class Demo(Section):
    """``[demo]``: the sessions ``make demo`` loads of each dataset, first and last."""

    symbols: DateRange | None = None
    daily_bars: DateRange | None = None
    minute_bars: DateRange | None = None
    supply_demand: DateRange | None = None
    market_flows: DateRange | None = None
    companies: DateRange | None = None
    etf_constituents: DateRange | None = None

    @property
    def ranges(self) -> Mapping[Dataset, DateRange]:
        """Those that are set, in the order they should be loaded."""
        ranges = {dataset: getattr(self, dataset.value) for dataset in Dataset}
        return {dataset: bounds for dataset, bounds in ranges.items() if bounds is not None}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for dataset, (first, last) in self.ranges.items():
            if first > last:
                raise ValueError(f"{dataset.value}: {first} is after {last}; write [first, last]")
        return self


AnyDataset = (
    DailyBars | MinuteBars | SupplyDemand | MarketFlows | EtfConstituents | Snapshot | Masters
)


class DumpMapping(Section):
    """A whole mapping file."""

    daily_bars: tuple[DailyBars, ...] = ()
    minute_bars: tuple[MinuteBars, ...] = ()
    supply_demand: tuple[SupplyDemand, ...] = ()
    market_flows: tuple[MarketFlows, ...] = ()
    symbols: tuple[SymbolsDataset, ...] = ()
    companies: tuple[CompaniesDataset, ...] = ()
    etf_constituents: tuple[EtfConstituents, ...] = ()
    demo: Demo = Demo()

    def datasets(self, dataset: Dataset) -> tuple[AnyDataset, ...]:
        """An asset's datasets in the order they are tried."""
        found: tuple[AnyDataset, ...] = getattr(self, dataset.value)
        return found

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for dataset in Dataset:
            names = [layout.name for layout in self.datasets(dataset)]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f'{dataset.value}: two datasets are named "{name}"')
        return self


def load_mapping(path: Path) -> DumpMapping:
    """Read a mapping file. Raises ``SourceError``, one line: ``file: key.path: what is wrong``."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SourceError(
            f"mapping file {path} does not exist; set MARKET_DATA_MAPPING to yours, "
            "such as examples/krx_dumps.toml"
        ) from None
    except (OSError, UnicodeError) as error:
        raise SourceError(f"mapping file {path} cannot be read as UTF-8 text: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise SourceError(f"{path}: not TOML: {error}") from None
    try:
        return DumpMapping.model_validate(raw)
    except ValidationError as error:
        raise SourceError(f"{path}: {_first_errors(error, raw)}") from None


def _first_errors(error: ValidationError, raw: object) -> str:
    """The first three of pydantic's errors as ``key.path: message``. A dataset goes by its name,
    so that the path can be searched for in the file."""
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{_key_path(p['loc'], raw)}{_message(p['msg'])}" for p in problems[:3]]
    if len(problems) > 3:
        lines.append(f"and {len(problems) - 3} more")
    return "; ".join(lines)


def _key_path(location: Sequence[int | str], raw: object) -> str:
    path, node = "", raw
    for step in location:
        if step in TAGS and not (isinstance(node, dict) and step in node):
            continue  # pydantic's own mark of the union's member
        if isinstance(step, int):
            node = node[step] if isinstance(node, list) and step < len(node) else None
            name = node.get("name") if isinstance(node, dict) else None
            path += f"[{name or step + 1}]"
        else:
            node = node.get(step) if isinstance(node, dict) else None
            path += f".{step}" if path else step
    return f"{path}: " if path else ""


def _message(text: str) -> str:
    return text.removeprefix("Value error, ").replace("Field required", "this key is required")
