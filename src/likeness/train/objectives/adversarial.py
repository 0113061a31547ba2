"""Adversarial losses, for logits of any shape; the mean over samples and places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.train.draws import Draws

POLICIES = ("colour", "translation")
REACH = 1 / 8  # of the side: the longest translation


def non_saturating_generator(logits: Tensor) -> Tensor:
    """-log D(G(x)) (Goodfellow et al. 2014; papers/003 eq. 9), D = sigmoid of the logits."""
    return F.softplus(-logits.float()).mean()


def non_saturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(y) - log(1 - D(G(x))) (papers/003 eq. 8)."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def hinge_generator(logits: Tensor) -> Tensor:
    """-D(G(x)) (Lim and Ye 2017)."""
    return -logits.float().mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """max(0, 1 - D(y)) + max(0, 1 + D(G(x)))."""
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def r1(logits: Tensor, images: Tensor) -> Tensor:
    """Squared norm of the gradient of the logits at real ``images`` (which require it), the mean over samples.

    Mescheder et al. 2018, without the factor gamma / 2.
    """
    (gradient,) = torch.autograd.grad(logits.float().sum(), images, create_graph=True)
    return gradient.float().square().flatten(1).sum(1).mean()


def augment(images: Tensor, draws: Draws, policy: Sequence[str] = POLICIES) -> Tensor:
    """Differentiable augmentation (Zhao et al. 2020) of (B, C, H, W): colour and translation, each sample its own.

    Colour: brightness by up to a half, saturation by 0 to 2, contrast by 0.5 to 1.5. Translation: up to an eighth of
    the side, zeros come in. Raises ValueError for an unknown policy.
    """
    unknown = [name for name in policy if name not in POLICIES]
    if unknown:
        raise ValueError(f"unknown augmentation {unknown[0]!r}; known: {', '.join(POLICIES)}")
    if "colour" in policy:
        images = _colour(images, draws)
    return _translate(images, draws) if "translation" in policy else images


def _colour(x: Tensor, draws: Draws) -> Tensor:
    brightness, saturation, contrast = (draws.uniform(len(x), 1, 1, 1).to(x) for _ in range(3))
    x = x + (brightness - 0.5)
    grey = x.mean(dim=1, keepdim=True)
    x = (x - grey) * (2 * saturation) + grey
    level = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - level) * (contrast + 0.5) + level


def _translate(x: Tensor, draws: Draws) -> Tensor:
    height, width = x.shape[2:]
    reach = (int(height * REACH + 0.5), int(width * REACH + 0.5))
    moves = [(draws.uniform(len(x)) * (2 * r + 1)).long().tolist() for r in reach]
    padded = F.pad(x, (reach[1], reach[1], reach[0], reach[0]))
    rows = [padded[i : i + 1, :, a : a + height, b : b + width] for i, (a, b) in enumerate(zip(*moves, strict=True))]
    return torch.cat(rows)
