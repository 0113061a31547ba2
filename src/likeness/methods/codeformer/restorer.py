"""CodeFormer as it is used: the released file, and what happens to a face before and after the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from likeness.methods.codeformer.card import CARD
from likeness.methods.codeformer.network import CodeFormerNet, NetworkConfig
from likeness.methods.one_pass import OnePass, Options
from likeness.nets.upfirdn import to_size

HEAD_DIM = 64  # channels of an attention head in the released network; shapes do not tell
GRAY = 10.0  # up to this mean variance of the differences between channels, in levels of 255, a picture is gray
LUMA = (0.2989, 0.587, 0.114)


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's tensors: under "params_ema" in the released file; a flat mapping passes."""
    nested = checkpoint.get("params_ema")
    held = nested if isinstance(nested, Mapping) else checkpoint
    return {key: value for key, value in held.items() if isinstance(value, Tensor)}


def read_config(tensors: Mapping[str, Tensor]) -> NetworkConfig | None:
    """The sizes of the network of these tensors; None when they are of another."""
    last, feedforward = "generator.blocks.0.weight", "ft_layers.0.linear1.weight"
    if any(key not in tensors for key in ("position_emb", "quantize.embedding.weight", last, feedforward)):
        return None
    halving = (f"encoder.blocks.{index}.conv.weight" for index in range(_count(tensors, "encoder.blocks.")))
    codes, code_dim = tensors["quantize.embedding.weight"].shape
    tokens, dim = tensors["position_emb"].shape
    return NetworkConfig(
        widths=(*(tensors[key].shape[0] for key in halving if key in tensors), tensors[last].shape[0]),
        codes=codes,
        code_dim=code_dim,
        tokens=tokens,
        dim=dim,
        heads=max(1, dim // HEAD_DIM),
        layers=_count(tensors, "ft_layers."),
        feedforward=tensors[feedforward].shape[0],
        fused=tuple(sorted({int(key.split(".")[1]) for key in tensors if key.startswith("fuse_convs_dict.")})),
    )


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """How many modules there are in the list ``prefix``."""
    return len({key[len(prefix) :].split(".")[0] for key in tensors if key.startswith(prefix)})


def recognise(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The network of these tensors, also of the authors' models for other tasks, which fuse at fewer sizes."""
    config = read_config(tensors)
    return None if config is None else CodeFormerNet(config)


def run(net: nn.Module, x: Tensor, options: Options, seed: int) -> Tensor:
    """(B, 3, 512, 512) RGB in [-1, 1] -> restored. There is no noise, hence ``seed`` changes nothing.

    As in the official script, a gray photograph gives a gray face with the photograph's tone. A network that was
    trained for smaller faces is given them, and its faces are enlarged.
    """
    assert isinstance(net, CodeFormerNet)
    restored = net(to_size(x, net.config.size), float(options["fidelity"]), bool(options["adain"]))
    restored = to_size(restored, x.shape[-1]).to(x.dtype)
    gray = is_gray(x)[:, None, None, None]
    return torch.where(gray, toned_gray(restored, x), restored)


def is_gray(x: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> (B,) whether the picture has no colour: its channels differ by a constant at most."""
    differences = (x - x.roll(-1, dims=1)) * 127.5
    return differences.var(dim=(2, 3), correction=0).mean(1) <= GRAY


def toned_gray(restored: Tensor, photo: Tensor) -> Tensor:
    """The restored face in gray, each channel with the mean and deviation of the photograph's."""
    luma = torch.tensor(LUMA, device=restored.device, dtype=restored.dtype).view(1, 3, 1, 1)
    gray = (restored.clamp(-1, 1) * luma).sum(1, keepdim=True)
    mean, std = _statistics(gray)
    photo_mean, photo_std = _statistics(photo)
    return (gray - mean) / std * photo_std + photo_mean


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel over the picture; the variance has 1e-5 added at 255 levels."""
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0, keepdim=True)
    return mean, (variance + 1e-5 / 127.5**2).sqrt()


METHOD = OnePass(CARD, unpack, recognise, run)
