"""Which source the environment asks for."""

from resources.calendar import krx_calendar, seoul_now
from resources.settings import MarketSettings
from resources.sources import MarketSource


def select_source(settings: MarketSettings) -> MarketSource:
    """The source ``MARKET_SOURCE`` names. Raises ``SourceError`` if it cannot be set up."""
    calendar = krx_calendar()
    if settings.market_source == "simulated":
        from resources.sources.simulated.source import SimulatedSource

        return SimulatedSource(
            calendar, seoul_now, size=settings.simulated_symbols, seed=settings.simulated_seed
        )
    from resources.sources.files import FilesSource

    return FilesSource(settings.market_data_dir, settings.market_data_mapping, calendar)
