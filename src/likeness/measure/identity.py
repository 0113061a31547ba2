"""Is it still the same person: distances between embeddings, and how faces are brought to the embedding networks."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.nets.iresnet import SIDE as CHIP
from likeness.nets.resnet_face import SIDE as GRAY_SIDE

# Left eye, right eye, nose, left and right mouth corner (left as seen in the picture) in ArcFace's chip of 112 pixels.
ARCFACE_TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
IDENTICAL = 1.0  # degrees: nearer pairs are the same picture, and left out of Deg
GRAY = (9797, 19234, 3737)  # of 32768, cut off to whole levels: how OpenCV reads a PNG in gray


class Deg(NamedTuple):
    """Mean angle in degrees of the pairs that differ (nan if none does), and how many pairs are identical."""

    mean: float
    identical: int


def cosine_similarity(a: Tensor, b: Tensor) -> Tensor:
    """Embeddings (B, D), twice, of any length -> (B,) float64 cosine.

    Range [-1, 1]. higher_is_better: yes. Of ArcFace embeddings, its mean over restored and true faces is the ID score
    of IDM and the IDS of CodeFormer. Raises ValueError for shapes that differ.
    """
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"embeddings must be two (B, D), got {tuple(a.shape)} and {tuple(b.shape)}")
    return F.cosine_similarity(a.double(), b.double(), dim=1, eps=1e-12).clamp(-1, 1)


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - ``cosine_similarity``: (B,) float64. Range [0, 2]. higher_is_better: no."""
    return 1 - cosine_similarity(a, b)


def identity_angle(a: Tensor, b: Tensor) -> Tensor:
    """Embeddings (B, D), twice -> (B,) float64 angle between them in degrees.

    Range [0, 180]. higher_is_better: no. Raises ValueError for shapes that differ.
    """
    return torch.rad2deg(torch.arccos(cosine_similarity(a, b)))


def deg(a: Tensor, b: Tensor) -> Deg:
    """Embeddings (B, D) by ``ResNetFace18`` of restored and true faces -> Deg, as VQFR and PMRF report it.

    Range [0, 180]. higher_is_better: no. Pairs below ``IDENTICAL`` degrees are counted, not averaged. Source: Gu et al.
    (VQFR), ECCV 2022, section 4, by the script behind it.
    """
    angles = identity_angle(a, b)
    different = angles[angles >= IDENTICAL]
    return Deg(float(different.mean()), len(angles) - len(different))


def deg_input(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1], any size -> (B, 1, 128, 128) gray in [-1, 1] for ``ResNetFace18``.

    8 bit at each step, as the published script reads and resizes files; no face is looked for.
    """
    weights = torch.tensor(GRAY, dtype=torch.float32, device=pictures.device).view(1, 3, 1, 1) / 32768
    levels = (pictures.float() * 255).round().clamp(0, 255)
    levels = (levels * weights).sum(1, keepdim=True).floor()
    levels = F.interpolate(levels, size=(GRAY_SIDE, GRAY_SIDE), mode="bilinear", align_corners=False)
    return ((levels + 0.5).floor() - 127.5) / 127.5


def arcface_template(size: int = CHIP) -> Tensor:
    """(5, 2) float64 places of the five points in a chip of 112 pixels, or of a multiple of 128.

    Raises ValueError for other sizes.
    """
    points = torch.tensor(ARCFACE_TEMPLATE, dtype=torch.float64)
    if size == CHIP:
        return points
    if size < 128 or size % 128:
        raise ValueError(f"size must be {CHIP} or a multiple of 128, got {size}")
    return (points + torch.tensor([8.0, 0.0])) * (size / 128)


def arcface_input(pictures: Tensor, transforms: Tensor, size: int = CHIP) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, 3, size, size) in [-1, 1] for ``IResNet``; -1 (black) beyond the picture.

    ``transforms``: (B, 2, 3), from pixels of the picture to pixels of the chip, pixel centres at whole numbers: for
    each face ``faces.geometry.similarity_transform(points, arcface_template())``. Bilinear, no antialiasing, as the
    authors' alignment. Raises ValueError for shapes that do not fit.
    """
    if pictures.ndim != 4 or pictures.shape[1] != 3 or transforms.shape != (len(pictures), 2, 3):
        shapes = f"{tuple(pictures.shape)} and {tuple(transforms.shape)}"
        raise ValueError(f"pictures must be (B, 3, H, W) and transforms (B, 2, 3), got {shapes}")
    linear, shift = transforms[:, :, :2].double(), transforms[:, :, 2:].double()
    line = torch.arange(size, dtype=torch.float64, device=pictures.device)
    target = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).view(1, -1, 2, 1)
    source = torch.linalg.inv(linear)[:, None] @ (target - shift[:, None])
    side = torch.tensor([pictures.shape[-1], pictures.shape[-2]], device=pictures.device)
    grid = ((2 * source.squeeze(-1) + 1) / side - 1).view(-1, size, size, 2)
    chips = F.grid_sample(pictures.float(), grid.float(), mode="bilinear", padding_mode="zeros", align_corners=False)
    return 2 * chips - 1
