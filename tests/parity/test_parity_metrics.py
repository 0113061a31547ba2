"""The networks and formulas of the metrics against the numbers of the authors' code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import pytest
import torch
from torch import Tensor, nn

from likeness.measure import fidelity, frechet, functional, identity
from likeness.measure.landmarks import landmark_distance
from likeness.measure.perceptual import lpips_distance
from likeness.nets.fan import FAN, decode, fan_input, find_landmarks
from likeness.nets.inception import FIDInception
from likeness.nets.iresnet import DEPTHS, IResNet
from likeness.nets.lpips import LPIPS
from likeness.nets.resnet_face import ResNetFace18
from parity_fixture import TableFixture

pytestmark = pytest.mark.parity


class Full(TableFixture):
    tolerance = 1e-4  # full networks


def fixture_of(name: str) -> Full:
    return Full(f"metrics/{name}")


@contextmanager
def mid_module(fixture: Full, net: nn.Module, also: dict[str, str] | None = None) -> Iterator[None]:
    """``checking_modules``, for which no golden may be left over."""
    known = set(dict(net.named_modules(remove_duplicate=False))) | set(also or {})
    assert set(fixture.names("mid/")) <= known
    with fixture.checking_modules(net, also=also):
        yield


@pytest.mark.parametrize("name", ["metrics_lpips_alex", "metrics_lpips_vgg"])
@torch.inference_mode()
def test_parity_lpips(name: str) -> None:
    fixture = fixture_of(name)
    net = LPIPS(name.rpartition("_")[2])
    fixture.fill(net, "lpips")
    a, b = fixture.picture(3, 96, 96), fixture.picture(3, 96, 96, 0.35)
    x = 0.9 * fixture.picture(3, 64, 80)
    with mid_module(fixture, net):
        fixture.check("distance", net(a, b))
    for i, layer in enumerate(net.layers(a, b)):
        fixture.check(f"layer{i}", layer)
    fixture.check("distance_aa", net(a, a))
    fixture.check("distance_norm01", lpips_distance(net, a / 2 + 0.5, b / 2 + 0.5).view(1, 1, 1, 1))
    fixture.check("distance_64x80", net(x, -x))
    fixture.done()


@torch.inference_mode()
@pytest.mark.parametrize("name", ["metrics_fid_inception"])
def test_parity_inception(name: str) -> None:
    fixture = fixture_of(name)
    net = FIDInception()
    fixture.fill(net, "inception")
    picture = fixture.picture(3, 160, 128) * 0.5 + 0.5
    modules = {f"blocks.2.{i}": f"Mixed_{block}" for i, block in ((0, "5b"), (3, "6a"), (7, "6e"))}
    modules |= {f"blocks.3.{i}": f"Mixed_{block}" for i, block in ((0, "7a"), (1, "7b"), (2, "7c"))}
    with mid_module(fixture, net, modules):
        features = net(frechet.pytorch_fid_input(picture))
    fixture.check("features", features[..., None, None])
    same = net(frechet.basicsr_input(2 * picture - 1))  # the same numerically, as the specification says
    fixture.check("features", same[..., None, None])
    for i, block in enumerate(net.blocks(frechet.pytorch_fid_input(picture))[:3]):
        fixture.check(f"block{i}", block)
    whole = fixture.picture(3, 299, 299, 0.3) * 0.5 + 0.5
    fixture.check("features_299", net(frechet.pytorch_fid_input(whole))[..., None, None])
    sets = fixture.noise(11, 200, 16).double(), fixture.noise(12, 180, 16).double() * 1.3 + 0.2
    distance = frechet.frechet_distance(*frechet.feature_statistics(sets[0]), *frechet.feature_statistics(sets[1]))
    fixture.check("frechet_example", torch.tensor([distance]), floor=1e-7)
    fixture.done()


@pytest.mark.parametrize("name", [f"metrics_arcface_{depth}" for depth in DEPTHS])
@torch.inference_mode()
def test_parity_arcface(name: str) -> None:
    fixture = fixture_of(name)
    net = IResNet(DEPTHS[name.rpartition("_")[2]])
    fixture.fill(net, "net")
    a, b = fixture.picture(3, 112, 112), fixture.picture(3, 112, 112, 0.35)
    with mid_module(fixture, net):
        one = net(a)
    two = net(b)
    fixture.check("embedding_a", one)
    fixture.check("embedding_b", two)
    fixture.check("cosine", identity.cosine_similarity(one, two))
    fixture.check("angle_deg", identity.identity_angle(one, two))
    fixture.done()


@pytest.mark.parametrize("name", ["metrics_deg_resnetface18"])
@torch.inference_mode()
def test_parity_deg(name: str) -> None:
    fixture = fixture_of(name)
    net = ResNetFace18()
    fixture.fill(net, "net")
    with mid_module(fixture, net):
        one = net(fixture.picture(1, 128, 128))
    two = net(fixture.picture(1, 128, 128, 0.35))
    fixture.check("embedding_a", one)
    fixture.check("embedding_b", two)
    fixture.check("cosine", identity.cosine_similarity(one, two))
    fixture.check("deg", torch.tensor([identity.deg(one, two).mean]))
    fixture.done()


def levels(fixture: Full, height: int, width: int, phase: float = 0.0) -> Tensor:
    """The fixtures' pictures of 8 bit as RGB in [0, 1]; channel c of the formula is channel c of BGR."""
    return ((fixture.picture(3, height, width, phase) * 0.5 + 0.5) * 255).floor().flip(1) / 255


@pytest.mark.parametrize("name", ["metrics_lmd_fan4"])
@torch.inference_mode()
def test_parity_fan(name: str) -> None:
    fixture = fixture_of(name)
    net = FAN()
    fixture.fill(net, "fan")
    with mid_module(fixture, net):
        heatmaps = net(fixture.picture(3, 256, 256) * 0.5 + 0.5)
    fixture.check("heatmap_last", heatmaps[-1])
    fixture.check("heatmap_first", heatmaps[0])

    example = fixture.noise(21, 1, 98, 64, 64)
    example[:, :, [0, -1]] = -9
    example[:, :, :, [0, -1]] = -9
    fixture.check("decode_example", decode(example)[0], floor=0.0)

    found = []
    for number, phase in ((1, 0.0), (2, 0.2)):
        picture = levels(fixture, 300, 260, phase)
        small = cv2.resize((picture[0] * 255).round().byte().permute(1, 2, 0).numpy(), (256, 256))
        by_opencv = torch.from_numpy(small).permute(2, 0, 1)[None] / 255
        assert float((fan_input(picture) - by_opencv).abs().max()) * 255 <= 1.01  # OpenCV rounds its weights
        points = decode(net(by_opencv)[-1][:, :-1]) * torch.tensor([260 / 64, 300 / 64])
        fixture.check(f"landmarks_{number}", points[0], floor=0.0)
        # With our own resizing one level here or there is another; of random weights, that moves a peak in a hundred.
        moved = (find_landmarks(net, picture) - points).abs().amax(-1) > 0
        assert int(moved.sum()) <= 2
        found.append(points)
    fixture.check("lmd", landmark_distance(*found))
    fixture.done()


@pytest.mark.parametrize("name", ["metrics_psnr_ssim"])
def test_parity_psnr_ssim(name: str) -> None:
    fixture = fixture_of(name)
    a = levels(fixture, 64, 72) * 255
    b = a.permute(0, 2, 3, 1).flip(-1) + 12 * fixture.noise(31, 64, 72, 3)
    b = b.clamp(0, 255).floor().flip(-1).permute(0, 3, 1, 2)
    a, b = a.double() / 255, b.double() / 255
    tensors = [metric(a, b, crop=crop) for crop in (0, 4) for metric in (fidelity.psnr, fidelity.ssim)]
    fixture.check("rgb_psnr_ssim_crop0_crop4", torch.cat(tensors), floor=1e-7)
    luma = [metric(a, b, y_channel=True) for metric in (fidelity.psnr, fidelity.ssim)]
    fixture.check("y_psnr_ssim_crop0", torch.cat(luma), floor=1e-7)
    one, two = (x[0].permute(1, 2, 0).numpy() for x in (a, b))
    pairs = (one, two), (one[4:-4, 4:-4], two[4:-4, 4:-4])
    arrays = [metric(*pair) for pair in pairs for metric in (functional.psnr, functional.ssim)]
    fixture.check("rgb_psnr_ssim_crop0_crop4", torch.tensor(arrays), floor=1e-7)
    fixture.done()
