"""The sizes of a generator that doubles its picture from 4 pixels on (Karras et al., ICLR 2018 and CVPR 2019)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PyramidSizes:
    """The released sizes: ``widths`` are the channels at 4, 8, ... pixels, ``latent`` the length of a latent vector."""

    widths: tuple[int, ...] = (512, 512, 512, 512, 256, 128, 64, 32, 16)
    latent: int = 512

    @property
    def size(self) -> int:
        """Height and width of the picture."""
        return 2 << len(self.widths)

    @property
    def layers(self) -> int:
        """Two for each size; one more makes the picture."""
        return 2 * len(self.widths)
