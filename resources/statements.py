"""SQL statements, kept in ``sql/`` and read here. Values are always passed as parameters."""

from functools import cache

from resources.settings import PROJECT_ROOT


@cache
def statement(name: str) -> str:
    """The text of ``sql/<name>.sql``."""
    return (PROJECT_ROOT / "sql" / f"{name}.sql").read_text()
