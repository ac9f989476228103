"""Names of dumps, by a mapping's patterns."""

from datetime import date
from pathlib import Path

import pytest

from resources.sources.captures import FilePattern, UnreadableNameError


def names(tmp_path: Path, pattern: str, *files: str) -> list[tuple[str, date | None, str | None]]:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = FilePattern.parse(pattern).files(tmp_path)
    return [(f.path.relative_to(tmp_path).as_posix(), f.session, f.symbol) for f in found]


def test_a_symbol_is_six_characters_and_literals_stay_literal(tmp_path: Path) -> None:
    files = ("A005930_1.csv", "A0126Z0_1.csv", "A00593_1.csv", "B005930_1.csv", "A005930_1xcsv")
    assert names(tmp_path, "A{symbol}_*.csv", *files) == [
        ("A005930_1.csv", None, "005930"),
        ("A0126Z0_1.csv", None, "0126Z0"),
    ]
    assert names(tmp_path, "x/{symbol}*.csv", "x/005930Z.csv") == [
        ("x/005930Z.csv", None, "005930")
    ]
    assert names(tmp_path, "x/a+(1)_{symbol}.csv", "x/a+(1)_005930.csv", "x/aa1_005930.csv") == [
        ("x/a+(1)_005930.csv", None, "005930")
    ]


def test_a_session_is_taken_from_the_name(tmp_path: Path) -> None:
    day = date(2026, 3, 9)
    assert names(tmp_path, "k_{session:%Y-%m-%d}.csv", "k_2026-03-09.csv", "k_latest.csv") == [
        ("k_2026-03-09.csv", day, None)
    ]
    assert names(tmp_path, "{session:%Y/%m%d}/{symbol}.csv", "2026/0309/005930.csv") == [
        ("2026/0309/005930.csv", day, "005930")
    ]
    assert names(tmp_path, "j{session:%y%j}.csv", "j26068.csv") == [("j26068.csv", day, None)]


def test_wildcards_stay_a_globs(tmp_path: Path) -> None:
    files = ("x/a1.csv", "x/y/a1.csv", "x/b1.csv", "x/a22.csv", "x/a.1.csv")
    assert [n for n, _, _ in names(tmp_path, "**/a?.csv", *files)] == ["x/a1.csv", "x/y/a1.csv"]
    assert [n for n, _, _ in names(tmp_path, "x/[!a]*.csv")] == ["x/b1.csv"]
    assert [n for n, _, _ in names(tmp_path, "x/a*.csv")] == ["x/a.1.csv", "x/a1.csv", "x/a22.csv"]


def test_digits_that_are_no_date_are_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(UnreadableNameError, match='"2026-02-30" in its name is no date'):
        names(tmp_path, "k_{session:%Y-%m-%d}.csv", "k_2026-02-30.csv")
