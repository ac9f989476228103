"""What the sensor over stale sessions decides."""

from datetime import date, datetime, timedelta

import pytest

from resources.calendar import SEOUL
from resources.refresh import StaleSession
from stock_assets.stale_candles import JOB, Plan, RunUnderWay, Try, plan

KEYS = ("2025-01-24", "2025-01-31", "2025-02-03", "2025-02-04", "2025-02-05", "2025-02-06")
ALL = ("candles_5m", "daily_candles", "volume_profile")
NOW = datetime(2025, 2, 7, 12, tzinfo=SEOUL)


def stale(day: str, *aggregates: str, load: int = 1, dropped: bool = False) -> StaleSession:
    return StaleSession(date.fromisoformat(day), load, aggregates or ALL, dropped)


def run(first: str, last: str = "", job: str = "__ASSET_JOB", **values: object) -> RunUnderWay:
    fields = {"queued": False, "assets": frozenset(["candles_5m"]), **values}
    return RunUnderWay(run_id="abc", job=job, first=first, last=last or first, **fields)


def decide(*sessions: StaleSession, runs=(), before: Plan | None = None, now=NOW) -> Plan:
    return plan(sessions, KEYS, runs, before.tries if before else {}, now)


def requested(decided: Plan) -> list[tuple[str, str, list[str]]]:
    return [
        (
            request.tags["dagster/asset_partition_range_start"],
            request.tags["dagster/asset_partition_range_end"],
            [key.to_user_string() for key in request.asset_selection],
        )
        for request in decided.requests
    ]


def test_neighbouring_sessions_are_one_run_across_holidays():
    decided = decide(*(stale(day) for day in (*KEYS[:3], *KEYS[4:])))
    assert requested(decided) == [
        ("2025-01-24", "2025-02-03", [*ALL]),
        ("2025-02-05", "2025-02-06", [*ALL]),
    ]
    assert decided.lines == [
        "Requested candles_5m, daily_candles, volume_profile of 2025-01-24, 2025-01-31, "
        "2025-02-03.",
        "Requested candles_5m, daily_candles, volume_profile of 2025-02-05, 2025-02-06.",
    ]


def test_long_ranges_are_named_by_their_ends():
    (line,) = decide(*(stale(day) for day in KEYS)).lines
    assert line.endswith("of 2025-01-24 to 2025-02-06 (6 sessions).")


def test_sessions_that_lack_different_aggregates_do_not_share_a_run():
    """One whose 5-minute candles fail must not keep its neighbours' daily candles away."""
    decided = decide(stale(KEYS[0]), stale(KEYS[1], "daily_candles"), stale(KEYS[2]))
    assert requested(decided) == [
        (KEYS[0], KEYS[0], [*ALL]),
        (KEYS[1], KEYS[1], ["daily_candles"]),
        (KEYS[2], KEYS[2], [*ALL]),
    ]


def test_nothing_is_asked_for_twice():
    first = decide(stale(KEYS[0]))
    covered = decide(stale(KEYS[0]), runs=[run(KEYS[0], job=JOB, assets=None)], before=first)
    assert covered.requests == []
    assert covered.lines == ["Left to run abc: 2025-01-24."]


def test_what_any_run_under_way_refreshes_is_left_to_it():
    sessions = [stale(day) for day in KEYS]
    decided = decide(*sessions, runs=[run(KEYS[0], KEYS[3])])
    assert requested(decided) == [(KEYS[4], KEYS[5], [*ALL])]
    assert decided.lines[0] == "Left to run abc: 2025-01-24 to 2025-02-04 (4 sessions)."
    others = [run(KEYS[0], KEYS[5], assets=frozenset(["minute_bars"])), run("", assets=None)]
    assert len(decide(*sessions, runs=others).requests) == 1


def test_as_long_as_one_of_its_runs_is_queued_no_more_are_requested():
    queued = run(KEYS[0], job=JOB, queued=True)
    decided = decide(stale(KEYS[0]), stale(KEYS[5]), runs=[queued])
    assert decided.requests == []
    assert decided.lines[1] == "Waiting for run abc, which is queued: 2025-02-06."
    started = run(KEYS[0], job=JOB)
    assert len(decide(stale(KEYS[0]), stale(KEYS[5]), runs=[started]).requests) == 1
    elsewhere = run(KEYS[0], queued=True)
    assert len(decide(stale(KEYS[0]), stale(KEYS[5]), runs=[elsewhere]).requests) == 1


def test_a_tick_requests_only_so_many_runs():
    keys = [str(date(2025, 3, 1) + timedelta(days=n)) for n in range(14)]
    decided = plan([stale(day) for day in keys[::2]], keys, [], {}, NOW)
    assert len(decided.requests) == 5
    assert len(decided.tries) == 5
    assert decided.lines[-1] == "More is requested at the next tick."


def test_what_fails_is_tried_again_with_growing_pauses_then_given_up():
    session, decided, now = stale(KEYS[0]), None, NOW
    waited = []
    for _ in range(4):
        pause = timedelta(0)
        while not (tried := decide(session, before=decided, now=now + pause)).requests:
            assert pause < timedelta(hours=3)
            pause += timedelta(minutes=1)
        waited.append(pause / timedelta(minutes=1))
        decided, now = tried, now + pause
    assert waited == [0, 2, 10, 60]
    given_up = decide(session, before=decided, now=now + timedelta(days=30))
    assert given_up.requests == []
    assert given_up.lines == [
        "Given up after 4 tries (materialise it by hand, or load its minute bars again): "
        "2025-01-24."
    ]
    # And is still so at the tick after that.
    assert decide(session, before=given_up, now=now + timedelta(days=60)).requests == []


def test_a_pause_says_when_it_ends():
    decided = decide(stale(KEYS[0]), before=decide(stale(KEYS[0])))
    assert decided.lines == ["Tried in vain, again at 12:02: 2025-01-24."]


@pytest.mark.parametrize("now", [stale(KEYS[0], load=2), stale(KEYS[0], "daily_candles")])
def test_a_new_load_or_progress_starts_anew(now):
    exhausted = Plan(tries={KEYS[0]: Try(1, ALL, 4, NOW.isoformat())})
    decided = decide(now, before=exhausted)
    assert len(decided.requests) == 1
    assert decided.tries[KEYS[0]].tries == 1


def test_what_is_no_longer_stale_is_forgotten():
    before = Plan(tries={day: Try(1, ALL, 2, NOW.isoformat()) for day in KEYS})
    assert list(decide(stale(KEYS[1]), before=before).tries) == [KEYS[1]]


def test_sessions_that_cannot_be_refreshed_are_named_and_ignored():
    decided = decide(stale("2018-01-17"), stale(KEYS[0], dropped=True))
    assert decided.requests == []
    assert decided.lines == [
        "Ignored, for there is no such partition (MINUTE_BARS_FIRST_SESSION): 2018-01-17.",
        "Ignored, for their minute bars were dropped since: 2025-01-24.",
    ]
    assert decided.tries == {}


def test_with_nothing_stale_there_is_nothing_to_do():
    assert decide() == Plan()
