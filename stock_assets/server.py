"""The TimescaleDB server a run works on: its edition and versions, as it says itself.

Every event of candles, compression and retention carries them under ``SERVER``; the page of an
asset in the UI shows those of its newest event. They are never asked for when the location loads.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg

from resources.databases import DatabaseError, TimescaleMaintainer

if TYPE_CHECKING:
    from resources.edition import Server

SERVER = "server"


def server_or_failure(
    read: Callable[[TimescaleMaintainer], "Server"], maintainer: TimescaleMaintainer
) -> "Server":
    """What ``read`` says of the server. Raises ``dagster.Failure``, in one line, where the server
    does not answer or is none we can work with: another try will not mend it."""
    try:
        return read(maintainer)
    except DatabaseError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
