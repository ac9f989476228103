"""What the companies are: invented, and the same for as long as a company holds its place."""

import numpy as np

from resources.sources.simulated.listing import PLACES, Listing
from resources.sources.simulated.randomness import Purpose, uniform

_SECTORS = ("우량기업부", "벤처기업부", "중견기업부", "기술성장기업부")
_INDUSTRIES = (
    ("반도체 제조업", "모의 메모리 반도체"),
    ("자동차 부품 제조업", "모의 변속기"),
    ("의약품 제조업", "모의 백신"),
    ("소프트웨어 개발 및 공급업", "모의 게임"),
    ("일차전지 및 축전지 제조업", "모의 축전지"),
    ("은행 및 저축기관", "모의 예금"),
    ("선박 및 보트 건조업", "모의 운반선"),
    ("종합 소매업", "모의 백화점"),
)
_REGIONS = ("서울특별시", "경기도", "부산광역시", "대전광역시", "충청북도")
_FACE_VALUES = np.array([100, 200, 500, 1_000, 2_500, 5_000])


def descriptions(listing: Listing) -> dict[str, np.ndarray]:
    """Sector, industry, products, region, homepage and face value in KRW, by the table's column
    names; all places, ETFs too. Only KOSDAQ has sectors."""
    chances = np.zeros((4, PLACES))
    for generation in np.unique(listing.generation).tolist():
        places = listing.generation == generation
        drawn = uniform(listing.seed, Purpose.COMPANY, generation, 4, PLACES)
        chances[:, places] = drawn[:, places]

    def picked(row: int, values: tuple[object, ...]) -> np.ndarray:
        choices = np.empty(len(values), dtype=object)
        choices[:] = values
        found: np.ndarray = choices[(chances[row] * len(values)).astype(np.int64)]
        return found

    sectors = picked(0, _SECTORS)
    industries = picked(1, _INDUSTRIES)
    sectors[np.array(listing.markets) != "KOSDAQ"] = None
    return {
        "sector": sectors,
        "industry": np.array([industry for industry, _ in industries], dtype=object),
        "products": np.array([products for _, products in industries], dtype=object),
        "region": picked(2, _REGIONS),
        # A name that never resolves (RFC 2606).
        "homepage": np.array(
            [f"http://{symbol.lower()}.example" for symbol in listing.symbols], dtype=object
        ),
        "face_value": _FACE_VALUES[(chances[3] * len(_FACE_VALUES)).astype(np.int64)],
    }
