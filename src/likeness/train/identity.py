"""Identity features of whole aligned frames, differentiable, for losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.faces.models import RECOGNITION, model_path
from likeness.faces.template import CHIP_TRANSFORM, CROP_SIZE
from likeness.nets.dlib_resnet import DlibResNet
from likeness.train.draws import Draws
from likeness.weights.dlib_format import read_layers

CHIP = 150
OVERSAMPLE = 2  # sampled at 300 and averaged, since a chip pixel is more than two crop pixels


class IdentityFeatures(nn.Module):
    """(B, 3, H, H) in [-1, 1] -> features of dlib's recognition network: its last three levels, the embedding.

    Whole aligned frames of any size, cut by the same fixed transform as ``faces.DlibRecognizer`` cuts them, or moved a
    little by ``motion`` (B, 2, 3), see ``small_motions``. Frozen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.network = DlibResNet()
        self.network.load_layers(read_layers(model_path(RECOGNITION)))
        self.requires_grad_(False).eval()
        self.register_buffer("grid", _chip_grid(), persistent=False)
        self.grid: Tensor

    def forward(self, frames: Tensor, motion: Tensor | None = None) -> list[Tensor]:
        grid = self.grid.expand(len(frames), -1, -1, -1)
        if motion is not None:
            grid = grid @ motion[:, None, :, :2].transpose(-1, -2) + motion[:, None, None, :, 2]
        chips = F.grid_sample((frames.float() + 1) / 2, grid, padding_mode="border", align_corners=False)
        return self.network.features(F.avg_pool2d(chips, OVERSAMPLE))[2:]


def small_motions(draws: Draws, count: int, amount: float = 1.0) -> Tensor:
    """Affine maps (count, 2, 3) of a frame's coordinates in [-1, 1]: mirrored at random, turned, scaled and shifted.

    A network that is to please one recogniser on one fixed cut of the face can do so with patterns that only that cut
    sees; what holds under motion is in the face. ``amount`` 1: 4 degrees, 5 % and 1.5 % of the frame (standard
    deviations).
    """
    turn, scale, *shift = (draws.normal(count, 4) * amount * torch.tensor([0.07, 0.05, 0.03, 0.03])).unbind(1)
    mirror = torch.where(draws.uniform(count) < 0.5, -1.0, 1.0)
    cos, sin = scale.exp() * turn.cos(), scale.exp() * turn.sin()
    rows = [torch.stack([cos * mirror, -sin, shift[0]], dim=1), torch.stack([sin * mirror, cos, shift[1]], dim=1)]
    return torch.stack(rows, dim=1)


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
