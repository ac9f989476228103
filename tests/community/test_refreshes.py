"""What tests/integration/aggregates says of a refresh, on the Community engine."""

from tests.integration.aggregates.conftest import *  # noqa: F403
from tests.integration.aggregates.test_window import *  # noqa: F403
