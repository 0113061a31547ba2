"""Reading RDFR's files, and its way from an aligned crop to the restored crop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods.one_pass import Options
from likeness.methods.rdfr.network import RDFR, Sizes
from likeness.nets.stylegan2 import length
from likeness.nets.upfirdn import to_size


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Our training's files: the averaged weights, flat."""
    return {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def read_sizes(tensors: Mapping[str, Tensor]) -> Sizes | None:
    """The sizes and switches of the network of these keys and shapes; None when they are of another method."""
    if "encoder.first.0.weight" not in tensors or "encoder.latent.weight" not in tensors:
        return None
    downs = _count(tensors, "encoder.downs.{}.conv2.1.weight")
    widths = [length(tensors, f"encoder.downs.{i}.conv2.1.weight", 0, 1) for i in reversed(range(downs))]
    widths.append(length(tensors, "encoder.first.0.weight", 0, 1))
    fusion = "fusions.0.score" in tensors
    skips = _count(tensors, "fusions.{}.score" if fusion else "fusions.{}.mix.weight")
    if not 1 <= skips <= downs - 1:
        return None
    return Sizes(
        widths=tuple(widths),
        style=length(tensors, "encoder.latent.weight", 0, 1),
        mapping=_count(tensors, "mapping.{}.weight"),
        skips=skips,
        codes=length(tensors, "codebooks.0.codes", 0, 1),
        fusion=fusion,
        quantise="codebooks.0.codes" in tensors,
        noise="gates.0.weight" in tensors,
    )


def recognise(tensors: Mapping[str, Tensor]) -> RDFR | None:
    """The network that these keys and shapes belong to, unfilled; None for another method."""
    sizes = read_sizes(tensors)
    return None if sizes is None else RDFR(sizes)


def _count(tensors: Mapping[str, Tensor], key: str) -> int:
    count = 0
    while key.format(count) in tensors:
        count += 1
    return count


def draw_noises(net: RDFR, seed: int, batch: int, strength: float = 1.0) -> list[Tensor]:
    """Noise for ``net`` from ``seed`` alone, the same for every sample of the batch; float32, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(shape, generator=generator) * strength).expand(batch, *[-1] * len(shape))
        for shape in net.noise_shapes
    ]


def enlarge(x: Tensor, side: int) -> Tensor:
    """(B, 3, h, h) -> (B, 3, side, side), bicubic; as it is when it has that size."""
    if x.shape[-1] == side:
        return x
    return F.interpolate(x, size=(side, side), mode="bicubic", align_corners=False)


def restore(net: RDFR, x: Tensor, noises: Sequence[Tensor]) -> Tensor:
    """(B, 3, H, H) RGB in [-1, 1] -> the same, restored, not clipped.

    A network of another size is given the picture averaged over areas, as in its training, and what it answers is
    enlarged by bicubic interpolation: it can then be no sharper than its own pixels.
    """
    inputs = to_size(x, net.size).contiguous(memory_format=torch.channels_last)
    return enlarge(net(inputs, [n.to(x.device) for n in noises]), x.shape[-1])


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """(B, 3, H, H) RGB in [-1, 1] -> the same, restored. The noise is the same for all samples of the batch."""
    assert isinstance(net, RDFR)
    return restore(net, x, draw_noises(net, seed, len(x), float(options["noise"])))
