"""Fixtures of the tests of weights: a store of their own, a catalogue of their own, a server on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import file_server
from likeness.weights import catalogue, download
from likeness.weights.catalogue import Entry


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, with a network that reaches loopback and no farther."""
    for name in ("LIKENESS_OFFLINE", "LIKENESS_MIRROR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "BACKOFF", 0.01)
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[file_server.Server]:
    with file_server.serving() as running:
        yield running


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Entry]]:
    """Put one more entry into a catalogue of the test's own, with the given fields; returns it."""
    groups: list[dict[str, Any]] = []
    path = tmp_path / "catalogue.yaml"
    monkeypatch.setattr(catalogue, "CATALOGUE", path)

    def put(name: str = "tiny", **fields: Any) -> Entry:
        facts: dict[str, Any] = {
            "method": name,
            "file": f"{name}.pth",
            "paper": "A Paper",
            "licence": "MIT",
            "permits": "Anything.",
            "non_commercial": False,
            "page": "https://example.org/page",
            "default": True,
        }
        facts |= fields
        if "sha256" in fields:
            facts.setdefault("sha256_source", "the test")
        groups.append({"method": facts.pop("method"), "files": [{"name": name} | facts]})
        path.write_text(yaml.safe_dump(groups), encoding="utf-8")
        catalogue.entries.cache_clear()
        return catalogue.entry(name)

    yield put
    catalogue.entries.cache_clear()
