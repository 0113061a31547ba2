"""Fixtures of the study's tests: a home of their own, and a few aligned faces as files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import scenes


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing that was pulled or measured elsewhere counts, and nothing is left there."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LIKENESS_HOME", str(folder))
    return folder


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Three aligned faces as PNG: one person under other light, mirrored and tinted."""
    folder = tmp_path / "faces"
    folder.mkdir()
    face = scenes.aligned_face()
    variants = {"a": face, "b": face[:, ::-1], "c": face * np.float32([1.0, 0.9, 0.8])}
    for name, pixels in variants.items():
        cv2.imwrite(str(folder / f"{name}.png"), np.rint(pixels[..., ::-1] * 255).astype(np.uint8))
    return folder
