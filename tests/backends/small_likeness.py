"""A small built-in network for tests of backends, in which every layer does something."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from likeness.methods.likeness.network import LikenessNet
from likeness.methods.likeness.restorer import LikenessRestorer
from likeness.methods.likeness.trunk import TrunkConfig

NEEDS = {"onnx": ("onnxruntime", "onnx", "onnxscript"), "openvino": ("openvino",)}
FIRST = TrunkConfig(widths=(16, 24, 32, 48), depths=(1, 1, 1, 2), condition=32)
SECOND = TrunkConfig(widths=(16, 24, 32, 48), depths=(1, 1, 1, 1), condition=32)


def small_net() -> LikenessNet:
    """The same one every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = LikenessNet(FIRST, SECOND)
        for parameter in net.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.05)
    return net.eval().requires_grad_(False)


def small_restorer(weights: str = "a" * 64) -> LikenessRestorer:
    """In float32 on the processor. ``weights`` stands for their sha256."""
    return LikenessRestorer(small_net(), torch.device("cpu"), torch.float32, weights)


def crops(count: int) -> Tensor:
    """(count, 3, 512, 512) in [0, 1], no two alike."""
    draw = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 3, 16, 16, generator=draw)
    return nn.functional.interpolate(coarse, (512, 512), mode="bilinear")


def needed(name: str) -> str:
    """``name``; skips the test when the backend is not installed."""
    for package in NEEDS[name]:
        pytest.importorskip(package, reason=f"backend {name} needs {package}: pip install 'likeness[fast]'")
    return name
