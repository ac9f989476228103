from datetime import date, datetime, time

import pytest

from resources.calendar import SEOUL, krx_calendar
from resources.standing import Standing, may_load, standing
from resources.tables import Dataset

REGULAR, EXAM = date(2025, 6, 13), date(2025, 11, 13)


@pytest.mark.parametrize(
    ("session", "at", "expected"),
    [
        (REGULAR, "08:59", Standing.NOT_BEGUN),
        (REGULAR, "09:00", Standing.NOT_FINAL),
        (REGULAR, "15:59", Standing.NOT_FINAL),
        (REGULAR, "16:00", Standing.FINAL),
        (EXAM, "09:59", Standing.NOT_BEGUN),
        (EXAM, "10:00", Standing.NOT_FINAL),
        (EXAM, "16:59", Standing.NOT_FINAL),  # closes an hour later, is final an hour later
        (EXAM, "17:00", Standing.FINAL),
    ],
)
def test_standing(session, at, expected):
    now = datetime.combine(session, time.fromisoformat(at), SEOUL)
    assert standing(krx_calendar(), session, time(16), now) is expected


def test_other_days():
    now = datetime(2025, 6, 13, 12, tzinfo=SEOUL)
    calendar = krx_calendar()
    assert standing(calendar, date(2025, 6, 12), time(16), now) is Standing.FINAL
    assert standing(calendar, date(2025, 6, 16), time(16), now) is Standing.NOT_BEGUN


@pytest.mark.parametrize("dataset", Dataset)
def test_only_minute_bars_load_before_they_are_final(dataset):
    assert may_load(dataset, Standing.FINAL)
    assert not may_load(dataset, Standing.NOT_BEGUN)
    assert may_load(dataset, Standing.NOT_FINAL) == (dataset is Dataset.MINUTE_BARS)
