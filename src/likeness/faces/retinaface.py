"""Find faces with RetinaFace, and align them with the five landmarks that it gives. Weights come from a file.

This is how the field's restoration networks find faces (facexlib; CodeFormer's resizing): anchors, decoding, the
thresholds, the smallest face and the robust alignment are the same, so that published networks see the crops that
they were released for. Importing this loads torch.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from likeness.faces.candidates import check_photo, check_settings, faces_of, scaled
from likeness.faces.candidates import suppress as suppress
from likeness.faces.types import Face
from likeness.nets.retinaface import RetinaFace

STEPS = (8, 16, 32)
SIZES = ((16, 32), (64, 128), (256, 512))  # sides of the anchors of each step, in pixels
VARIANCES = (0.1, 0.2)  # units in which the network counts shifts and logarithmic sizes
LONG_SIDE = 4096  # pixels; bounds time and memory for panoramas and huge photos


def anchors(height: int, width: int) -> Tensor:
    """The anchors of a picture: (N, 4) float32 centre x, y, width, height, in shares of the picture's sides.

    Fine level first, then row by row, the smaller anchor of a cell first; not clipped to the picture.
    """
    levels = []
    for step, sizes in zip(STEPS, SIZES, strict=True):
        rows, columns = -(-height // step), -(-width // step)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centres = (torch.stack([x, y], dim=-1).double() + 0.5) * step
        boxes = [torch.cat([centres, torch.full_like(centres, size)], dim=-1) for size in sizes]
        levels.append(torch.stack(boxes, dim=2).reshape(-1, 4))
    return (torch.cat(levels) / torch.tensor([width, height] * 2, dtype=torch.float64)).float()


def decode(boxes: Tensor, landmarks: Tensor, priors: Tensor) -> tuple[Tensor, Tensor]:
    """What the network said of each anchor -> corners (N, 4) x0, y0, x1, y1 and points (N, 5, 2).

    boxes (N, 4), landmarks (N, 10): the network's outputs. priors (N, 4): the anchors, in whose units (shares of
    the picture's sides) the result is.
    """
    centres, sizes = priors[:, :2], priors[:, 2:]
    points = centres[:, None] + landmarks.reshape(-1, 5, 2) * VARIANCES[0] * sizes[:, None]
    middle = centres + boxes[:, :2] * VARIANCES[0] * sizes
    extent = sizes * torch.exp(boxes[:, 2:] * VARIANCES[1])
    return torch.cat([middle - extent / 2, middle + extent / 2], dim=1), points


@torch.inference_mode()
def detect_rows(net: RetinaFace, x: Tensor, threshold: float, overlap: float) -> np.ndarray:
    """Faces in one picture: (K, 15) float32 x0, y0, x1, y1, score, then five landmarks x, y; best score first.

    x: (3, H, W) float32 BGR in 0..255 minus ``RetinaFace.MEAN``, on the network's device. The landmarks are left eye,
    right eye, nose, left and right corner of the mouth, as seen in the picture; all in pixels of ``x``.
    """
    height, width = x.shape[1:]
    boxes, scores, landmarks = (output[0].float().cpu() for output in net(x[None]))
    sure = scores[:, 1] > threshold
    corners, points = decode(boxes[sure], landmarks[sure], anchors(height, width)[sure])
    points = points * torch.tensor([width, height])
    rows = torch.cat([corners * torch.tensor([width, height] * 2), scores[sure, 1:], points.flatten(1)], dim=1).numpy()
    rows = rows[np.isfinite(rows).all(axis=1)]
    return np.asarray(rows[suppress(rows[:, :4], rows[:, 4], overlap)])


class RetinaFaceDetector:
    """RetinaFace with a ResNet-50 as a detector; ``load_retinaface`` makes one from a file of weights.

    threshold: smallest score, in [0, 1]. overlap: intersection over union above which the weaker of two boxes
    goes. smallest: faces whose eyes are closer together (photo pixels) are dropped. short_side: the photo is
    resized so that its shorter side has this many pixels, as CodeFormer does; None: it is used in its own size, as
    facexlib does, which finds smaller faces at a cost that grows with the photo. Either way the longer side is
    reduced to 4096 pixels at most.

    Not affected by what else is in a batch: photos go one by one. Source: Deng et al., RetinaFace, CVPR 2020.
    Raises ValueError for settings out of range.
    """

    name = "retinaface"

    def __init__(
        self,
        net: RetinaFace,
        device: torch.device | str = "cpu",
        *,
        threshold: float = 0.97,
        overlap: float = 0.4,
        smallest: float = 5.0,
        short_side: int | None = 640,
    ) -> None:
        check_settings(threshold, overlap, smallest)
        if short_side is not None and not 32 <= short_side <= LONG_SIDE:
            raise ValueError(f"short_side is out of range: {short_side!r}")
        self._net = net.eval().requires_grad_(False).to(device)
        self._mean = torch.tensor(RetinaFace.MEAN, device=device).view(3, 1, 1)
        self._threshold, self._overlap, self._smallest = threshold, overlap, smallest
        self._short_side = short_side

    def detect(self, pixels: np.ndarray) -> list[Face]:
        """Faces in (H, W, 3) uint8 RGB pixels, sorted by box area descending, then x. Deterministic.

        Boxes and landmarks are photo pixels. Raises ValueError for other shapes or types.
        """
        check_photo(pixels)
        small = self._resized(pixels)
        x = torch.from_numpy(np.ascontiguousarray(small[..., ::-1].transpose(2, 0, 1)))
        rows = detect_rows(self._net, x.to(self._mean.device).float() - self._mean, self._threshold, self._overlap)
        # The field divides by the factor of the resize; pixel centres shift by less than half a pixel through it.
        rows = scaled(rows, pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0])
        return faces_of(rows, self._smallest)

    def _resized(self, pixels: np.ndarray) -> np.ndarray:
        import cv2

        height, width = pixels.shape[:2]
        factor = 1.0 if self._short_side is None else self._short_side / min(height, width)
        factor = min(factor, LONG_SIDE / max(height, width))
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        if size == (width, height):
            return pixels
        kind = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(pixels, size, interpolation=kind))


def load_retinaface(path: Path, device: torch.device | str = "cpu") -> RetinaFaceDetector:
    """The detector with the weights of ``path`` (detection_Resnet50_Final.pth, or the same as .safetensors).

    Raises WeightsError when they are not there or not RetinaFace's.
    """
    from likeness.weights.checkpoint import fill_strict, read_checkpoint

    net = RetinaFace()
    tensors = read_checkpoint(path)
    fill_strict(net, {key.removeprefix("module."): tensor for key, tensor in tensors.items()}, str(path))
    return RetinaFaceDetector(net, device)
