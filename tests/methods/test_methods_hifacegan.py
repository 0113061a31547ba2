"""HiFaceGAN on small networks: which statistics it uses, its spectral norms, and loading."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from likeness.methods import OptionError, hifacegan
from likeness.methods.hifacegan.network import HiFaceGAN, LocalImportancePool
from likeness.nets.picture_norm import PictureNorm
from likeness.nets.spectral import fold_spectral_norm, power_iteration, spectral_conv
from likeness.weights.load import WeightsError


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def small_net(width: int = 4, steps: int = 10) -> HiFaceGAN:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = HiFaceGAN(width)
        for name, parameter in net.named_parameters():
            if "mlp_" in name and parameter.ndim == 4:
                nn.init.normal_(parameter, std=1.5 / parameter[0].numel() ** 0.5)
        power_iteration(net, steps)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def net() -> HiFaceGAN:
    return small_net()


def test_keys_are_those_of_the_release() -> None:
    state = hifacegan.networks()["net"].state_dict()
    lines = sorted(f"{k} {list(v.shape)} {str(v.dtype).removeprefix('torch.')}" for k, v in state.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == "f03c4a8b9aa3a30d"


def test_faces_of_a_batch_do_not_mix(net: HiFaceGAN) -> None:
    run, x = hifacegan.method().run, rand(2, 3, 64, 64) * torch.tensor([1.0, 0.3]).view(2, 1, 1, 1)
    both = run(net, x, {}, 0)
    assert both.shape == (2, 3, 64, 64)
    assert both.abs().max() <= 1
    assert (both[0] - both[1]).abs().max() > 1e-2
    for i in range(2):
        assert torch.allclose(run(net, x[i : i + 1], {}, 0)[0], both[i], atol=1e-4)
    assert torch.equal(run(net, x, {}, 0), both)
    assert torch.equal(run(net, x, {}, 7), both)  # nothing is drawn


def test_running_statistics_neither_matter_nor_move() -> None:
    net, x = small_net(), rand(1, 3, 64, 64)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    out = net(x)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    norms = [m for m in net.modules() if isinstance(m, PictureNorm)]
    for norm in norms:
        norm.running_mean += 1
    assert torch.equal(net(x), out)
    for norm in norms:
        norm.own_statistics = False
    assert (net(x) - out).abs().max() > 1e-2


@pytest.mark.parametrize("affine", [True, False])
def test_picture_norm_is_a_batch_norm_in_training_or_in_evaluation(affine: bool) -> None:
    norm, usual, x = PictureNorm(3, affine=affine), nn.BatchNorm2d(3, affine=affine), 2 * rand(1, 3, 5, 7) + 1
    norm.running_mean += 0.3
    if affine:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    usual.load_state_dict(norm.state_dict())
    assert torch.allclose(norm(x), usual.train()(x), atol=1e-5)
    usual.load_state_dict(norm.state_dict())  # the call in training moved them
    norm.own_statistics = False
    assert torch.allclose(norm(x), usual.eval()(x), atol=1e-5)


@pytest.mark.parametrize("size", [1, 3])
def test_folding_with_a_power_step_is_the_first_call_in_training(size: int) -> None:
    conv, x = spectral_conv(3, 5, size), rand(1, 3, 8, 8)
    stored = conv.state_dict()
    stored = {key: value.clone() for key, value in stored.items()}
    evaluated = conv.eval()(x)
    trained = conv.train()(x)
    assert (trained - evaluated).abs().max() > 1e-3
    for steps, wanted in ((0, evaluated), (1, trained)):
        other = spectral_conv(3, 5, size)
        other.load_state_dict(stored)
        power_iteration(other, steps)
        for _ in range(2):  # the second time there is nothing left to fold
            fold_spectral_norm(other)
        assert set(other.state_dict()) == {"weight", "bias"}
        assert torch.allclose(other(x), wanted, atol=1e-6)


def test_pooling_weights_do_not_overflow() -> None:
    pool = LocalImportancePool(4)
    norm = pool.logit[1]
    assert isinstance(norm, nn.InstanceNorm2d)
    nn.init.constant_(norm.bias, 20.0)  # the gate is fully open: exp(12) is more than float16 holds
    out = pool.half()(rand(1, 4, 8, 8).half())
    assert out.dtype == torch.float16
    assert out.isfinite().all()


def test_recognise_reads_the_width() -> None:
    recognise = hifacegan.method().recognise
    given = HiFaceGAN(3).state_dict()
    net = recognise(given)
    assert isinstance(net, HiFaceGAN)
    assert {k: v.shape for k, v in net.state_dict().items()} == {k: v.shape for k, v in given.items()}
    assert recognise({"fc.weight": torch.zeros(16, 3, 3, 3)}) is None
    assert recognise({}) is None


def test_unpack_keeps_tensors_only() -> None:
    unpack, tensor = hifacegan.method().unpack, torch.zeros(2)
    assert unpack({"a": tensor, "epoch": 15}) == {"a": tensor}


def test_load_takes_the_power_step(tmp_path: Path) -> None:
    net, path = small_net(2, steps=1), tmp_path / "latest_net_G.pth"
    torch.save(net.state_dict(), path)
    loaded = hifacegan.load(torch.device("cpu"), torch.float32, path)
    with pytest.raises(OptionError, match="hifacegan has no option fidelity"):
        loaded.restore(torch.zeros(1, 3, 512, 512), fidelity=0.5)
    crops = (rand(1, 3, 512, 512) + 1) / 2
    got = loaded.restore(crops)
    with torch.inference_mode():
        without = net(crops * 2 - 1)
        power_iteration(net)
        wanted = net(crops * 2 - 1)
    assert torch.allclose(got, (wanted + 1) / 2, atol=1e-3)
    assert (without - wanted).abs().max() > 1e-2
    assert torch.equal(loaded.restore(crops), got)  # and no further one


def test_load_refuses_another_file(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(16, 3, 3, 3)}, path)
    with pytest.raises(WeightsError, match="holds no weights of hifacegan"):
        hifacegan.load(torch.device("cpu"), torch.float32, path)
