"""Checks beside the load they follow: a full-market session of minute bars, a million rows."""

from datetime import date

from resources.calendar import krx_calendar, seoul_now
from resources.checks.evaluation import evaluate
from resources.checks.results import keep_results
from resources.connections import Databases
from resources.ingestion import ingest
from resources.loading import Attempt
from resources.settings import market_settings
from resources.sources.simulated.source import SimulatedSource
from resources.tables import DAILY_BARS, MINUTE_BARS, SYMBOLS, Dataset

BEFORE, SESSION = date(2025, 6, 12), date(2025, 6, 13)


class Ready(SimulatedSource):
    """The simulated market; a frame of minute bars is made once, so that no load pays for it."""

    def minute_bars(self, session, symbols):
        if not hasattr(self, "_frame"):
            self._frame = super().minute_bars(session, symbols)
        return self._frame


def bench_all_checks_of_a_full_minute_session(
    timescaledb, application_database, median_seconds, report
):
    databases = Databases(timescaledb, application_database)
    source = Ready(krx_calendar(), seoul_now)

    def load(table, session):
        now = seoul_now()
        attempt = Attempt(table, session, None, "bench", source.name, True, False, now)
        ingest(source, databases.of(table.dataset), attempt, source_timeout=300, now=now)

    def check():
        results = evaluate(
            databases,
            Dataset.MINUTE_BARS,
            SESSION,
            calendar=krx_calendar(),
            settings=market_settings({}),
            now=seoul_now(),
        )
        assert all(result.passed and result.checked for result in results[:-1])
        keep_results(timescaledb, Dataset.MINUTE_BARS, SESSION, results, "bench")

    for session in (BEFORE, SESSION):
        load(SYMBOLS, session)
        load(DAILY_BARS, session)
    loading = median_seconds(lambda: load(MINUTE_BARS, SESSION), runs=3)
    checking = median_seconds(check, runs=3)
    report(
        f"all checks of minute_bars ({len(source.minute_bars(SESSION, None)):,} rows)",
        f"checking {checking:.2f} s",
        f"loading {loading:.2f} s",
        checking / loading,
        "≤ 1",
    )
