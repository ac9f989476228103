"""Each file is parsed once, and no row of a clean one goes through Python."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from time import sleep
from typing import Any

import numpy as np
import pytest

from resources.sources import NotCoveredError, dumps
from resources.sources import moments as moments_module
from resources.sources.dumps import ParsedFiles
from tests.unit.files_source.vendor import DAILY, DAILY_HEADER, MON, TUE, Source, Write

MINUTE = """
[[minute_bars]]
name = "vendor"
glob = "minute/A{symbol}.csv"
time = { column = "T", format = "%Y%m%d%H%M", label = "end", closing_auction = "15:30" }
columns = { open = "O", high = "H", low = "L", close = "C", volume = "V" }
"""
GOOD = (
    "\n".join([DAILY_HEADER, *(f"2025-11-10,{n:06d},1,2,1,2,{n * n}" for n in range(5000))]) + "\n"
)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files parsed, in order."""
    names: list[str] = []
    real = dumps.parse

    def parse(file: Any, layout: Any, key: str) -> Any:
        names.append(file.path.name)
        sleep(0.01)  # long enough for another thread to ask for the same
        return real(file, layout, key)

    monkeypatch.setattr(dumps, "parse", parse)
    return names


def test_a_file_is_parsed_once_for_all_its_sessions(
    write: Write, source: Source, parsed: list[str]
) -> None:
    rows = [f"2025-11-{day},005930,1,2,1,2,{day}" for day in (10, 11, 12)]
    path = write("daily/a.csv", DAILY_HEADER, *rows)
    ready = source(DAILY)
    for day in (12, 10, 11, 10):
        assert ready.daily_bars(date(2025, 11, day), None)["volume"].tolist() == [day]
    assert parsed == ["a.csv"]

    write(
        "daily/a.csv",
        DAILY_HEADER,
        "2025-11-10,005930,1,2,1,2,77",
        "2025-11-14,005930,1,2,1,2,78",
    )
    os.utime(path, ns=(0, 0))
    assert ready.daily_bars(date(2025, 11, 14), None)["volume"].tolist() == [78]
    assert ready.daily_bars(MON, None)["volume"].tolist() == [77]
    with pytest.raises(NotCoveredError):
        ready.daily_bars(TUE, None)
    assert parsed == ["a.csv"] * 2


def test_files_that_do_not_hold_the_session_stay_unparsed_after_the_first_look(
    write: Write, source: Source, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("daily/a.csv", DAILY_HEADER, "2025-11-10,005930,1,2,1,2,30")
    write("daily/b.csv", DAILY_HEADER, "2025-11-11,005930,1,2,1,2,31")
    monkeypatch.setattr(ParsedFiles.__init__, "__defaults__", (1,))
    ready = source(DAILY)
    ready.daily_bars(MON, None)
    assert sorted(parsed) == ["a.csv", "b.csv"]
    # Beyond the limit only the last one is held; the other's sessions are remembered all the same.
    held = parsed[-1]
    other = {"a.csv": TUE, "b.csv": MON}[held]
    parsed.clear()
    ready.daily_bars({MON: TUE, TUE: MON}[other], None)
    assert parsed == []
    ready.daily_bars(other, None)
    assert len(parsed) == 1 and parsed[0] != held


def test_two_threads_parse_a_file_once(write: Write, source: Source, parsed: list[str]) -> None:
    write("daily/20251110.csv", GOOD)
    named = DAILY.replace("*.csv", "{session:%Y%m%d}.csv").replace("session = {", "# {")
    ready = source(named)
    barrier = threading.Barrier(8)

    def ask() -> int:
        barrier.wait()
        return len(ready.daily_bars(MON, None))

    with ThreadPoolExecutor(8) as pool:
        assert {f.result() for f in [pool.submit(ask) for _ in range(8)]} == {5000}
    assert parsed == ["20251110.csv"]


def test_no_row_of_a_clean_file_goes_through_python(
    source: Source, monkeypatch: pytest.MonkeyPatch, parquet: Write
) -> None:
    labels = [202511100901 + n for n in range(50)] + [202511101530]
    n = 2000
    parquet(
        "minute/2025-11-10.parquet",
        S=np.repeat([f"{i:06d}" for i in range(n)], len(labels)),
        T=np.tile(labels, n),
        O=1.0,
        H=2,
        L=1,
        C=2,
        V=np.arange(n * len(labels)),
    )
    calls = []
    real = moments_module._label
    monkeypatch.setattr(moments_module, "_label", lambda *a: calls.append(a) or real(*a))
    for slow in ("_count", "_price"):
        monkeypatch.delattr(f"resources.sources.cells.{slow}")
    mapping = MINUTE.replace("A{symbol}.csv", "{session:%Y-%m-%d}.parquet").replace(
        "open =", 'symbol = "S", open ='
    )
    frame = source(mapping).minute_bars(MON, None)
    assert len(frame) == n * len(labels) and len(calls) == len(labels)
    assert frame["volume"].sum() == np.arange(n * len(labels)).sum()
