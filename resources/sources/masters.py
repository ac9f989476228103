"""The mapping file's sections of dated assets: symbols and companies, from dumps that list each
session's members or from masters that say from when to when a security is listed."""

from datetime import date
from typing import Annotated, Any, ClassVar, Self

from pydantic import Discriminator, Field, Tag, model_validator

from resources.sources.layouts import Layout, Section, SessionLayout
from resources.tables import COMPANIES, SYMBOLS, Table

TAGS = ("snapshot", "masters")


class Snapshot(SessionLayout):
    """A dated asset from dumps that list the members of each session."""

    name: str
    date_format: str = "%Y-%m-%d"


class SymbolsSnapshot(Snapshot):
    """``[[symbols]]`` without ``parts``."""

    TABLE: ClassVar[Table] = SYMBOLS


class CompaniesSnapshot(Snapshot):
    """``[[companies]]`` without ``parts``."""

    TABLE: ClassVar[Table] = COMPANIES


class MasterPart(Layout):
    """A master as it stood on ``as_of``, one row a security, with the dates between which it is
    listed."""

    as_of: date
    date_format: str = "%Y-%m-%d"

    @model_validator(mode="after")
    def _undated(self) -> Self:
        if self.glob.session_format is not None:
            raise ValueError("glob: a part holds no {session:…}; as_of says when it was taken")
        return self


class SymbolsPart(MasterPart):
    """``[[symbols.parts]]``"""

    TABLE: ClassVar[Table] = SYMBOLS


class CompaniesPart(MasterPart):
    """``[[companies.parts]]``"""

    TABLE: ClassVar[Table] = COMPANIES


class Masters(Section):
    """A dated asset with ``parts``. Members of a session are the rows with listing_date <= session
    (null: always) < delisting_date (null: never delisted); sessions after the oldest part's
    ``as_of`` are not covered."""

    name: str
    parts: tuple[MasterPart, ...]

    @property
    def as_of(self) -> date:
        return min(part.as_of for part in self.parts)


class SymbolMasters(Masters):
    """``[[symbols]]`` with ``parts``: all their rows."""

    parts: tuple[SymbolsPart, ...] = Field(min_length=1)


class CompanyMasters(Masters):
    """``[[companies]]`` with ``parts``: a row a symbol, what one part leaves out taken from the
    next that says it."""

    parts: tuple[CompaniesPart, ...] = Field(min_length=1)


def _dated_tag(raw: Any) -> str:
    return "masters" if isinstance(raw, dict) and "parts" in raw else "snapshot"


SymbolsDataset = Annotated[
    Annotated[SymbolsSnapshot, Tag("snapshot")] | Annotated[SymbolMasters, Tag("masters")],
    Discriminator(_dated_tag),
]
CompaniesDataset = Annotated[
    Annotated[CompaniesSnapshot, Tag("snapshot")] | Annotated[CompanyMasters, Tag("masters")],
    Discriminator(_dated_tag),
]
