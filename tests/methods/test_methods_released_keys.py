"""Every published network has exactly the released checkpoint's keys, types and shapes: also where no fixture is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from likeness.methods import METHODS, networks

RELEASED: dict[str, dict[str, dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "released_keys.json").read_text(encoding="utf-8")
)


def test_no_published_method_is_forgotten() -> None:
    assert set(RELEASED) == set(METHODS) - {"likeness"}


@pytest.mark.parametrize("method", RELEASED)
def test_keys_types_and_shapes(method: str) -> None:
    with torch.device("meta"):  # no memory, no initialisation
        built = networks(method)
    assert set(built) == set(RELEASED[method])
    for role, net in built.items():
        lines = sorted(
            f"{key} {str(value.dtype).removeprefix('torch.')} {'x'.join(map(str, value.shape))}"
            for key, value in net.state_dict().items()
        )
        assert len(lines) == RELEASED[method][role]["keys"]
        assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == RELEASED[method][role]["sha256"], role
