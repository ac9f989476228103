from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from resources.canonical import CanonicalError, canonical, checksum, require_canonical
from resources.tables import DAILY_BARS, SUPPLY_DEMAND


def bars(**changes: object) -> pd.DataFrame:
    row = {
        "date": pd.Timestamp(2025, 1, 2),
        "symbol": "005930",
        "open": 52700.0,
        "high": 53600.0,
        "low": 52300.0,
        "close": 53400.1,
        "volume": 16630538,
        "trading_value": 878413120092,
        "market_cap": 318786388170000,
        "listed_shares": 5969782550,
    }
    return pd.DataFrame([row | changes]).astype({"volume": "Int64"})


def test_types_and_values_are_exact():
    rows = canonical(bars(), DAILY_BARS)
    assert rows.schema.equals(DAILY_BARS.arrow_schema())
    row = rows.to_pylist()[0]
    assert str(row["close"]) == "53400.10"
    assert row["market_cap"] == 318786388170000
    assert row["date"] == date(2025, 1, 2)


@pytest.mark.parametrize(
    ("column", "value"), [("volume", 2.5), ("close", 1e11), ("date", pd.Timestamp(2025, 1, 2, 9))]
)
def test_a_cast_that_loses_something_is_refused(column, value):
    frame = bars().astype(object)
    frame[column] = [value]
    with pytest.raises(CanonicalError, match=f"daily_bars.{column}"):
        canonical(frame.infer_objects(), DAILY_BARS)


def test_other_schemas_are_named():
    rows = canonical(bars(), DAILY_BARS)
    floats = rows.set_column(6, "volume", rows["volume"].cast(pa.float64()))
    with pytest.raises(CanonicalError, match="volume is double, not int64"):
        require_canonical(floats, DAILY_BARS)
    with pytest.raises(CanonicalError, match="volume is missing, not int64"):
        require_canonical(rows.drop_columns("volume"), DAILY_BARS)
    with pytest.raises(CanonicalError, match="another order"):
        require_canonical(rows.select([*DAILY_BARS.column_names[::-1]]), DAILY_BARS)


class TestChecksum:
    frame = pd.concat([bars(), bars(symbol="000660"), bars(symbol="0126Z0")], ignore_index=True)

    def of(self, frame: pd.DataFrame) -> int:
        return checksum(canonical(frame, DAILY_BARS))

    def test_order_does_not_matter(self):
        assert self.of(self.frame) == self.of(self.frame.iloc[::-1])

    @pytest.mark.parametrize("column", DAILY_BARS.column_names)
    def test_every_value_matters(self, column):
        changed = self.frame.copy()
        value = changed.loc[1, column]
        step = pd.Timedelta(days=1) if column == "date" else 1
        changed.loc[1, column] = "000661" if column == "symbol" else value + step
        assert self.of(self.frame) != self.of(changed)

    def test_values_do_not_cancel_between_columns(self):
        swapped = self.frame.rename(columns={"open": "low", "low": "open"})
        assert self.of(self.frame) != self.of(swapped)

    def test_repeats_matter(self):
        assert self.of(self.frame) != self.of(pd.concat([self.frame, self.frame]))

    def test_it_is_what_ledgers_hold(self):
        """The sum of the hashes that pandas gives rows, in however many batches they come."""
        size = 100_000
        number = np.arange(size)
        frame = bars().loc[[0] * size].reset_index(drop=True)
        frame = frame.assign(
            symbol=[f"{n % 700:06d}" for n in number],
            open=number / 100,
            close=100.0,
            market_cap=pd.array(np.where(number % 3, number, pd.NA), dtype="Int64"),
        )
        hashed = frame.assign(
            date=np.int32((date(2025, 1, 2) - date(1970, 1, 1)).days),
            open=number,
            **{name: round(frame.loc[0, name] * 100) for name in ("high", "low", "close")},
            volume=frame["volume"].astype("int64"),
            market_cap=frame["market_cap"].fillna(0).astype("int64"),
        )
        hashed.insert(8, "market_cap is null", number % 3 == 0)
        total = int(pd.util.hash_pandas_object(hashed, index=False).sum())
        rows = canonical(frame, DAILY_BARS)
        assert checksum(rows) % 2**64 == total
        assert checksum(pa.concat_tables([rows[70_001:], rows[:70_001]])) % 2**64 == total

    def test_null_is_not_zero(self):
        def flow(amount: object) -> int:
            frame = pd.DataFrame(
                {
                    "date": [pd.Timestamp(2025, 1, 2)],
                    "symbol": ["005930"],
                    "institution_amount": pd.array([amount], dtype="Int64"),
                    "foreign_amount": pd.array([1], dtype="Int64"),
                    "individual_amount": pd.array([None], dtype="Int64"),
                    "other_corporation_amount": pd.array([None], dtype="Int64"),
                    "estimated": [True],
                }
            )
            return checksum(canonical(frame, SUPPLY_DEMAND))

        assert flow(None) != flow(0)
