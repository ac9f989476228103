"""Dumps that give each investor type of a market in a row of its own, as one row per market."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pyarrow as pa

from resources.sources.cells import Cells


def side_by_side(
    columns: Mapping[str, Cells],
    days: pa.Array,
    investors: pa.Array,
    amounts: Cells,
    labels: Mapping[str, str],
) -> tuple[dict[str, Cells], pa.Array]:
    """``columns`` and ``days`` with one row where all of them agree, and a column for each investor
    type of ``labels`` (our column: the label in ``investors``), null where there is no such row.

    A type that comes twice makes a second row of the same market, which validation refuses: which
    of them is right cannot be told. Rows with other labels are left out.
    """
    named = {label: name for name, label in labels.items()}
    kept = np.flatnonzero(pd.Series(investors.to_pylist(), dtype=object).isin(list(named)))
    what = _taken(dict(columns), kept)
    keys = pd.DataFrame(
        {"day": days.take(pa.array(kept)).to_pandas()}
        | {name: cells.values.to_pandas() for name, cells in what.items()}
        | {f"{n} said": c.garbled.to_pandas() for n, c in what.items() if c.garbled is not None}
    )
    keys["investor"] = investors.take(pa.array(kept)).to_pylist()
    keys["time"] = keys.groupby(list(keys.columns), dropna=False, sort=False).cumcount()
    same = [name for name in keys.columns if name != "investor"]
    place = keys.groupby(same, dropna=False, sort=False).ngroup().to_numpy()
    rows = int(place.max()) + 1 if len(place) else 0
    first = np.zeros(rows, dtype=np.int64)
    first[place[::-1]] = np.arange(len(place))[::-1]

    wide = _taken(what, first)
    of_type = keys["investor"].to_numpy()
    for label, name in named.items():
        found = np.flatnonzero(of_type == label)
        source = np.zeros(rows, dtype=np.int64)
        absent = np.ones(rows, dtype=bool)
        source[place[found]], absent[place[found]] = kept[found], False
        wide |= _taken({name: amounts}, source, absent)
    return wide, days.take(pa.array(kept[first]))


def _taken(
    columns: dict[str, Cells], rows: np.ndarray, absent: np.ndarray | None = None
) -> dict[str, Cells]:
    """Those rows of each column, null where ``absent``."""
    places = pa.array(rows, pa.int64(), mask=absent)
    return {
        name: Cells(
            cells.values.take(places), None if cells.garbled is None else cells.garbled.take(places)
        )
        for name, cells in columns.items()
    }
