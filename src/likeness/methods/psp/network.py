"""pSp: an encoder maps a face to the extended latent space (W+) of a StyleGAN2 generator.

Richardson et al., Encoding in Style: a StyleGAN Encoder for Image-to-Image Translation (CVPR 2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from likeness.methods.psp.encoder import Encoder
from likeness.nets.stylegan2 import length, style_count
from likeness.nets.stylegan2_generator import Generator, generator_arguments


class PSp(nn.Module):
    """``forward(x)``: (B, 3, 256, 256) RGB in [-1, 1] -> (B, 3, size, size), nominally in [-1, 1], not clipped.

    Released: 1024. ``average``: the shape, (styles, style_dim) or (style_dim,), of the average latent that the
    encoder's output is an offset from, the buffer ``latent_avg``. None leaves it out: the released files keep the
    average beside the state dict, which has the other keys.
    """

    def __init__(
        self,
        size: int = 1024,
        style_dim: int = 512,
        mlp_layers: int = 8,
        multiplier: float = 2,
        narrow: float = 1.0,
        widths: Sequence[int] = (64, 128, 256, 512),
        units: Sequence[int] = (3, 4, 14, 3),
        average: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.encoder = Encoder(style_count(size), style_dim, widths, units)
        self.decoder = Generator(size, style_dim, mlp_layers, multiplier, narrow)
        self.face_pool = nn.AdaptiveAvgPool2d(256)
        self.register_buffer("latent_avg", None if average is None else torch.zeros(*average))
        self.latent_avg: Tensor | None

    def codes(self, x: Tensor) -> Tensor:
        """The latents of a face: (B, 3, 256, 256) -> (B, styles, style_dim)."""
        offsets: Tensor = self.encoder(x)
        return offsets if self.latent_avg is None else offsets + self.latent_avg

    def mapping(self, z: Tensor) -> Tensor:
        """N(0, 1) vectors (B, style_dim) -> the latents of random faces, (B, styles, style_dim)."""
        return self.decoder.style(z)[:, None].expand(-1, style_count(self.size), -1)  # type: ignore[no-any-return]

    def decode(self, codes: Tensor) -> Tensor:
        """(B, styles, style_dim) -> (B, 3, size, size), with the noise stored in the weights."""
        return self.decoder(codes, self.decoder.noises.stored())  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.codes(x))


def mix(codes: Tensor, layers: Iterable[int], inject: Tensor | None = None, alpha: float = 1.0) -> Tensor:
    """Style mixing: new codes with ``alpha`` of ``inject`` (zero if None) and 1 - alpha of ``codes`` in ``layers``.

    codes (B, styles, style_dim), inject (B or 1, styles, style_dim).
    """
    index = torch.tensor(list(layers), dtype=torch.long, device=codes.device)
    kept = codes[:, index]
    wanted = torch.zeros_like(kept) if inject is None else inject[:, index].to(kept.dtype)
    return codes.index_copy(1, index, torch.lerp(kept, wanted.expand_as(kept), alpha))


def recognise(tensors: Mapping[str, Tensor]) -> PSp | None:
    """The network that these keys and shapes belong to, unfilled; None for another method.

    None, too, for pSp's networks that read sketches or label maps: their input has not three channels.
    """
    if "encoder.latlayer1.weight" not in tensors or "decoder.input.input" not in tensors:
        return None
    widths: list[int] = []
    units: list[int] = []
    while f"encoder.body.{sum(units)}.res_layer.1.weight" in tensors:
        unit = f"encoder.body.{sum(units)}"
        if not units or f"{unit}.shortcut_layer.0.weight" in tensors:
            widths.append(length(tensors, f"{unit}.res_layer.1.weight", 0, 512))
            units.append(0)
        units[-1] += 1
    arguments = generator_arguments(tensors, "decoder.")
    if len(units) != 4 or arguments is None or length(tensors, "encoder.input_layer.0.weight", 1, 3) != 3:
        return None
    average = tensors.get("latent_avg")
    return PSp(**arguments, widths=widths, units=units, average=None if average is None else average.shape)
