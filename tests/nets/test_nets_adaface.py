"""AdaFace's backbone: the numbers of ArcFace's IResNet where they are one network, keys, what is recognised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from likeness.nets.adaface import DEPTHS, AdaFace, recognise, unpack
from likeness.nets.iresnet import IResNet
from likeness.weights.checkpoint import fill_strict, read_checkpoint
from likeness.weights.errors import WeightsError

DEPTH, WIDTH = (2, 1, 3, 1), (4, 6, 8, 10)
PARTS = {"res_layer.0": "bn1", "res_layer.1": "conv1", "res_layer.2": "bn2", "res_layer.3": "prelu",
         "res_layer.4": "conv2", "res_layer.5": "bn3", "shortcut_layer": "downsample"}  # fmt: skip
ENDS = {"input_layer.0": "conv1", "input_layer.1": "bn1", "input_layer.2": "prelu",
        "output_layer.0": "bn2", "output_layer.3": "fc", "output_layer.4": "features"}  # fmt: skip


def tiny() -> AdaFace:
    """All numbers, the norms' too, are unlike those of a fresh network."""
    torch.manual_seed(0)
    net = AdaFace(DEPTH, WIDTH, features=5, side=32).eval()
    for key, value in net.state_dict().items():
        if value.is_floating_point():
            value.add_(0.2 * torch.rand_like(value) if key.endswith("running_var") else 0.2 * torch.randn_like(value))
    return net


def as_iresnet(key: str) -> str:
    """The key of the same tensor in IResNet."""
    if not key.startswith("body."):
        return next(key.replace(old, new, 1) for old, new in ENDS.items() if key.startswith(old))
    number, rest = key.removeprefix("body.").split(".", 1)
    within, level = int(number), 0
    while within >= DEPTH[level]:
        within, level = within - DEPTH[level], level + 1
    rest = next(rest.replace(old, new, 1) for old, new in PARTS.items() if rest.startswith(old))
    return f"layer{level + 1}.{within}.{rest}"


def test_it_computes_what_iresnet_does() -> None:
    """The networks differ in the first shortcut, which is set to take each second pixel, and in the division."""
    net, other = tiny(), IResNet(DEPTH, WIDTH, features=5, side=32).eval()
    tensors = {as_iresnet(key): value for key, value in net.state_dict().items()}
    tensors["layer1.0.downsample.0.weight"] = torch.eye(4)[..., None, None]
    for key, value in other.state_dict().items():
        if key.startswith("layer1.0.downsample.1.") or key in ("features.weight", "features.bias"):
            tensors[key] = value
    tensors["layer1.0.downsample.1.running_var"] = torch.full((4,), 1 - 1e-5)  # the norm does nothing
    fill_strict(other, tensors, "AdaFace's")
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        answer, wanted = net(x), other(x)
    torch.testing.assert_close(answer, wanted / wanted.norm(dim=1, keepdim=True), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(answer.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize(("name", "like"), [("ir50", (3, 4, 14, 3)), ("ir101", (3, 13, 30, 3))])
def test_the_published_sizes(name: str, like: tuple[int, ...]) -> None:
    with torch.device("meta"):
        net, other = AdaFace(DEPTHS[name]), IResNet(like)
    keys = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    assert len(net.body) == sum(like)
    assert keys["input_layer.2.weight"] == (64,)
    assert keys["body.0.res_layer.4.weight"] == (64, 64, 3, 3)
    assert "body.0.shortcut_layer.0.weight" not in keys
    assert keys["body.3.shortcut_layer.0.weight"] == (128, 64, 1, 1)
    assert keys["body.3.res_layer.1.weight"] == (128, 64, 3, 3)
    assert keys["output_layer.3.weight"] == (512, 25088)
    assert "output_layer.4.weight" not in keys
    assert keys["output_layer.4.running_mean"] == (512,)
    without = sum(p.numel() for p in other.parameters()) - (64 * 64 + 2 * 64) - 2 * 512
    assert sum(p.numel() for p in net.parameters()) == without


NESTS: dict[str, Callable[[dict[str, Tensor]], dict[str, object]]] = {
    "as released": lambda state: {
        "epoch": 25,
        "state_dict": {**{f"model.{k}": v for k, v in state.items()}, "head.kernel": torch.ones(5, 9)},
        "hyper_parameters": {"arch": "ir_50", "lr": 0.1},
    },
    "prefixed": lambda state: {f"model.{k}": v for k, v in state.items()},
    "flat": lambda state: dict(state),
}  # fmt: skip


@pytest.mark.parametrize("nest", NESTS)
def test_checkpoints(tmp_path: Path, nest: str) -> None:
    net, path = tiny(), tmp_path / "adaface.ckpt"
    torch.save(NESTS[nest](net.state_dict()), path)
    tensors = unpack(read_checkpoint(path))
    found = recognise(tensors)
    assert found is not None
    assert found.side == 32
    fill_strict(found, tensors, "the file")
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(found.eval()(x), net(x), rtol=0, atol=0)


def test_what_does_not_fit_is_not_loaded() -> None:
    state = tiny().state_dict()
    for wrong in ({"extra.weight": torch.zeros(1)}, {"body.2.res_layer.6.fc1.weight": torch.zeros(1, 4, 1, 1)}):
        held = {"state_dict": {f"model.{k}": v for k, v in {**state, **wrong}.items()}}
        tensors = unpack(held)
        found = recognise(tensors)
        assert found is not None
        with pytest.raises(WeightsError, match="unexpected"):
            fill_strict(found, tensors, "the file")


@pytest.mark.parametrize(
    "change",
    [
        {"input_layer.0.weight": None},
        {"body.0.res_layer.1.weight": None},
        {"body.0.res_layer.1.weight": torch.zeros(4)},
        {"body.2.res_layer.1.weight": torch.zeros(0, 4, 3, 3)},
        {"output_layer.3.weight": torch.zeros(5)},
        {"output_layer.3.weight": torch.zeros(5, 3)},
        {"output_layer.3.weight": torch.zeros(0, 40)},
    ],
)
def test_other_networks_are_not_recognised(change: dict[str, Tensor | None]) -> None:
    tensors = {k: v for k, v in {**tiny().state_dict(), **change}.items() if v is not None}
    assert recognise(tensors) is None
    assert recognise(IResNet(DEPTH, WIDTH, 5, 32).state_dict()) is None
    assert recognise({}) is None
