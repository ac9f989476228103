"""What tests/integration/aggregates says of the deploy step, on the Community engine."""

from tests.integration.aggregates.conftest import *  # noqa: F403
from tests.integration.aggregates.test_deployment import *  # noqa: F403

# It migrates the application's PostgreSQL too, and expects a wrong password to be refused.
del test_make_migrate_does_it  # noqa: F821
