"""The built-in model's figures are those of the weights that are shipped, and the same wherever they stand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = {
    "input": "input",
    "likeness:steps=1": "posterior mean (`likeness:steps=1`)",
    "likeness:steps=1,ensemble=1": "the same, with the mirrored face's (`likeness:steps=1,ensemble=1`)",
    "likeness": "shipped (`likeness`)",
    "likeness:steps=4,fidelity=1": "3-step sampling (`likeness:steps=4,fidelity=1`)",
}


def rows(path: str) -> dict[str, list[str]]:
    """The cells of every table of a page by their first."""
    lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {first: rest for first, *rest in cells}


def test_they_were_measured_with_the_shipped_weights() -> None:
    shipped = hashlib.sha256((ROOT / "src/likeness/weights/files/likeness.safetensors").read_bytes()).hexdigest()
    result = json.loads((ROOT / "docs/quality/result.json").read_text(encoding="utf-8"))
    found = [digest for digest in _digests(result) if digest]
    assert len(found) == len(NAMES) - 1
    assert set(found) == {shipped}


def _digests(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["weights_sha256"]] if "weights_sha256" in value else []
        return own + [one for inner in value.values() for one in _digests(inner)]
    return [one for inner in value for one in _digests(inner)] if isinstance(value, list) else []


@pytest.mark.parametrize("page", ["README.md", "docs/model-card.md"])
def test_a_page_quotes_what_was_printed(page: str) -> None:
    printed, quoted = rows("docs/quality/result.md"), rows(page)
    assert {name: quoted[shown] for name, shown in NAMES.items()} == {name: printed[name] for name in NAMES}
