"""Turns into another program, with the variables of a private JSON file in its environment.

Passwords would be readable for everybody on a command line, and supervisord's own environment is
that of its start; this way a program that is restarted has what `.env` said last.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from embedded.foreground import die_with_parent


def main() -> None:
    """Command line: FILE FINGERPRINT -- program arguments.

    The fingerprint is not read: it is there so that the command changes with the file.
    """
    file, _, _, *program = sys.argv[1:]
    os.environ.update(json.loads(Path(file).read_text(encoding="utf-8")))
    die_with_parent()
    os.execvp(program[0], program)  # noqa: S606 - turning into it is the purpose


if __name__ == "__main__":
    main()
