"""Identity features of whole aligned frames, differentiable, for losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.faces.models import RECOGNITION, model_path
from likeness.faces.template import CHIP_TRANSFORM, CROP_SIZE
from likeness.nets.dlib_resnet import DlibResNet
from likeness.weights.dlib_format import read_layers

CHIP = 150
OVERSAMPLE = 2  # sampled at 300 and averaged, since a chip pixel is more than two crop pixels


class IdentityFeatures(nn.Module):
    """(B, 3, H, H) in [-1, 1] -> features of dlib's recognition network: its last three levels, the embedding.

    Whole aligned frames of any size, cut by the same fixed transform as ``faces.DlibRecognizer`` cuts them. Frozen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = DlibResNet()
        self.network.load_layers(read_layers(model_path(RECOGNITION)))
        self.requires_grad_(False).eval()
        self.register_buffer("grid", _chip_grid(), persistent=False)
        self.grid: Tensor

    def forward(self, frames: Tensor) -> list[Tensor]:
        grid = self.grid.expand(len(frames), -1, -1, -1)
        chips = F.grid_sample((frames.float() + 1) / 2, grid, padding_mode="border", align_corners=False)
        return self.network.features(F.avg_pool2d(chips, OVERSAMPLE))[2:]


def _chip_grid() -> Tensor:
    """Sampling grid (1, 300, 300, 2): for each oversampled chip pixel its place in the frame, in [-1, 1]."""
    to_chip = torch.tensor(CHIP_TRANSFORM.copy(), dtype=torch.float64)
    inverse = torch.linalg.inv(to_chip[:, :2])
    offsets = (torch.arange(CHIP * OVERSAMPLE, dtype=torch.float64) + 0.5) / OVERSAMPLE - 0.5
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    chip = torch.stack([x, y], dim=-1)
    frame = (chip - to_chip[:, 2]) @ inverse.T
    grid: Tensor = (frame + 0.5) / CROP_SIZE * 2 - 1
    return grid[None].float()
