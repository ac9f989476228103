"""Refused rows as JSON: column by column the same as cell by cell."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from resources import documents as module
from resources.documents import documents
from resources.tables import Dataset
from tests.faults.frames import tables


@pytest.mark.parametrize("dataset", list(Dataset))
def test_columns_give_what_cells_give(dataset):
    @given(tables(dataset))
    def same(given):
        frame = given.frame().set_axis([str(label) for label in given.labels], axis="columns")
        plain = frame.reset_index(drop=True)
        if any(isinstance(dtype, pd.ArrowDtype) for dtype in plain.dtypes):
            plain = plain.astype(object)  # as validation hands them on
        cells = [
            {name: module._json_value(cell) for name, cell in row.items()}
            for row in plain.to_dict("records")
        ]
        assert documents(plain) == [json.dumps(row, ensure_ascii=False) for row in cells]

    same()


def test_numbers_that_json_does_not_know():
    frame = pd.DataFrame(
        {"a": [1.5, np.nan, np.inf, -0.0], "b": pd.array([1, None, 3, 4], "Int64")}
    )
    assert [json.loads(text) for text in documents(frame)] == [
        {"a": 1.5, "b": 1},
        {"a": None, "b": None},
        {"a": "inf", "b": 3},
        {"a": 0.0, "b": 4},
    ]


def test_no_rows():
    assert documents(pd.DataFrame({"a": []})) == []
