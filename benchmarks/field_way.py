"""Restoring a photo as the field's pipelines do it, for comparison: facexlib's helper, as its specification says.

One face at a time: a crop by a bilinear warp, the network, ParseNet on the result, two Gaussian blurs of the mask, then
face and mask are warped to the size of the whole photo and blended over all of it. Detector, network and file formats
are the same as ours, so that what differs is the way. ParseNet has random weights: time depends on shapes.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from networks import fill

from likeness.faces import load_detector
from likeness.faces.template import FFHQ_TEMPLATE
from likeness.methods import load
from likeness.nets.parsenet import ParseNet

BORDER = (135, 133, 132)
UNPASTED = (0, 14, 16, 17, 18)  # classes of ParseNet


class FieldWay:
    """``seconds``: what each stage has taken so far."""

    def __init__(self, method: str = "likeness") -> None:
        self.detector, self.restorer = load_detector("dlib"), load(method, device="cpu", backend="torch")
        self.parser: Any = fill(ParseNet()).eval()
        self.seconds: dict[str, float] = {"detect": 0.0, "restore": 0.0, "paste": 0.0}

    @torch.inference_mode()
    def restore(self, source: Path, target: Path) -> int:
        """Read, restore and write a photo; the number of its faces."""
        photo = cv2.imread(str(source), cv2.IMREAD_COLOR)
        began = time.perf_counter()
        faces = self.detector.detect(np.ascontiguousarray(photo[..., ::-1]))
        began = self._spent("detect", began)
        result = photo.copy()
        for face in faces:
            points = face.transform  # the five points of our detector, taken to the template
            inverse = cv2.invertAffineTransform(points)
            landmarks = FFHQ_TEMPLATE @ inverse[:, :2].T + inverse[:, 2]
            matrix, _ = cv2.estimateAffinePartial2D(landmarks, FFHQ_TEMPLATE, method=cv2.LMEDS)
            crop = cv2.warpAffine(photo, matrix, (512, 512), borderMode=cv2.BORDER_CONSTANT, borderValue=BORDER)
            tensor = torch.from_numpy(crop[..., ::-1].transpose(2, 0, 1).astype(np.float32) / 255)[None]
            restored = self.restorer.restore(tensor)
            out = (restored[0].permute(1, 2, 0).numpy()[..., ::-1] * 255).round().astype(np.uint8)
            began = self._spent("restore", began)
            result = self._paste(result, out, restored, cv2.invertAffineTransform(matrix))
            began = self._spent("paste", began)
        cv2.imwrite(str(target), result)
        return len(faces)

    def _paste(self, photo: np.ndarray, face: np.ndarray, tensor: torch.Tensor, inverse: np.ndarray) -> np.ndarray:
        height, width = photo.shape[:2]
        warped = cv2.warpAffine(face, inverse, (width, height))
        classes = self.parser(tensor * 2 - 1)[0].argmax(dim=1)[0].numpy()
        mask = np.where(np.isin(classes, UNPASTED), 0.0, 255.0)
        for _ in range(2):
            mask = cv2.GaussianBlur(mask, (101, 101), 11)
        mask[:10], mask[-10:], mask[:, :10], mask[:, -10:] = 0, 0, 0, 0
        soft = cv2.warpAffine(mask / 255, inverse, (width, height), flags=3)[..., None]
        return (soft * warped + (1 - soft) * photo).astype(np.uint8)

    def _spent(self, stage: str, began: float) -> float:
        now = time.perf_counter()
        self.seconds[stage] += now - began
        return now
