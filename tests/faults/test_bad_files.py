"""Files that are not what they should be, from the dump to the table: it holds what it held, or
exactly what is right; there is one clear error; every refused row is in the quarantine once."""

import gzip
import json
import re

import pytest

from resources.tables import MINUTE_BARS
from tests.faults.market import MON, TUE, plain

ROWS = [f"2025-11-10,{code:06d},100,120,90,110,{code + 1}" for code in range(200)]
"""Each row is told by its volume."""


EVERY = list(range(1, 201))
GARBLED = plain(*ROWS[:-1], "2025-11-10,000199,삼성,120,90,110,200")
BLANK = json.dumps(
    {"OutBlock_1": [{"Code": f"{code:06d}", **dict.fromkeys("OHLCV", "-")} for code in range(200)]}
)


# What is wrong: the file's name, what is in it, what the error says.
UNUSABLE: dict[str, tuple[str, str | bytes, str]] = {
    "cut off in a row": (
        "plain/a.csv",
        plain(*ROWS)[: len(plain(*ROWS)) // 2 - 3],
        "cannot be read as csv: .* Expected 7 columns",
    ),
    "a packed one cut off": (
        "packed/20251110.csv.gz",
        gzip.compress(plain(*ROWS).encode())[:-99],
        "cannot be read as csv.gz",
    ),
    "a document cut off": ("krx/20251110.json", BLANK[:-9], "cannot be read as json"),
    "empty": ("plain/a.csv", "", "the file is empty"),
    "only a header": ("plain/a.csv", plain(), "nothing in .*mapping.toml covers it"),
    "only a header, packed": (
        "packed/20251110.csv.gz",
        gzip.compress(plain().encode()),
        "without a single row, although KRX traded",
    ),
    "no records": ("krx/20251110.json", '{"OutBlock_1": []}', "without a single row"),
    "a closed day's answer": (
        "krx/20251110.json",
        BLANK,
        "200 rows in which .* are all blank, as KRX answers on a closed day",
    ),
    "a logged-out answer": ("krx/20251110.json", '{"LOGOUT": true}', 'has no "OutBlock_1"'),
    "a page": ("plain/a.csv", "<html><body>로그인</body></html>", 'names column "Code"'),
    "another encoding": (
        "plain/a.csv",
        GARBLED.encode("cp949"),
        "is not utf-8-sig text .* such as cp949",
    ),
    "yet another encoding": ("plain/a.csv", GARBLED.encode("utf-16"), "is not utf-8-sig text"),
    "a garbled date": (
        "plain/a.csv",
        plain(*ROWS).replace("2025-11-10,000007", "??,000007"),
        r'has "\?\?" where a session is expected',
    ),
    "not packed": ("packed/20251110.csv.gz", plain(*ROWS), "cannot be read as csv.gz"),
    "another day's": (
        "plain/a.csv",
        plain(*ROWS).replace("2025-11-10", "2025-11-11"),
        "nothing in .*mapping.toml covers it",
    ),
}


@pytest.mark.parametrize("wrong", list(UNUSABLE))
def test_a_file_that_cannot_be_used_changes_nothing(market, query, loaded, refused, wrong):
    name, content, says = UNUSABLE[wrong]
    good = market.write("plain/a.csv", plain(*ROWS))
    assert market.load() is None
    good.unlink()
    market.write(name, content)
    error = market.load()
    assert re.search(says, error or ""), error
    assert loaded() == EVERY
    assert refused() == []
    assert query("SELECT outcome, error FROM ingest_ledger ORDER BY id") == [
        ("committed", None),
        ("failed", error),
    ]


def test_a_file_cut_off_between_two_rows_replaces_no_whole_one(market, loaded, refused):
    market.write("plain/a.csv", plain(*ROWS))
    assert market.load() is None
    market.write("plain/a.csv", plain(*ROWS[:179]))
    assert "179 rows would replace 200, less than 90%" in market.load()
    assert loaded() == EVERY
    assert refused() == []


DUPLICATE = "duplicate of (symbol, date)"


@pytest.mark.parametrize(
    ("rows", "kept", "quarantined"),
    [
        # One of identical rows is right; of rows that differ none is known to be.
        ([*ROWS, ROWS[3], ROWS[3], ROWS[4]], EVERY, [("4", DUPLICATE)] * 2 + [("5", DUPLICATE)]),
        (
            [*ROWS, "2025-11-10,000003,100,120,90,111,777"],
            [volume for volume in EVERY if volume != 4],
            [("4", DUPLICATE), ("777", DUPLICATE)],
        ),
        # A row whose cell nobody can read is no rival to one that says the same key.
        (
            [*ROWS, "2025-11-10,000003,100,120,90,1I1,777"],
            EVERY,
            [("777", "close is not a number: '1I1'")],
        ),
        (
            [
                *("2025-11-10,000200,1\0,120,90,110,201", "2025-11-10,00020\t,100,120,90,110,202"),
                *("2025-11-10,000203,-,120,90,110,203", "2025-11-10,000204,100,120,90,110,2O4"),
                *ROWS,
            ],
            EVERY,
            [
                ("201", "open is not a number: '1\\x00'"),
                ("202", "symbol is not 6 upper-case letters or digits"),
                ("203", "open is not a number: '-'"),
                ("2O4", "volume is not a whole number: '2O4'"),
            ],
        ),
    ],
    ids=["identical", "conflicting", "a garbled rival", "garbled"],
)
def test_some_bad_rows_are_quarantined_and_the_others_load(
    market, loaded, refused, rows, kept, quarantined
):
    market.write("plain/a.csv", plain(*rows))
    assert market.load() is None
    assert loaded() == kept
    assert refused() == quarantined
    # The dump is mended: what was wrong with it is forgotten.
    market.write("plain/a.csv", plain(*ROWS))
    assert market.load() is None
    assert loaded() == EVERY
    assert refused() == []


@pytest.mark.parametrize("how", ["rows twice", "file twice"])
def test_a_doubled_file_is_refused(market, query, loaded, refused, how):
    market.write("plain/a.csv", plain(*ROWS))
    assert market.load() is None
    if how == "rows twice":
        market.write("plain/a.csv", plain(*ROWS, *ROWS))
    else:
        market.write("plain/a (1).csv", plain(*ROWS))
    error = market.load()
    assert error == (
        "200 of 400 rows were refused, 5 may be: duplicate of (symbol, date) (200); "
        "every one is in the quarantine"
    )
    assert loaded() == EVERY
    assert sorted(refused(), key=lambda row: int(row[0])) == [
        (str(volume), DUPLICATE) for volume in EVERY
    ]
    assert query("SELECT outcome FROM ingest_ledger ORDER BY id") == [("committed",), ("refused",)]


def test_a_file_of_dashes_that_nobody_declared_blank_is_refused(market, loaded, refused):
    market.write("plain/a.csv", plain(*ROWS))
    assert market.load() is None
    market.write("plain/a.csv", plain(*(f"2025-11-10,{code:06d},-,-,-,-,-" for code in range(200))))
    assert (
        "200 of 200 rows were refused, 5 may be: open is not a number: '-' (200)" in market.load()
    )
    assert loaded() == EVERY
    assert len(refused()) == 200


def test_minutes_of_another_day_are_refused(market, query, refused):
    minutes = [f"2025111109{minute:02d},005930,100,120,90,110,{minute}" for minute in range(60)]
    market.write("minutes/20251110.csv", "\n".join(["Time,Code,O,H,L,C,V", *minutes]))
    said = "time is not on the session's day in Asia/Seoul"
    assert f"60 of 60 rows were refused, 5 may be: {said} (60)" in market.load(MON, MINUTE_BARS)
    assert query("SELECT count(*) FROM stock_prices") == [(0,)]
    assert refused() == [(str(minute), said) for minute in range(60)]


def test_a_file_of_two_days_gives_each_its_own(market, query):
    strays = ["2025-11-11,000003,100,120,90,110,1", "2025-11-11,000004,100,120,90,110,2"]
    market.write("plain/a.csv", plain(*ROWS[:100], *strays, *ROWS[100:]))
    assert market.load(MON) is None
    assert market.load(TUE) is None
    assert query(
        "SELECT date, count(*), sum(volume)::int FROM daily_bars GROUP BY 1 ORDER BY 1"
    ) == [
        (MON, 200, sum(EVERY)),
        (TUE, 2, 3),
    ]
