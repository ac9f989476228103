import re
from pathlib import Path

import pytest

from resources.databases import ApplicationDatabase, TimescaleDB
from resources.settings import MarketSettings, SettingsError, market_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MARKET_SOURCE", "bloomberg"),
        ("DAILY_BARS_FIRST_SESSION", "yesterday"),
        ("MINUTE_BARS_FIRST_SESSION", "1999-01-04"),
        ("SUPPLY_DEMAND_FINAL_TIME", "six"),
        ("SOURCE_TIMEOUT", "0"),
        ("KEEP_RUNS_DAYS", "0"),
    ],
)
def test_wrong_value_is_named(variable, value):
    with pytest.raises(SettingsError) as error:
        market_settings({variable: value})
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{variable}={value!r}: ")


def test_empty_counts_as_unset():
    assert market_settings({"DAILY_BARS_FIRST_SESSION": " "}).daily_bars_first_session is None


def test_every_variable_is_documented():
    documented = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    ours = {name.upper() for name in MarketSettings.model_fields}
    dagster_yaml = (ROOT / "dagster.yaml").read_text()
    ours |= {*TimescaleDB.variables.values(), *ApplicationDatabase.variables.values()}
    ours |= set(re.findall(r"env: ([A-Z_]+)", dagster_yaml))
    assert ours - documented == set()


def test_documented_defaults_are_the_defaults():
    text = (ROOT / ".env.example").read_text()
    for name, value in re.findall(r"^#([A-Z_]+)=(\S+)$", text, re.M):
        field = name.lower()
        if field not in MarketSettings.model_fields:
            continue  # the embedded stack's own
        assert getattr(market_settings({}), field) == getattr(market_settings({name: value}), field)
