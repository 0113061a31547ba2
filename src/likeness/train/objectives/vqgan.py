"""Training of vector-quantised autoencoders (VQGAN: Esser, Rombach, Ommer 2021), which two methods begin with.

L = L1 + perceptual + codes + lambda adversarial; the codebook learns by its gradient. The discriminator judges patches
(Isola et al. 2017). VQGAN's has batch normalisation; here each picture is normalised by itself, in groups of channels,
so that what is said of it depends neither on its batch nor on how many processes share one.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.nets.vq import Codebook
from likeness.train.objectives.adversarial import hinge_discriminator, hinge_generator
from likeness.train.objectives.image_settings import ImageConfig
from likeness.train.objectives.networks import frozen
from likeness.train.objectives.perceptual import Perceptual
from likeness.train.processes import summed, world

SLOPE = 0.2
CHANNELS_PER_GROUP = 4
WIDEST = 8  # times the first width


class PatchGAN(nn.Module):
    """(B, 3, H, W) in [-1, 1] -> logits (B, 1, h, w), one for each patch; more is more real."""

    def __init__(self, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        widths = [width * min(2**level, WIDEST) for level in range(layers + 1)]
        body: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 2, 1), nn.LeakyReLU(SLOPE)]
        for level, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if level < layers - 1 else 1
            body += [nn.Conv2d(before, after, 4, stride, 1, bias=False)]
            body += [nn.GroupNorm(after // CHANNELS_PER_GROUP, after), nn.LeakyReLU(SLOPE)]
        self.body = nn.Sequential(*body, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        for module in self.body:
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)  # type: ignore[no-any-return]


def quantise(book: Codebook, z: Tensor, commitment: float) -> tuple[Tensor, Tensor]:
    """The nearest codes of ``z`` (B, dim, h, w), and |sg(z) - z_q|^2 + commitment |z - sg(z_q)|^2, mean over elements.

    Going back, the codes' gradient is given to ``z`` (van den Oord et al. 2017, eq. 3). float32.
    """
    z = z.float()
    codes = book.look_up(book.nearest(z)).float()
    loss = F.mse_loss(codes, z.detach()) + commitment * F.mse_loss(z, codes.detach())
    return z + (codes - z).detach(), loss


def image_loss(
    config: ImageConfig, perceptual: Perceptual | None, picture: Tensor, clean: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """L1 and the perceptual distance of float32 pictures (B, 3, H, W)."""
    l1 = F.l1_loss(picture, clean)
    loss, terms = config.l1 * l1, {"l1": l1.item()}
    if perceptual is not None:
        distance, _ = perceptual(picture, clean)
        loss, terms["perceptual"] = loss + config.perceptual * distance, distance.item()
    return loss, terms


def gradient_ratio(reconstruction: Tensor, adversarial: Tensor, last: Tensor, most: float) -> Tensor:
    """How much larger the gradient of one loss at the ``last`` layer is than the other's: Esser et al. 2021, eq. 7.

    Of the batch of all processes; at most ``most``; without a gradient of its own.
    """
    norms = []
    for loss in (reconstruction, adversarial):
        (gradient,) = torch.autograd.grad(loss, last, retain_graph=True)
        norms.append((summed(gradient.float()) / world()).norm())
    ratio: Tensor = norms[0] / (norms[1] + 1e-4)
    return ratio.clamp(max=most).detach()


def adversarial_loss(
    config: ImageConfig, discriminator: nn.Module, picture: Tensor, reconstruction: Tensor, last: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """The generator's adversarial loss as strong as ``reconstruction`` at ``last``, times ``config.adversarial``."""
    with frozen(discriminator):
        adversarial = hinge_generator(discriminator(picture))
    ratio = gradient_ratio(reconstruction, adversarial, last, config.adversarial_most)
    return config.adversarial * ratio * adversarial, {"adversarial": adversarial.item(), "ratio": ratio.item()}


def discriminator_hinge(
    config: ImageConfig, discriminator: nn.Module, real: Tensor, fake: Tensor, step: int
) -> tuple[Tensor, dict[str, float]]:
    """The patch discriminator's loss; a zero that moves nothing before ``config.adversarial_from``."""
    if step < config.adversarial_from:
        return torch.stack([p.sum() for p in discriminator.parameters()]).sum() * 0.0, {"discriminator": 0.0}
    loss = hinge_discriminator(discriminator(real), discriminator(fake))
    return loss, {"discriminator": loss.item()}


def patch_discriminator(config: ImageConfig) -> nn.Module | None:
    """The discriminator that ``config`` asks for."""
    if not config.adversarial:
        return None
    return PatchGAN(config.discriminator_width, config.discriminator_layers)


def start_codes(book: Codebook) -> None:
    """Fresh codes near zero, uniform in [-1 / count, 1 / count], as the features are at first."""
    edge = 1 / book.embedding.num_embeddings
    nn.init.uniform_(book.embedding.weight, -edge, edge)
