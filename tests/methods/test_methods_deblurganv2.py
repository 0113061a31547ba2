"""DeblurGAN-v2: its border, its statistics, and telling its two networks apart."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from likeness.methods import OptionError, deblurganv2
from likeness.methods.deblurganv2.inception import FPNInception
from likeness.methods.deblurganv2.mobilenet import FPNMobileNet
from likeness.nets.picture_norm import PictureNorm
from likeness.weights.load import WeightsError

KEYS = {"fpn_inception": "94937ef331df7d32", "fpn_mobilenet": "3fa995fc5825d2a5"}


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def small(kind: type[FPNInception | FPNMobileNet]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = kind(pyramid=16, width=8)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def mobile() -> nn.Module:
    return small(FPNMobileNet)


@pytest.fixture(scope="module")
def inception() -> nn.Module:
    return small(FPNInception)


@pytest.mark.parametrize("role", KEYS)
def test_keys_are_those_of_the_release(role: str) -> None:
    state = deblurganv2.networks()[role].state_dict()
    lines = sorted(f"{k} {list(v.shape)} {str(v.dtype).removeprefix('torch.')}" for k, v in state.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == KEYS[role]


@pytest.mark.parametrize("role", ["mobile", "inception"])
@torch.inference_mode()
def test_pictures_of_a_batch_do_not_mix(role: str, request: pytest.FixtureRequest) -> None:
    net = request.getfixturevalue(role)
    run, x = deblurganv2.method().run, rand(2, 3, 128, 160) * torch.tensor([1.0, 0.3]).view(2, 1, 1, 1)
    both = run(net, x, {}, 0)
    assert both.shape == x.shape
    assert both.abs().max() <= 1
    assert (both - x).abs().max() > 0.05
    for i in range(2):
        assert torch.allclose(run(net, x[i : i + 1], {}, 0)[0], both[i], atol=1e-3)
    assert torch.equal(run(net, x, {}, 7), run(net, x, {}, 0))  # nothing is drawn


@pytest.mark.parametrize("size", [(64, 64), (70, 50)])
def test_there_is_always_a_border_of_zeros(size: tuple[int, int]) -> None:
    class Spy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            self.given = x
            return x + 1

    spy, x = Spy(), rand(1, 3, *size)
    out = deblurganv2.method().run(spy, x, {}, 0)
    height, width = ((side // 32 + 1) * 32 for side in size)
    assert torch.equal(spy.given, F.pad(x, (0, width - size[1], 0, height - size[0])))
    assert torch.equal(out, x + 1)


def test_running_statistics_neither_matter_nor_move() -> None:
    net, x = small(FPNMobileNet), rand(1, 3, 96, 64)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    out = net(x)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    for norm in net.modules():
        if isinstance(norm, PictureNorm):
            norm.own_statistics = False
    assert (net(x) - out).abs().max() > 1e-2


@pytest.mark.parametrize("role", ["mobile", "inception"])
def test_the_parts_of_the_backbone_have_two_names(role: str, request: pytest.FixtureRequest) -> None:
    state = request.getfixturevalue(role).state_dict()
    pairs = {
        "mobile": ("fpn.enc4.0.conv.0.weight", "fpn.features.11.conv.0.weight"),
        "inception": ("fpn.enc4.1.branch0.0.conv.weight", "fpn.inception.mixed_7a.branch0.0.conv.weight"),
    }
    first, second = pairs[role]
    assert state[first].data_ptr() == state[second].data_ptr()


def test_recognise_tells_the_two_apart(mobile: nn.Module, inception: nn.Module) -> None:
    recognise = deblurganv2.method().recognise
    for given, kind in ((mobile, FPNMobileNet), (inception, FPNInception)):
        state = given.state_dict()
        net = recognise(state)
        assert isinstance(net, kind)
        assert {k: v.shape for k, v in net.state_dict().items()} == {k: v.shape for k, v in state.items()}
    assert recognise({"fpn.lateral4.weight": torch.zeros(1), "smooth.0.weight": torch.zeros(1)}) is None
    assert recognise({"fpn.features.0.0.weight": torch.zeros(1)}) is None
    assert recognise({}) is None


def test_unpack_opens_the_released_file() -> None:
    unpack, tensor = deblurganv2.method().unpack, torch.zeros(2)
    assert unpack({"model": {"module.final.bias": tensor}}) == {"final.bias": tensor}
    assert unpack({"final.bias": tensor, "epoch": 3}) == {"final.bias": tensor}


def test_load_takes_a_released_file(tmp_path: Path, mobile: nn.Module) -> None:
    path = tmp_path / "fpn_mobilenet.h5"
    torch.save({"model": {f"module.{key}": value for key, value in mobile.state_dict().items()}}, path)
    loaded = deblurganv2.load(torch.device("cpu"), torch.float32, path)
    with pytest.raises(OptionError, match="deblurganv2 has no option fidelity"):
        loaded.restore(torch.zeros(1, 3, 512, 512), fidelity=0.5)
    crops = (rand(1, 3, 512, 512) + 1) / 2
    with torch.inference_mode():
        wanted = deblurganv2.method().run(mobile, crops * 2 - 1, {}, 0)
    assert torch.allclose(loaded.restore(crops), (wanted + 1) / 2, atol=1e-4)


def test_load_refuses_another_file(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(16, 3, 3, 3)}, path)
    with pytest.raises(WeightsError, match="holds no weights of deblurganv2"):
        deblurganv2.load(torch.device("cpu"), torch.float32, path)
