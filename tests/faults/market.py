"""Dumps of a few rows, and the way they take into the table."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from resources.calendar import krx_calendar, seoul_now
from resources.databases import Database
from resources.ingestion import IngestionError, ingest
from resources.loading import Attempt
from resources.sources.files import FilesSource
from resources.tables import DAILY_BARS, Table

MON, TUE = date(2025, 11, 10), date(2025, 11, 11)
MAPPING = """
[[daily_bars]]
name = "plain"
glob = "plain/*.csv"
session = { column = "Date" }
columns = { symbol = "Code", open = "O", high = "H", low = "L", close = "C", volume = "V" }

[[daily_bars]]
name = "packed"
glob = "packed/{session:%Y%m%d}.csv.gz"
columns = { symbol = "Code", open = "O", high = "H", low = "L", close = "C", volume = "V" }

[[daily_bars]]
name = "krx"
glob = "krx/{session:%Y%m%d}.json"
records = "OutBlock_1"
thousands = ","
missing = ["-", ""]
columns = { symbol = "Code", open = "O", high = "H", low = "L", close = "C", volume = "V" }

[[minute_bars]]
name = "minutes"
glob = "minutes/{session:%Y%m%d}.csv"
time = { column = "Time", format = "%Y%m%d%H%M", label = "start" }
columns = { symbol = "Code", open = "O", high = "H", low = "L", close = "C", volume = "V" }
"""


def plain(*rows: str) -> str:
    """A dump of the dataset ``plain``."""
    return "\n".join(["Date,Code,O,H,L,C,V", *rows, ""])


@dataclass(frozen=True)
class Market:
    """A directory of dumps and the database they go to."""

    directory: Path
    database: Database

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, session: date = MON, table: Table = DAILY_BARS) -> str | None:
        """Why the session was not loaded; None if it was."""
        source = FilesSource(self.directory, self.directory / "mapping.toml", krx_calendar())
        now = seoul_now()
        attempt = Attempt(table, session, None, "run", source.name, False, False, now)
        try:
            ingest(source, self.database, attempt, source_timeout=60, now=now)
        except IngestionError as error:
            assert "\n" not in str(error)
            return str(error)
        return None
