"""How gaps are told: contiguous sessions in one line, with a command, in a bounded table."""

from datetime import date

from resources.calendar import krx_calendar
from resources.gaps import Finding, Gap
from stock_assets.definitions import build_defs
from stock_assets.gaps import stretches, table
from tests.unit.test_schedules import tick

DAYS = [date(2025, 1, day) for day in (2, 3, 6, 7, 8)]


def finding(day: date, **changes: object) -> Finding:
    given = {"gap": Gap.MISSING_SESSION, "asset": "daily_bars", "repair": ("daily_bars",)}
    return Finding(**{**given, "session": day, **changes})


def test_contiguous_sessions_are_one_line_across_weekends():
    (line,) = stretches([finding(day, found=2, said=str(day)) for day in reversed(DAYS)])
    assert (line.first, line.last, line.sessions, line.found) == (DAYS[0], DAYS[-1], 5, 10)
    assert line.said == "2025-01-08"
    assert line.command == (
        "dg launch --assets daily_bars --partition-range 2025-01-02...2025-01-08"
    )


def test_what_is_not_the_same_is_not_one_line():
    found = stretches(
        [
            finding(DAYS[0]),
            finding(DAYS[2]),
            finding(DAYS[3], reason="x"),
            finding(DAYS[1], asset="minute_bars", repair=("candles_5m", "daily_candles")),
            finding(DAYS[4], gap=Gap.BLOCKED_SESSION),
        ]
    )
    assert [line.command.removeprefix("dg launch --assets ") for line in found] == [
        "daily_bars --partition 2025-01-07",
        "daily_bars --partition 2025-01-06",
        "candles_5m,daily_candles --partition 2025-01-03",
        "daily_bars --partition 2025-01-02",
        "daily_bars --partition 2025-01-08",
    ]


def test_a_table_is_bounded_and_says_what_it_leaves_out():
    sessions = krx_calendar().sessions[1000:1400:2]
    text = table(stretches([finding(day, said="a|b\n" * 500) for day in sessions]))
    assert text.endswith("and 150 more lines")
    assert len(text) < 20_000
    assert "a\\|b a\\|b" in text
    assert all(line.count(" | ") == 5 for line in text.splitlines()[2:52])
    assert table([]) == "Nothing is missing or broken."


def test_gaps_are_looked_for_after_each_session_unasked():
    assert tick("gaps", "2025-06-13 19:30").run_key == "gaps 2025-06-13"
    assert tick("gaps", "2025-06-14 19:30") == "KRX is closed on 2025-06-14: Saturday."
    schedule = build_defs().resolve_schedule_def("gaps")
    assert schedule.default_status.value == "RUNNING"
    assert schedule.cron_schedule == "30 19 * * *"
