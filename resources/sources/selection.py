"""Which source the environment asks for."""

from resources.calendar import krx_calendar
from resources.settings import MarketSettings
from resources.sources import MarketSource
from resources.sources.files import FilesSource


def select_source(settings: MarketSettings) -> MarketSource:
    """The source ``MARKET_SOURCE`` names. Raises ``SourceError`` if it cannot be set up."""
    return FilesSource(
        data_dir=settings.market_data_dir,
        mapping=settings.market_data_mapping,
        calendar=krx_calendar(),
    )
