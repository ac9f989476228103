"""How many bad rows a session may have: 1 % of its rows or 5, whichever is more."""

import pytest

from tests.faults.market import plain


def dump(rows: int, volume: int, bad: int) -> str:
    return plain(
        *(
            f"2025-11-10,{code:06d},100,120,90,110,{'?' if code < bad else volume}"
            for code in range(rows)
        )
    )


@pytest.mark.parametrize(
    ("rows", "allowed"),
    [(50, 5), (100, 5), (400, 5), (500, 5), (599, 5), (600, 6), (699, 6), (1_000, 10), (9_999, 99)],
)
def test_one_more_than_allowed_leaves_the_table_as_it_was(
    market, query, loaded, refused, rows, allowed
):
    market.write("plain/a.csv", dump(rows, 1, 0))
    assert market.load() is None
    assert loaded() == [1] * rows

    market.write("plain/a.csv", dump(rows, 2, allowed + 1))
    reason = "volume is not a whole number: '?'"
    assert market.load() == (
        f"{allowed + 1:,} of {rows:,} rows were refused, {allowed:,} may be: {reason} "
        f"({allowed + 1:,}); every one is in the quarantine"
    )
    assert loaded() == [1] * rows
    assert refused() == [("?", reason)] * (allowed + 1)

    market.write("plain/a.csv", dump(rows, 2, allowed))
    assert market.load() is None
    assert loaded() == [2] * (rows - allowed)
    assert refused() == [("?", reason)] * allowed
    counts = "rows_loaded, rows_replaced, rows_quarantined"
    assert query(f"SELECT outcome, {counts} FROM ingest_ledger ORDER BY id") == [  # noqa: S608
        ("committed", rows, 0, 0),
        ("refused", 0, 0, allowed + 1),
        ("committed", rows - allowed, rows, allowed),
    ]


def test_bad_rows_alone_are_never_a_session(market, loaded, refused):
    market.write("plain/a.csv", dump(3, 1, 3))
    assert "3 of 3 rows were refused" in market.load()
    assert loaded() == []
    assert len(refused()) == 3
