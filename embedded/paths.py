"""Where the checkout and what belongs to it are."""

from __future__ import annotations

from pathlib import Path

#: The checkout this package was imported from (it is installed editable).
CHECKOUT = Path(__file__).resolve().parent.parent

#: Everything `make up` creates at run time, apart from `.env` and `.venv`.
LOCAL = CHECKOUT / ".local"

#: Templates of the servers' configuration files.
TEMPLATES = Path(__file__).resolve().parent / "config"
