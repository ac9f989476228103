"""What tests/pipeline says of candles, on the Community engine."""

from tests.pipeline.conftest import *  # noqa: F403
from tests.pipeline.test_candles import *  # noqa: F403

# The engine refuses no password.
del test_a_database_that_is_away_is_one_clear_line  # noqa: F821
