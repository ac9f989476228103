"""Texts that leave the platform do so without its secrets."""

import os
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

_SECRET_NAMES = re.compile(r"(PASSWORD|PASSWD|_PW|_KEY|SECRET|TOKEN|WEBHOOK_URL)$")
_SHORTEST = 4
"""Shorter values would be found in half of all words."""
_MASK = "***"

# user:password@host in a URL, and password=… as libpq and others write it.
_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_ASSIGNED = re.compile(
    r"""(?i)\b(password|passwd|pwd|secret|token|api[_-]?key)(['"]?\s*[=:]\s*)('[^']*'|"[^"]*"|[^\s,;&]+)"""
)


def redacted(
    text: str, secrets: Iterable[str] = (), environment: Mapping[str, str] | None = None
) -> str:
    """``text`` without ``secrets``, the values of the environment's secret variables, and whatever
    is written like a password."""
    given = os.environ if environment is None else environment
    known = {value for name, value in given.items() if _SECRET_NAMES.search(name)} | {*secrets}
    # The longest first: one may contain another.
    for value in sorted(known, key=len, reverse=True):
        if len(value) >= _SHORTEST:
            for form in (value, quote(value, safe="")):
                text = text.replace(form, _MASK)
    text = _IN_URL.sub(f"{_MASK}@", text)
    return _ASSIGNED.sub(rf"\1\2{_MASK}", text)
