"""A vendor's layouts as mapping files, and the types of the fixtures that use them."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from resources.sources.files import FilesSource

Write = Callable[..., Path]
Source = Callable[[str], FilesSource]
Refusal = Callable[..., str]

MON, TUE = date(2025, 11, 10), date(2025, 11, 11)
DAILY = """
[[daily_bars]]
name = "vendor"
glob = "daily/*.csv"
session = { column = "Date" }
columns = { symbol = "Code", open = "O", high = "H", low = "L", close = "C", volume = "V" }
"""
DAILY_HEADER = "Date,Code,O,H,L,C,V"
FLOWS = """
[[supply_demand]]
name = "vendor"
glob = "flows.csv"
session = { column = "Date" }
columns = { symbol = "Code", institution_amount = "I", foreign_amount = "F" }
units = { institution_amount = "shares", foreign_amount = "shares" }
price = "C"
"""
INVESTORS = """
[[market_flows]]
name = "vendor"
glob = "market.csv"
session = { column = "Date" }
columns = { market = "M" }
[market_flows.investors]
column = "Who"
amount = "KRW"
unit = "thousand KRW"
labels = { foreign_amount = "외국인", individual_amount = "개인" }
"""
