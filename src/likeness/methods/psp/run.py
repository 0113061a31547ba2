"""Reading pSp's files, and its inference between an aligned crop and the restored crop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from likeness.methods.one_pass import Options
from likeness.methods.psp.encoder import INPUT
from likeness.methods.psp.network import PSp, mix
from likeness.nets.upfirdn import bicubic_down, full_precision, to_size


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's tensors and ``latent_avg``, which lies beside "state_dict" in the released files; flat ones pass.

    A file whose training options say that it did not start from the average gets an average of zero.
    """
    nested = checkpoint.get("state_dict")
    tensors = nested if isinstance(nested, Mapping) else checkpoint
    found = {key: value for key, value in tensors.items() if isinstance(value, Tensor)}
    average = checkpoint.get("latent_avg")
    if isinstance(average, Tensor):
        found["latent_avg"] = average
    options = checkpoint.get("opts")
    if isinstance(options, Mapping) and options.get("start_from_latent_avg") is False:
        found["latent_avg"] = torch.zeros(512)
    return found


def low_resolution(pictures: Tensor, factor: int) -> Tensor:
    """The input of the super-resolution network as its authors make it from (B, 3, H, W) in [-1, 1].

    Reduced to 256 pixels, reduced ``factor`` times more and enlarged back to 256, through 8-bit pictures and Pillow's
    resizing; with ``factor`` 0 only the first. Returns (B, 3, 256, 256) in [-1, 1] on the device of ``pictures``.
    """
    small = _resized((pictures.float().cpu() + 1).mul(127.5).round().clamp(0, 255))
    if factor:
        with full_precision(small):
            reduced = bicubic_down(small, factor)
        small = _resized(reduced.clamp(0, 1).mul(255).floor())
    return small.mul(2).sub(1).to(pictures.device)


def _resized(levels: Tensor) -> Tensor:
    """(B, 3, H, W) in whole steps of 0 to 255 -> (B, 3, 256, 256) in [0, 1], by Pillow."""
    planes = levels.to(torch.uint8).permute(0, 2, 3, 1).numpy()
    images = [Image.fromarray(p).resize((INPUT, INPUT), Image.Resampling.BILINEAR) for p in planes]
    return torch.from_numpy(np.stack([np.asarray(i) for i in images])).permute(0, 3, 1, 2).float() / 255


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """(B, 3, H, H) RGB in [-1, 1] -> the same, restored. ``seed`` draws the face to mix in, one for the batch."""
    assert isinstance(net, PSp)
    inputs = low_resolution(x, int(options["factor"])).contiguous(memory_format=torch.channels_last)
    codes = net.codes(inputs)
    if options["mix_alpha"] > 0:
        z = torch.randn(1, codes.shape[-1], generator=torch.Generator().manual_seed(seed)).to(x)
        layers = range(int(options["mix_from"]), codes.shape[1])
        codes = mix(codes, layers, net.mapping(z), float(options["mix_alpha"]))
    image = net.decode(codes)
    return to_size(net.face_pool(image) if options["resize_outputs"] else image, x.shape[-1])
