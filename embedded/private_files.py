"""Files that only their owner may read, replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path


def write_private(file: Path, content: str) -> bool:
    """Replace `file` with mode 0600; where it has this content already, it is not touched.
    Returns whether it was replaced."""
    if file.exists() and file.read_text(encoding="utf-8") == content:
        return False
    partial = file.with_name(file.name + ".partial")
    partial.unlink(missing_ok=True)
    # Private from its first byte on.
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(content)
    partial.rename(file)
    return True
