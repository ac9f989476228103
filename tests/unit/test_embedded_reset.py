"""`make reset` where the data was moved to a larger disk (docs/operations.md)."""

import io
from pathlib import Path

import pytest

from embedded import __main__ as commands


@pytest.mark.parametrize(("answer", "kept"), [("y\n", False), ("\n", True)])
def test_it_deletes_what_a_link_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, kept: bool
) -> None:
    data, link = tmp_path / "larger" / "stock-assets", tmp_path / ".local"
    (data / "run").mkdir(parents=True)
    link.symlink_to(data)
    monkeypatch.setattr(commands, "LOCAL", link)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    assert commands._reset() == 0
    assert data.exists() == link.is_symlink() == kept
