"""Each line of the threat model names a test that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = [
    line for line in (ROOT / "docs/threat-model.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")
]
THREATS = [line for line in LINES if not line.startswith("| threat")]


def test_there_are_threats() -> None:
    assert len(THREATS) > 15


@pytest.mark.parametrize("line", THREATS, ids=lambda line: line.split("|")[1].strip()[:50])
def test_it_is_guarded(line: str) -> None:
    cell = line.rstrip("| ").rpartition("| ")[2]
    found = re.fullmatch(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", cell)
    assert found, f"no test is named in {cell!r}"
    source = (ROOT / found[1]).read_text(encoding="utf-8")
    assert f"def {found[2] or 'test_'}" in source
