"""Batch normalisation as scripts apply it that leave their network in training mode at inference."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class PictureNorm(nn.BatchNorm2d):
    """Normalises each picture by its own mean and (biased) variance; the keys are those of a batch norm.

    In training mode with a batch of one that is what a batch norm does, and an instance norm always, so this stands for
    both, in any mode, and no picture of a batch sees another. The running statistics of the file are kept and not
    touched. ``own_statistics = False`` normalises by them instead, which is what evaluation mode would do.
    """

    own_statistics = True

    def forward(self, input: Tensor) -> Tensor:
        if self.own_statistics:
            return F.instance_norm(input, weight=self.weight, bias=self.bias, eps=self.eps)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
