"""Migrations go back as well as forward, in every database, and leave nothing behind."""

import pytest

from embedded import migrations
from embedded.paths import CHECKOUT

# Continuous aggregates have parts whose names are numbered anew each time.
_OBJECTS = r"""
SELECT regexp_replace(n.nspname || '.' || c.relname, '\d+$', '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', '_timescaledb_internal') AND c.relkind IN ('r', 'v', 'S')
  AND pg_get_userbyid(c.relowner) LIKE '%_owner'
UNION ALL
SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pg_get_userbyid(p.proowner) LIKE '%_owner'
ORDER BY 1
"""


@pytest.mark.parametrize("database", sorted(migrations.TARGETS))
def test_back_and_forward(stack, database, request):
    query = request.getfixturevalue("query" if database == "timescale" else "query_application")
    before = query(_OBJECTS)
    assert len(before) > 3
    for _ in (CHECKOUT / "sql" / database).glob("*.sql"):
        migrations.rollback(database, stack.environment)
    assert query(_OBJECTS) == [("public.schema_migrations",)]
    migrations.up(stack.environment)
    assert query(_OBJECTS) == before
    assert migrations.up(stack.environment) == []
