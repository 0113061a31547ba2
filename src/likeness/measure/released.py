"""The released files of the metrics' networks: from what their authors saved to the network that it fits."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from likeness.nets.fan import FAN
from likeness.nets.inception import FIDInception
from likeness.nets.iresnet import IResNet
from likeness.nets.lpips import LPIPS
from likeness.nets.resnet_face import ResNetFace18

PREFIX = "module."
FIRST: dict[tuple[int, ...], str] = {(64, 3, 11, 11): "alex", (64, 3, 3, 3): "vgg"}  # the trunks' first convolution


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The network's tensors: flat, under "state_dict" (FAN), or each key after ``module.`` (Deg).

    The norms' counters, which the file of Inception may lack, are put in as 0; no evaluation reads them.
    """
    nested = checkpoint.get("state_dict")
    held = nested if isinstance(nested, Mapping) else checkpoint
    tensors = {key: value for key, value in held.items() if isinstance(value, Tensor)}
    if tensors and all(key.startswith(PREFIX) for key in tensors):
        tensors = {key.removeprefix(PREFIX): value for key, value in tensors.items()}
    for key in [key for key in tensors if key.endswith(".running_mean")]:
        tensors.setdefault(key.removesuffix("running_mean") + "num_batches_tracked", torch.tensor(0))
    return tensors


def recognise(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The network of these tensors, unfilled, of whatever size; None when they are of none of the metrics' networks."""
    for first, build in (
        ("Mixed_7c.branch_pool.conv.weight", _inception),
        ("layer1.0.bn3.weight", _iresnet),
        ("layer1.0.bn0.weight", _resnet_face),
        ("m0.coordconv.conv.weight", _fan),
    ):
        if first in tensors:
            try:
                return build(tensors)
            except KeyError:  # only half of it is there
                return None
    return None


def lpips_tensors(trunk: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The tensors of ``LPIPS`` from two released files; None when they are not of one kind.

    ``trunk``: torchvision's AlexNet or VGG16 (``features.N.weight``, ``features.N.bias``; the classifier is not used);
    ``weights``: LPIPS' own file (``lin0.model.1.weight`` to ``lin4``). A mapping of the whole network as ``trunk``,
    with empty ``weights``, passes.
    """
    if "net.slice1.0.weight" in trunk and not weights:
        return dict(trunk)
    kind = FIRST.get(_shape(trunk, "features.0.weight"))
    if kind is None:
        return None
    found = {}
    for key, own in LPIPS(kind).state_dict().items():
        if key.startswith("net."):
            number, what = key.split(".")[2:]
            source, name = trunk, f"features.{number}.{what}"
        elif key.startswith("scaling_layer."):
            found[key] = own
            continue
        else:
            source, name = weights, key.replace("lins.", "lin")
        if _shape(source, name) != tuple(own.shape):
            return None
        found[key] = source[name]
    return found


def recognise_lpips(tensors: Mapping[str, Tensor]) -> LPIPS | None:
    """The network of these tensors (of ``lpips_tensors``), unfilled."""
    kind = FIRST.get(_shape(tensors, "net.slice1.0.weight"))
    return None if kind is None else LPIPS(kind)


def _shape(tensors: Mapping[str, Tensor], key: str) -> tuple[int, ...]:
    return tuple(tensors[key].shape) if key in tensors else ()


def _inception(tensors: Mapping[str, Tensor]) -> nn.Module:
    return FIDInception(tensors["fc.weight"].shape[0])


def _iresnet(tensors: Mapping[str, Tensor]) -> nn.Module:
    levels = [f"layer{level}." for level in range(1, 5)]
    depths = tuple(len({key.split(".")[1] for key in tensors if key.startswith(level)}) for level in levels)
    widths = tuple(tensors[f"{level}0.conv1.weight"].shape[0] for level in levels)
    features, inputs = tensors["fc.weight"].shape
    return IResNet(depths, widths, features, 16 * isqrt(inputs // widths[-1]))


def _resnet_face(tensors: Mapping[str, Tensor]) -> nn.Module:
    width = tensors["conv1.weight"].shape[0]
    features, inputs = tensors["fc5.weight"].shape
    return ResNetFace18(width, features, 16 * isqrt(inputs // (8 * width)))


def _fan(tensors: Mapping[str, Tensor]) -> nn.Module:
    points, width = tensors["l0.weight"].shape[:2]
    modules = sum(key.endswith(".coordconv.conv.weight") for key in tensors)
    return FAN(modules, points - 1, width)
