"""The end of a process whose code keeps the interpreter to itself.

No thread of Python's can do anything then, so a thread of C's ends the process and says in its
stderr where every thread was.
"""

import faulthandler
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_deadlines: dict[object, float] = {}


@contextmanager
def watchdog(seconds: float) -> Iterator[None]:
    """End the process unless what is inside is over within ``seconds``. Several threads may be
    inside at once; a process has one such timer, which is set for the nearest of their ends."""
    token = object()
    deadline = time.monotonic() + seconds
    with _lock:
        nearest = min(_deadlines.values(), default=deadline)
        _deadlines[token] = deadline
        if deadline <= nearest:
            _set(seconds)
    try:
        yield
    finally:
        with _lock:
            del _deadlines[token]
            if _deadlines:
                _set(max(min(_deadlines.values()) - time.monotonic(), 0.001))
            else:
                faulthandler.cancel_dump_traceback_later()


def _set(seconds: float) -> None:
    # 2: the process's own stderr, whatever Python's is.
    faulthandler.dump_traceback_later(seconds, exit=True, file=2)
