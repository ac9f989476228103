"""Files that are not what they should be, and encodings and formats that are."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.unit.files_source.vendor import DAILY, DAILY_HEADER, FLOWS, MON, Refusal, Source, Write


def test_a_missing_column_names_file_column_and_key(
    write: Write, source: Source, refusal: Refusal
) -> None:
    path = write("daily/a.csv", "Date,Code,O,H,L,C,Volume", "2025-11-10,005930,1,2,1,2,3")
    said = refusal(source(DAILY).daily_bars, MON, None)
    assert said == (
        f'dumps.toml: daily_bars[vendor].columns.volume names column "V", which {path} does not '
        "have; it has: Date, Code, O, H, L, C, Volume"
    )


def test_a_header_that_swallows_the_file_is_shown_in_one_line(
    write: Write, source: Source, refusal: Refusal
) -> None:
    write("daily/a.csv", '"Date,Code,O,H,L,C,V', *["2025-11-10,005930,1,2,1,2,3"] * 1000)
    said = refusal(source(DAILY).daily_bars, MON, None)
    assert said.endswith("does not have; it has: Date,Code,O,H,L,C,V 2025-11-10")


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ('keep = { Group = ["a"] }', "daily_bars[vendor].keep.Group"),
        ("", "daily_bars[vendor].session.column"),
    ],
)
def test_the_key_that_names_a_missing_column(
    write: Write, source: Source, extra: str, key: str, refusal: Refusal
) -> None:
    header = DAILY_HEADER if extra else DAILY_HEADER.replace("Date", "Day")
    write("daily/a.csv", header, "2025-11-10,005930,1,2,1,2,3")
    assert f"{key} names column" in refusal(source(DAILY + extra).daily_bars, MON, None)


def test_a_missing_column_of_parquet(source: Source, refusal: Refusal, parquet: Write) -> None:
    parquet("flows.parquet", Date=["2025-11-10"], Code=["005930"], I=[1], F=[2])
    said = refusal(source(FLOWS.replace(".csv", ".parquet")).supply_demand, MON, None)
    assert 'supply_demand[vendor].price names column "C"' in said and "it has: Date, Code" in said


def test_a_column_that_is_there_twice_is_ambiguous(
    write: Write, source: Source, refusal: Refusal
) -> None:
    write("daily/a.csv", DAILY_HEADER + ",V", "2025-11-10,005930,1,2,1,2,3,4")
    assert 'column "V", which' in (said := refusal(source(DAILY).daily_bars, MON, None))
    assert "more than once" in said


GOOD = (
    "\n".join([DAILY_HEADER, *(f"2025-11-10,{n:06d},1,2,1,2,{n * n}" for n in range(5000))]) + "\n"
)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv.gz", gzip.compress(GOOD.encode())[:-4000], "cannot be read as csv.gz"),
        ("a.csv.gz", b"Date,Code\n", "cannot be read as csv.gz"),
        ("a.parquet", b"PAR1 is not enough", "cannot be read as parquet"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", GOOD.encode() + b"2025-11-10,0059", "Expected 7 columns, got 2"),
        ("a.csv", GOOD.encode("utf-16"), "daily_bars[vendor].encoding"),
        ("a.csv", GOOD.encode() + "2025-11-10,삼성,1,2,1,2,3\n".encode("cp949"), "encoding, such"),
        ("a.csv", "날짜,종목\n".encode("cp949"), "daily_bars[vendor].encoding"),
    ],
)
def test_broken_files_are_named_with_the_remedy(
    tmp_path: Path, source: Source, name: str, content: bytes, said: str, refusal: Refusal
) -> None:
    path = tmp_path / "data" / "daily" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    ready = source(DAILY.replace("*.csv", "*" + name.removeprefix("a")))
    text = refusal(ready.daily_bars, MON, None)
    assert str(path) in text and said in text and "daily_bars[vendor]" in text


def test_garbled_text_in_parquet_is_named(tmp_path: Path, source: Source, refusal: Refusal) -> None:
    garbled = pa.array([b"2025-11-10", b"2025-\xf911-10"]).cast(pa.string(), safe=False)
    columns = dict.fromkeys(DAILY_HEADER.split(",")[1:], pa.array([1, 1]))
    path = tmp_path / "data" / "daily" / "a.parquet"
    path.parent.mkdir(parents=True)
    parquet.write_table(pa.table({"Date": garbled, **columns}), path)
    said = refusal(source(DAILY.replace("*.csv", "*.parquet")).daily_bars, MON, None)
    assert str(path) in said and "cannot be read as parquet" in said and "copy the dump" in said


def test_line_breaks_inside_cells_of_a_large_file(write: Write, source: Source) -> None:
    # Larger than the blocks Arrow reads in, which must not end inside a cell.
    name = '"' + "삼\n" * 50 + '"'
    write("daily/a.csv", DAILY_HEADER + ",N", *[f"2025-11-10,005930,1,2,1,2,3,{name}"] * 10_000)
    assert len(source(DAILY).daily_bars(MON, None)) == 10_000


@pytest.mark.parametrize("encoding", ["cp949", "utf-8-sig", "utf-8", "utf-16"])
def test_encodings(write: Write, source: Source, encoding: str) -> None:
    text = "코드,이름,시장\n005930,삼성전자,KOSPI\n"
    write("members/20251110.csv.gz", text.encode(encoding))
    mapping = f"""
[[symbols]]
name = "members"
glob = "members/{{session:%Y%m%d}}.csv.gz"
columns = {{ symbol = "코드", name = "이름", market = "시장" }}
{"" if encoding.startswith("utf-8") else f'encoding = "{encoding}"'}
"""
    assert source(mapping).symbols(MON, None)["name"].tolist() == ["삼성전자"]


def test_cp949_read_as_another_encoding_is_an_error(
    write: Write, source: Source, refusal: Refusal
) -> None:
    write("daily/a.csv", GOOD.encode() + "2025-11-10,삼성전자,1,2,1,2,3\n".encode())
    said = refusal(source(DAILY + 'encoding = "cp949"').daily_bars, MON, None)
    assert "is not cp949 text" in said and "daily_bars[vendor].encoding" in said


JSON = DAILY.replace("*.csv", "*.json.gz") + 'records = "response.rows"\nthousands = ","\n'


def test_json_records(write: Write, source: Source) -> None:
    row = {"Date": "2025-11-10", "Code": "005930", "O": 1.50, "H": "2,000", "L": 1, "C": 2}
    rows = [{**row, "V": 9007199254740993}, {**row, "V": None}, {**row, "V": {}}, row]
    # A float that Python has read is another number.
    text = json.dumps({"response": {"rows": rows}}).replace(
        "9007199254740993", "9007199254740993.0"
    )
    write("daily/a.json.gz", text)
    frame = source(JSON).daily_bars(MON, None)
    assert frame["open"].tolist() == [1.5] * 4 and frame["high"].tolist() == [2000.0] * 4
    got = frame["volume"].tolist()
    assert got[0] == 9007199254740993 and got[2] == "{}"
    assert pd.isna(got[1]) and pd.isna(got[3])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"answer": {}}, 'has no "response" there; it has: answer'),
        ({"response": {"output": []}}, 'has no "rows" there; it has: output'),
        ({"response": []}, 'has no "rows" there; it has: a list'),
        ({"response": {"rows": {}}}, "is no list of records"),
        ({"response": {"rows": [1]}}, "is no list of records"),
        ({"response": {"rows": [{"Date": "2025-11-10"}]}}, 'names column "Code"'),
    ],
)
def test_json_of_another_shape(
    write: Write, source: Source, content: object, said: str, refusal: Refusal
) -> None:
    path = write("daily/a.json.gz", json.dumps(content))
    text = refusal(source(JSON).daily_bars, MON, None)
    assert said in text and str(path) in text and "daily_bars[vendor]." in text


def test_what_is_no_json(write: Write, source: Source, refusal: Refusal) -> None:
    write("daily/a.json.gz", "<html>")
    assert "cannot be read as json.gz" in refusal(source(JSON).daily_bars, MON, None)
