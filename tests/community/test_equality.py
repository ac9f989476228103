"""What tests/integration/aggregates says of equality, on the Community engine."""

from tests.integration.aggregates.conftest import *  # noqa: F403
from tests.integration.aggregates.test_equality import *  # noqa: F403
