"""What the platform is told by its environment about market data, checked once, at the start.

Connections are told to Dagster resources (``databases``), not here. ``.env.example`` describes
every variable.
"""

import os
from collections.abc import Mapping
from datetime import date, time
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from resources.calendar import FIRST_DAY, krx_calendar
from resources.tables import Dataset

PROJECT_ROOT = Path(__file__).resolve().parent.parent


class SettingsError(Exception):
    """A variable has a value that cannot be used; the text names it and what it may be."""


class MarketSettings(BaseModel):
    """What the market's variables say, from ``MARKET_SOURCE`` to ``*_RETENTION``."""

    model_config = ConfigDict(frozen=True, extra="ignore", validate_default=True)

    market_source: Literal["simulated", "files"] = "simulated"
    simulated_symbols: int = Field(2_700, ge=1, le=2_700)
    simulated_seed: int = Field(0, ge=0)
    market_data_dir: Path = Path("../shared/data")
    market_data_mapping: Path = Path("examples/krx_dumps.toml")
    source_timeout: float = Field(300, gt=0)

    symbols_first_session: date | None = None
    daily_bars_first_session: date | None = None
    minute_bars_first_session: date | None = None
    supply_demand_first_session: date | None = None
    market_flows_first_session: date | None = None
    companies_first_session: date | None = None
    etf_constituents_first_session: date | None = None

    symbols_final_time: time = time(16)
    daily_bars_final_time: time = time(16)
    minute_bars_final_time: time = time(16)
    supply_demand_final_time: time = time(18)
    market_flows_final_time: time = time(18)
    companies_final_time: time = time(16)
    etf_constituents_final_time: time = time(16)

    @model_validator(mode="after")
    def _collected_when_final(self) -> Self:
        for dataset in Dataset:
            if self.collection_time(dataset) < self.final_time(dataset):
                raise ValueError(
                    f"{dataset} would be collected at {self.collection_time(dataset)}, before it "
                    f"is final at {self.final_time(dataset)}"
                )
        return self

    @field_validator("market_data_dir", "market_data_mapping")
    @classmethod
    def _from_checkout(cls, path: Path) -> Path:
        return PROJECT_ROOT / path.expanduser()

    @field_validator("dagster_ui_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url and url.rstrip("/")

    @field_validator(*(f"{dataset}_first_session" for dataset in Dataset))
    @classmethod
    def _known_session(cls, day: date | None) -> date | None:
        if day is not None and day < FIRST_DAY:
            raise ValueError(f"KRX sessions are known from {FIRST_DAY} on")
        return day

    symbols_collection_time: time = time(16, 10)
    daily_bars_collection_time: time = time(16, 10)
    minute_bars_collection_time: time = time(16, 10)
    supply_demand_collection_time: time = time(18, 10)
    market_flows_collection_time: time = time(18, 10)
    companies_collection_time: time = time(16, 10)
    etf_constituents_collection_time: time = time(16, 10)
    intraday_interval: int = Field(10, ge=1, le=60)

    gaps_time: time = time(19, 30)
    daily_bars_coverage: float = Field(0.95, ge=0, le=1)
    minute_bars_coverage: float = Field(0.8, ge=0, le=1)
    supply_demand_coverage: float = Field(0.95, ge=0, le=1)
    freshness_grace: int = Field(90, ge=0, le=24 * 60)
    alert_repeat: int = Field(24, ge=1)
    dagster_ui_url: str | None = None

    stats_interval: int = Field(15, ge=1, le=60)

    maintenance_time: time = time(20, 30)
    compress_after: int = Field(30, ge=1)
    stock_prices_retention: int | None = Field(None, ge=1)
    daily_bars_retention: int | None = Field(None, ge=1)
    supply_demand_retention: int | None = Field(None, ge=1)
    market_flows_retention: int | None = Field(None, ge=1)
    realtime_prices_retention: int | None = Field(None, ge=1)

    housekeeping_time: time = time(3, 30)
    keep_runs_days: int = Field(30, ge=1)

    def first_session(self, dataset: Dataset, today: date) -> date:
        """The first session that has a partition: as configured, else the first session of the
        year before last, which moves once a year and not every day."""
        configured: date | None = getattr(self, f"{dataset}_first_session")
        return krx_calendar().next_session(configured or date(today.year - 2, 1, 1))

    def final_time(self, dataset: Dataset) -> time:
        """When a session that closes at 15:30 is final, Asia/Seoul."""
        final: time = getattr(self, f"{dataset}_final_time")
        return final

    def collection_time(self, dataset: Dataset) -> time:
        """When the schedule collects a session that closes at 15:30, Asia/Seoul."""
        collection: time = getattr(self, f"{dataset}_collection_time")
        return collection

    def coverage(self, dataset: Dataset) -> float:
        """The share of a session's members that ``dataset``'s source holds rows of, at least."""
        share: float = getattr(self, f"{dataset}_coverage", 1.0)
        return share

    @property
    def collects_unasked(self) -> bool:
        """Whether schedules are on from the start: only an invented market may be collected
        without being asked to."""
        return self.market_source == "simulated"

    def retention(self, table: str) -> int | None:
        """For how many days a hypertable's rows are kept; None: for ever."""
        days: int | None = getattr(self, f"{table}_retention")
        return days


def market_settings(environment: Mapping[str, str] | None = None) -> MarketSettings:
    """Settings from ``environment`` (default: the process's); an empty variable counts as unset.

    Raises ``SettingsError`` naming every variable that is wrong.
    """
    given = os.environ if environment is None else environment
    try:
        return MarketSettings.model_validate(
            {name.lower(): value for name, value in given.items() if value.strip()}
        )
    except ValidationError as error:
        problems = "; ".join(
            f"{str(problem['loc'][0]).upper()}={problem['input']!r}: {problem['msg']}"
            if problem["loc"]
            else problem["msg"]
            for problem in error.errors()
        )
        raise SettingsError(f"{problems} (.env.example describes every variable)") from None
