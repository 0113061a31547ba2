"""Servers for the tests of the studio and the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra web")

from web_server import Served, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One API server for the tests that do not need their own."""
    with running(tmp_path_factory.mktemp("web"), "--max-upload", "8", "--max-photos", "5") as served:
        yield served


@pytest.fixture
def serving(tmp_path: Path) -> Callable[..., Any]:
    """``with serving(...)``: a server of one's own."""
    return lambda *arguments, **more: running(tmp_path, *arguments, **more)
