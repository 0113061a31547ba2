"""The released files of the metrics' networks load, however nested, and small networks too; others are not taken."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from likeness.measure.perceptual import lpips_distance
from likeness.measure.released import lpips_tensors, recognise, recognise_lpips, unpack
from likeness.nets.fan import FAN
from likeness.nets.inception import FIDInception
from likeness.nets.iresnet import IResNet
from likeness.nets.lpips import LPIPS
from likeness.nets.resnet_face import ResNetFace18
from likeness.weights.load import WeightsError, fill_strict

SMALL = {
    "fan": lambda: FAN(modules=2, points=5, width=16),
    "iresnet": lambda: IResNet((1, 2, 3, 1), (4, 8, 12, 16), features=6, side=48),
    "deg": lambda: ResNetFace18(4, features=6, side=32),
    "inception": lambda: FIDInception(classes=9),
}


@pytest.mark.parametrize("name", SMALL)
def test_each_is_recognised_from_its_tensors(name: str) -> None:
    torch.manual_seed(0)
    net = SMALL[name]()
    state = net.state_dict()
    saved = {
        "fan": {"state_dict": state, "epoch": 3},
        "iresnet": state,
        "deg": {f"module.{key}": value for key, value in state.items()},
        "inception": {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")},
    }[name]
    tensors = unpack(saved)
    assert tensors.keys() == state.keys()
    found = recognise(tensors)
    assert type(found) is type(net)
    fill_strict(found, tensors, name)
    assert all(torch.equal(value, state[key]) for key, value in found.state_dict().items())


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"conv1.weight": torch.zeros(4, 1, 3, 3)},
        {"layer1.0.bn3.weight": torch.zeros(4)},  # half of an IResNet
        {"m0.coordconv.conv.weight": torch.zeros(4)},
    ],
)
def test_others_are_not_recognised(tensors: dict[str, Tensor]) -> None:
    assert recognise(unpack(tensors)) is None
    assert recognise_lpips(tensors) is None
    assert lpips_tensors(tensors, tensors) is None


def test_a_network_of_another_shape_is_refused() -> None:
    tensors = unpack(SMALL["deg"]().state_dict()) | {"more": torch.zeros(1)}
    net = recognise(tensors)
    assert net is not None
    with pytest.raises(WeightsError, match="unexpected more"):
        fill_strict(net, tensors, "a.pth")


@pytest.mark.parametrize("kind", ["alex", "vgg"])
def test_lpips_is_put_together_from_its_two_files(kind: str) -> None:
    torch.manual_seed(0)
    state = LPIPS(kind).state_dict()
    trunk, weights = {"classifier.6.bias": torch.zeros(1000)}, {}
    for key, value in state.items():
        if key.startswith("net."):
            trunk["features." + key.split(".", 2)[2]] = value
        elif key.startswith("lin") and not key.startswith("lins."):
            weights[key] = value
    tensors = lpips_tensors(trunk, weights)
    assert tensors is not None
    net = recognise_lpips(tensors)
    assert net is not None
    fill_strict(net, tensors, kind)
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert lpips_tensors(state, {}) == state
    del weights["lin3.model.1.weight"]
    assert lpips_tensors(trunk, weights) is None


def distances(net: LPIPS) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(4, 3, 64, 64, generator=generator) for _ in range(2))
    together = lpips_distance(net, a, b)
    singly = torch.cat([lpips_distance(net, a[i : i + 1], b[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, singly, rtol=1e-5, atol=0)  # other shapes, other order of sums
    torch.testing.assert_close(lpips_distance(net, b, a), together, rtol=1e-5, atol=0)
    return together


@torch.inference_mode()
def test_lpips_of_batches() -> None:
    torch.manual_seed(0)
    net = LPIPS("alex").eval()
    for lin in net.lins:  # released ones are not negative
        lin.model[1].weight.abs_()  # type: ignore[operator]
    assert float(distances(net).min()) > 0
    x = torch.rand(2, 3, 64, 64)
    assert lpips_distance(net, x, x).tolist() == [0, 0]


def test_lpips_refuses_what_does_not_fit() -> None:
    net = LPIPS("alex")
    with pytest.raises(ValueError, match="evaluation"):
        lpips_distance(net, torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64))
    with pytest.raises(ValueError, match="differ in shape"):
        lpips_distance(net.eval(), torch.zeros(1, 3, 64, 64), torch.zeros(2, 3, 64, 64))
    with pytest.raises(ValueError, match="squeeze"):
        LPIPS("squeeze")


@pytest.mark.parametrize("name", ["fan", "iresnet", "deg"])
@torch.inference_mode()
def test_a_batch_of_four_is_four_singles(name: str) -> None:
    torch.manual_seed(0)
    net: nn.Module = SMALL[name]().eval()
    channels, side = {"fan": (3, 64), "iresnet": (3, 48), "deg": (1, 32)}[name]
    x = torch.rand(4, channels, side, side, generator=torch.Generator().manual_seed(1))

    def last(y: Tensor) -> Tensor:
        return net(y)[-1] if name == "fan" else net(y)  # type: ignore[no-any-return]

    singly = torch.cat([last(one[None]) for one in x])
    torch.testing.assert_close(last(x), singly, rtol=1e-4, atol=1e-5)  # sums in another order
