"""A folder for exported graphs that the tests of a file share, for exporting takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_likeness import needed


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """LIKENESS_HOME, empty at first."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIKENESS_HOME", str(folder))
        yield folder


@pytest.fixture(params=["openvino", "onnx"])
def backend(request: pytest.FixtureRequest) -> str:
    """Each exporting backend that is installed."""
    return needed(request.param)
