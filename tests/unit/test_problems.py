"""What is told when, and how it reads."""

from datetime import datetime, timedelta

import pytest

from resources.calendar import SEOUL
from stock_assets.problems import Kind, Message, Problem, Problems

NOW = datetime(2025, 6, 13, 18, tzinfo=SEOUL)
DAY = timedelta(hours=24)
UI = "http://ui:3000"


def run(session: str = "2025-06-13", **fields: str) -> Problem:
    return Problem(Kind.RUN, "daily_bars", group="daily_bars", session=session, **fields)


def check(session: str = "2025-06-13", rule: str = "ohlc", asset: str = "daily_bars") -> Problem:
    return Problem(Kind.CHECK, f"{asset}: {rule}", group=asset, session=session, detail="3 rows")


def told(problems: Problems, now: datetime = NOW, ready=lambda _: True) -> list[str]:
    """The messages of a tick whose webhook takes them all; kept and read as the cursor does."""
    messages = problems.due(now, DAY, ready, UI)
    for message in messages:
        problems.told(message, now)
    kept = Problems.from_json(problems.to_json())
    assert kept == problems
    return [message.text for message in messages]


def test_a_problem_is_told_once():
    problems = Problems()
    problems.failed("a", check())
    assert told(problems) == ["*Check failed* daily_bars: ohlc of 2025-06-13: 3 rows"]
    problems.failed("a", check())
    assert told(problems, NOW + DAY - timedelta(minutes=1)) == []


def test_one_that_is_still_there_after_a_long_time_is_told_again():
    problems = Problems()
    problems.failed("a", check())
    told(problems)
    assert len(told(problems, NOW + DAY)) == 1
    assert told(problems, NOW + DAY + timedelta(hours=1)) == []


def test_one_that_was_resolved_and_came_back_is_told_again():
    problems = Problems()
    problems.failed("a", check())
    told(problems)
    problems.solved("a")
    assert told(problems) == ["*Resolved: check failed* daily_bars: ohlc of 2025-06-13"]
    assert told(problems) == []
    problems.failed("a", check())
    assert len(told(problems, NOW + timedelta(minutes=10))) == 1


def test_one_that_was_never_told_needs_no_word_when_it_is_gone():
    problems = Problems()
    problems.failed("a", check())
    problems.solved("a")
    assert told(problems) == []


def test_one_that_comes_back_before_its_end_was_told_was_never_away():
    problems = Problems()
    problems.failed("a", check())
    told(problems)
    problems.solved("a")
    problems.failed("a", check())
    assert told(problems, NOW + timedelta(hours=1)) == []


def test_sixty_of_a_kind_are_one_message():
    problems = Problems()
    for day in range(1, 29):
        for rule in ("ohlc", "hours"):
            problems.failed(f"{rule} {day}", check(f"2025-02-{day:02}", rule))
    (text,) = told(problems)
    assert text.count("\n") == 1
    assert text.startswith("*Check failed* daily_bars: ohlc of 2025-02-01, 2025-02-02, ")
    assert len(text) < 2_000


def test_what_fails_one_after_the_other_waits_for_a_pause_and_is_not_lost():
    problems = Problems()
    sent = []
    for minute in range(30):
        problems.failed(f"{minute}", run(f"2025-05-{minute + 1:02}"))
        sent += told(problems, NOW + timedelta(minutes=minute))
    assert len(sent) == 3
    # Sessions of a stretch are named by its ends.
    assert sent[1] == "*Run failed* daily_bars of " + sent[1].split(" of ")[1]
    assert "2025-05-02" in sent[1]
    assert told(problems, NOW + timedelta(minutes=30)) != []
    assert all(problem.told for problem in problems.open.values())


def test_groups_do_not_wait_for_each_other():
    problems = Problems()
    problems.failed("a", check())
    assert len(told(problems)) == 1
    problems.failed("b", check(asset="minute_bars"))
    assert len(told(problems)) == 1


def test_what_is_not_over_waits():
    problems = Problems()
    problems.failed("a", run())
    assert told(problems, ready=lambda _: False) == []
    assert len(told(problems)) == 1


def test_what_could_not_be_sent_is_due_again():
    problems = Problems()
    problems.failed("a", run())
    first = problems.due(NOW, DAY, lambda _: True, UI)
    kept = Problems.from_json(problems.to_json())
    assert kept.due(NOW, DAY, lambda _: True, UI) == first


def test_a_failed_run_is_an_event():
    """It is not repeated for being unrepaired, but told when it happens again after a long time."""
    problems = Problems()
    problems.failed("a", run())
    told(problems)
    later = NOW + DAY
    problems.forget_old_runs(later, DAY)
    assert told(problems, later) == []
    problems.failed("a", run())
    assert len(told(problems, later)) == 1


@pytest.mark.parametrize("session", ["2025-06-12 2025-06-13", "2025-06-12"])
def test_a_run_is_linked_and_its_text_escaped(session):
    problem = run(session, detail="a < b & c > d", run="1234abcd-5678-90ab", root="")
    problems = Problems()
    problems.failed("a", problem)
    assert told(problems) == [
        f"*Run failed* daily_bars of {session.replace(' ', ' to ')}: a &lt; b &amp; c &gt; d "
        "<http://ui:3000/runs/1234abcd-5678-90ab|run 1234abcd>"
    ]
    problem.told = ""
    (message,) = _sent(problem, ui="")
    assert "<http" not in message.text


def _sent(problem: Problem, ui: str) -> list[Message]:
    problems = Problems()
    problems.failed("a", problem)
    return problems.due(NOW, DAY, lambda _: True, ui)


def test_long_errors_and_many_subjects_are_cut():
    problem = run(detail="x" * 10_000)
    (message,) = _sent(problem, UI)
    assert len(message.text) < 1_000
    problems = Problems()
    for number in range(40):
        problems.failed(f"{number}", check(rule=f"rule{number}"))
    (text,) = told(problems)
    assert text.endswith("… and 28 more")
    assert all(problem.told for problem in problems.open.values())
