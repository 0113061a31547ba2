"""Pictures and small recipes for the training tests."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from likeness.train.recipe import TrainRecipe


@pytest.fixture(scope="session")
def faces() -> dict[str, np.ndarray]:
    """Three (512, 512, 3) uint8 variants of the astronaut portrait, by file name."""
    data = pytest.importorskip("skimage.data", reason="needs scikit-image for its portrait photograph")
    photo = np.ascontiguousarray(data.astronaut())
    head = np.asarray(Image.fromarray(photo[20:190, 130:300]).resize((512, 512), Image.Resampling.BICUBIC))
    return {"a_photo.png": photo, "a_head.png": head, "b_dark.png": (head[:, ::-1] // 2).copy()}


@pytest.fixture(scope="session")
def shard(faces: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar shard of the faces, with a text between them."""
    path = tmp_path_factory.mktemp("shards") / "train-000.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in [
            ("faces/readme.txt", b"not a picture"),
            *((f"faces/{n}", png(a)) for n, a in faces.items()),
        ]:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@pytest.fixture
def small_recipe(shard: Path, tmp_path: Path) -> Callable[..., TrainRecipe]:
    """``small_recipe(steps=3, data={...})``: crops of 64, batches of 2, float32; groups are merged."""

    def make(**changes: Any) -> TrainRecipe:
        settings: dict[str, Any] = {
            "output": str(tmp_path / "run"),
            "steps": 6,
            "batch": 2,
            "seed": 1,
            "precision": "no",
            "save_every": 100,
            "log_every": 1,
            "data": {
                "sources": [str(shard)],
                "crop": 64,
                "workers": 0,
                "mixture": {"idm": 0.8, "clean": 0.2},
            },
            "optimiser": {"rate": 1e-3, "warmup": 2, "decay": 2, "ema": 0.9},
        }
        for key, value in changes.items():
            if isinstance(value, dict):
                settings[key] = {**settings.get(key, {}), **value}
            else:
                settings[key] = value
        return TrainRecipe.model_validate(settings)

    return make
