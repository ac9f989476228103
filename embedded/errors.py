"""The one exception for what can go wrong on a user's machine."""

from __future__ import annotations


class StackError(Exception):
    """An expected failure: its text names the thing and the remedy; no traceback is shown."""
