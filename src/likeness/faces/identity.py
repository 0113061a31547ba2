"""Who is it: identity vectors of aligned crops, and the distance between them."""

from __future__ import annotations

import numpy as np

from likeness.faces.geometry import warp
from likeness.faces.models import RECOGNITION, model_path
from likeness.faces.template import CHIP_TRANSFORM, CROP_SIZE
from likeness.faces.types import Recognizer

RECOGNIZERS = ("dlib",)

_CHIP_SIZE = 150


class DlibRecognizer:
    """dlib's ResNet face recognition: 128 numbers, L2 distance.

    The chip is cut by a fixed transform from the aligned crop, not by a new detection: it works however
    degraded the crop is, and a face before and after restoration is compared in the same frame. The network
    is computed by torch, ten times faster than dlib computes it, one chip at a time: a vector does not depend on its
    neighbours. Source: dlib's dlib_face_recognition_resnet_model_v1 (D. King, 2017).
    """

    name = "dlib"
    dimensions = 128
    same_person = 0.55

    def __init__(self) -> None:
        from likeness.nets.dlib_resnet import DlibResNet
        from likeness.weights.dlib_format import read_layers

        self._network = DlibResNet()
        self._network.load_layers(read_layers(model_path(RECOGNITION)))
        self._network.fold()

    def embed(self, crops: np.ndarray) -> np.ndarray:
        """(B, 512, 512, 3) float32 RGB in [0, 1], aligned -> (B, 128) float32, each about of length 1.4.

        Raises ValueError for other shapes or types, and for crops that are not finite.
        """
        check_crops(crops)
        import torch

        vectors = np.empty((len(crops), self.dimensions), dtype=np.float32)
        with torch.inference_mode():
            for vector, crop in zip(vectors, crops, strict=True):
                chip = torch.from_numpy(_chip(crop)).permute(2, 0, 1)[None].float() / 255
                vector[:] = self._network(chip)[0].numpy()
        return vectors


def check_crops(crops: np.ndarray) -> None:
    """Raises ValueError unless the crops are (B, 512, 512, 3) float32 and finite."""
    if crops.ndim != 4 or crops.shape[1:] != (CROP_SIZE, CROP_SIZE, 3) or crops.dtype != np.float32:
        raise ValueError(f"crops must be (B, {CROP_SIZE}, {CROP_SIZE}, 3) float32, got {crops.shape} {crops.dtype}")
    if not all(np.isfinite(crop).all() for crop in crops):
        raise ValueError("crop has values that are not finite")


def _chip(crop: np.ndarray) -> np.ndarray:
    """(512, 512, 3) float32 crop -> (150, 150, 3) uint8 chip."""
    chip = warp(crop, CHIP_TRANSFORM, _CHIP_SIZE, _CHIP_SIZE)
    return np.asarray(np.rint(chip * 255.0).astype(np.uint8))


def identity_distance(a: np.ndarray, b: np.ndarray) -> float | np.ndarray:
    """L2 distance between identity vectors, along the last axis; leading axes broadcast.

    Two (D,) vectors give a float; arrays give float64 distances of the broadcast leading shape. Raises
    ValueError if the vectors differ in length.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-1]:
        raise ValueError(f"identity vectors must have one length, got shapes {a.shape} and {b.shape}")
    distance = np.sqrt(((a - b) ** 2).sum(axis=-1))
    return float(distance) if distance.ndim == 0 else np.asarray(distance)


def load_recognizer(name: str) -> Recognizer:
    """The recogniser called `name`. Raises ValueError, naming the choices, if there is none."""
    if name == "dlib":
        return DlibRecognizer()
    raise ValueError(f"unknown recognizer {name!r}; choose one of: {', '.join(RECOGNIZERS)}")
