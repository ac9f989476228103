"""docs/operations.md, as tests read it: its commands, and what it names."""

import re

from embedded.paths import CHECKOUT

GUIDE = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"^ *```(\w+)\n(.*?)^ *```$", GUIDE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.strip() for kind, block in _BLOCKS if kind == "sh" for line in block.splitlines() if line
]
SEEN = "\n".join(block for kind, block in _BLOCKS if kind == "text")
"""What a stack said: nothing to type."""
PROSE = re.sub(r"^ *```.*?^ *```$", "", GUIDE, flags=re.MULTILINE | re.DOTALL)
TYPED = "\n".join([*COMMANDS, *re.findall(r"`([^`\n]+)`", PROSE)])
"""All that is a command, a name or a path: the commands, and what the text sets in such letters."""


def anchors(text: str) -> set[str]:
    """What the headings of a Markdown text are linked by."""
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
