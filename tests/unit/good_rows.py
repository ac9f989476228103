"""A good row of every dataset, as a source delivers it."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

KST = ZoneInfo("Asia/Seoul")
SESSION = date(2025, 1, 2)
NOW = datetime(2025, 1, 2, 16, tzinfo=KST)

GOOD: dict[str, dict[str, object]] = {
    "symbols": {
        "symbol": "0126Z0",
        "name": "삼성전자",
        "market": "KOSPI",
        "kind": "common",
        "listing_date": date(1975, 6, 11),
        "delisting_date": None,
    },
    "daily_bars": {
        "date": SESSION,
        "symbol": "005930",
        "open": 52700.0,
        "high": 53600.0,
        "low": 52300.0,
        "close": 53400.0,
        "volume": 16630538.0,
        "trading_value": 878413120092.0,
        "market_cap": 318786388170000.0,
        "listed_shares": 5969782550,
    },
    "minute_bars": {
        "time": datetime(2025, 1, 2, 10, 0, tzinfo=KST),
        "symbol": "005930",
        "venue": "KRX",
        "open": 52700,
        "high": 53600,
        "low": 52300,
        "close": 53400,
        "volume": 100,
        "trading_value": None,
    },
    "companies": {
        "symbol": "0126Z0",
        "name": "삼성에피스홀딩스",
        "market": "KOSPI",
        "sector": None,
        "industry": "기타 금융업",
        "products": "지주사업",
        "region": "인천광역시",
        "homepage": None,
        "listing_date": date(2024, 11, 24),
        "face_value": "0.5",
    },
    "etf_constituents": {
        "date": SESSION,
        "symbol": "152100",
        "constituent": "KRD010010001",
        "name": "원화예금",
        "shares": None,
        "value": 14_159_974,
        "weight": "0.65",
    },
    "supply_demand": {
        "date": SESSION,
        "symbol": "005930",
        "institution_amount": -562644916900,
        "foreign_amount": -313082522700,
        "individual_amount": 870709684700,
        "other_corporation_amount": 5017754900,
        "estimated": False,
    },
    "market_flows": {
        "date": SESSION,
        "market": "KOSPI",
        "institution_amount": -467_889_000_000,
        "foreign_amount": 123_456_789,
        "individual_amount": 467_765_543_212,
        "other_corporation_amount": -1,
    },
}
