from unittest.mock import patch

import pandera.errors
import pandera.pandas as pa
import pytest
from hypothesis import given, settings

from resources import validation
from resources.tables import TABLES, Dataset
from resources.validation import split
from tests.faults.frames import NOW, SESSION, tables


@pytest.mark.parametrize("dataset", list(Dataset))
def test_rules_are_judged_as_pandera_does(dataset):
    """We evaluate the rules ourselves, for speed: which rows break which must be what pandera
    reports."""

    @settings(max_examples=30)
    @given(tables(dataset))
    def same(given):
        judged = []
        really = validation._broken_rules

        def broken_rules(rules, rows):
            judged.append((rules, rows))
            return really(rules, rows)

        with patch.object(validation, "_broken_rules", broken_rules):
            split(given.frame(), TABLES[dataset], SESSION, NOW)
        ((rules, rows),) = judged
        ours = {
            (int(row), reason) for reason, broken in really(rules, rows) for row in broken.tolist()
        }
        try:
            pa.DataFrameSchema(dict(rules.columns), list(rules.checks)).validate(rows, lazy=True)
        except pandera.errors.SchemaErrors as failed:
            cases = failed.failure_cases
            reported = {
                (
                    int(case["index"]),
                    f"{case['column']} is missing"
                    if case["check"] == "not_nullable"
                    else case["check"],
                )
                for case in cases.to_dict("records")
            }
            assert ours == reported
        else:
            assert ours == set()

    same()
