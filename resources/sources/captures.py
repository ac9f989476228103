"""File names that say something: a glob with ``{session:…}`` and ``{symbol}`` captures."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path, PurePosixPath

from resources.tables import SYMBOL_PATTERN

# How many digits each strptime directive takes in a file name. Month names and the like depend on
# the locale and are left out.
_DIGITS = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%j": 3}
_PIECES = re.compile(r"(\{[^{}]*\}|\*\*/|\*|\?|\[[^\]]+\])")


@dataclass(frozen=True)
class NamedFile:
    """A file on disk and what its name says; None where the pattern captures nothing."""

    path: Path
    session: date | None
    symbol: str | None


class UnreadableNameError(ValueError):
    """A file's name has the pattern's shape, but its digits are no date."""


@dataclass(frozen=True)
class FilePattern:
    """``daily/{session:%Y%m%d}/A{symbol}_*.csv``: literal text is literal, ``*``, ``?``, ``[…]``
    and ``**/`` are a glob's, ``{session:FORMAT}`` takes digits (%Y %y %m %d %j) and ``{symbol}``
    six characters 0-9 A-Z. A capture never reaches beyond its own width, so text beside it stays
    text: in ``A{symbol}`` the letter A is no part of the symbol."""

    text: str
    glob: str
    session_format: str | None
    captures_symbol: bool
    _names: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> "FilePattern":
        """Raises ``ValueError`` saying what is wrong with ``text``."""
        if not text or text.startswith("/") or ".." in PurePosixPath(text).parts:
            raise ValueError(f'"{text}" must be a path inside MARKET_DATA_DIR, relative to it')
        if any("**" in part and part != "**" for part in PurePosixPath(text).parts):
            raise ValueError(f'"{text}": ** must be a whole directory, as in daily/**/*.csv')
        glob, names = "", ""
        session_format: str | None = None
        captures_symbol = False
        for piece in _PIECES.split(text):
            if piece.startswith("{") and piece.endswith("}"):
                if piece == "{symbol}" and not captures_symbol:
                    captures_symbol = True
                    glob += "[0-9A-Z]" * 6
                    names += f"(?P<symbol>{SYMBOL_PATTERN})"
                elif piece.startswith("{session:") and session_format is None:
                    session_format = piece[len("{session:") : -1]
                    names += f"(?P<session>{_date_regex(piece, session_format)})"
                    glob += re.sub("%.", lambda found: "[0-9]" * _DIGITS[found[0]], session_format)
                else:
                    raise ValueError(
                        f'"{piece}" is not a capture: write {{session:%Y-%m-%d}} or {{symbol}}, '
                        "each at most once"
                    )
                continue
            if "{" in piece or "}" in piece:
                raise ValueError(f'"{text}" has an unpaired brace')
            glob += piece
            names += _glob_regex(piece)
        return cls(text, glob, session_format, captures_symbol, re.compile(names))

    def files(self, directory: Path) -> Iterator[NamedFile]:
        """The files below ``directory`` that have this name, in order of their paths.

        Raises ``UnreadableNameError`` for a name such as ``krx_2026-02-30.csv``: passing it over
        would lose a session silently.
        """
        for path in sorted(directory.glob(self.glob)):
            match = self._names.fullmatch(path.relative_to(directory).as_posix())
            if match is None or not path.is_file():
                continue
            said = match.groupdict()
            session = None
            if self.session_format is not None:
                try:
                    session = datetime.strptime(said["session"], self.session_format).date()
                except ValueError:
                    raise UnreadableNameError(
                        f'{path}: "{said["session"]}" in its name is no date {self.session_format}'
                    ) from None
            yield NamedFile(path, session, said.get("symbol"))


def _date_regex(piece: str, strptime: str) -> str:
    regex, found = "", set()
    for part in re.split(r"(%.)", strptime):
        if part.startswith("%"):
            if part not in _DIGITS or part in found:
                raise ValueError(
                    f'"{piece}" may hold {", ".join(_DIGITS)}, each at most once; not "{part}"'
                )
            found.add(part)
            regex += f"[0-9]{{{_DIGITS[part]}}}"
        else:
            regex += re.escape(part)
    if not (found & {"%Y", "%y"} and ("%j" in found or {"%m", "%d"} <= found)):
        raise ValueError(f'"{piece}" does not give a whole date: write year, month and day')
    return regex


def _glob_regex(piece: str) -> str:
    if piece == "**/":
        return "(?:.*/)?"
    if piece == "*":
        return "[^/]*"
    if piece == "?":
        return "[^/]"
    if piece.startswith("["):
        # A glob negates with "!", a regular expression with "^".
        inside = piece[1:-1].replace("\\", r"\\").replace("^", r"\^")
        return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
    return re.escape(piece)
