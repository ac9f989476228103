"""Checks follow a load at once, before the planner's statistics know its rows."""

import json
from collections.abc import Iterator
from typing import Any

from resources.calendar import krx_calendar
from resources.checks import evaluation
from resources.connections import Connectable
from resources.statements import statement
from resources.tables import Dataset
from tests.integration.checks.conftest import SESSION, SIZE


def test_each_bar_is_compared_with_few_others_though_statistics_know_neither_session(
    load, check, query, monkeypatch
):
    days = krx_calendar().sessions
    place = days.index(SESSION)
    for day in days[place - 3 : place + 1]:
        load(Dataset.SYMBOLS, day)
        load(Dataset.DAILY_BARS, day)
        if day == days[place - 2]:
            query("ANALYZE daily_bars")
    plans: list[dict[str, Any]] = []
    ask = evaluation._ask

    def explain(database: Connectable, name: str, parameters: tuple[object, ...]) -> object:
        with database.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement(name)}", parameters)
            plans.append(json.loads(cursor.fetchone()[0])[0]["Plan"])
        return ask(database, name, parameters)

    monkeypatch.setattr(evaluation, "_ask", explain)
    assert check(Dataset.DAILY_BARS)["stale_close"].checked
    (plan,) = plans
    compared = [
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Join Filter", 0))
        for node in nodes(plan)
        if "Join Type" in node
    ]
    assert max(compared) <= 10 * SIZE


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes, from the top."""
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)
