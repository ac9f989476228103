"""Rules that are others from now on."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

import pandera.pandas as pa
import pytest

from resources import schemas
from resources.tables import Dataset


def change_rules(
    monkeypatch: pytest.MonkeyPatch, dataset: Dataset, column: str, checks: Sequence[pa.Check]
) -> None:
    """Let ``checks`` be all that is asked of ``column``."""
    before = schemas._RULES[dataset]

    def changed(session: date, now: datetime) -> schemas.Rules:
        rules = before(session, now)
        other = pa.Column(checks=list(checks), nullable=rules.columns[column].nullable)
        return replace(rules, columns={**rules.columns, column: other})

    monkeypatch.setitem(schemas._RULES, dataset, changed)
