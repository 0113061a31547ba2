"""Building blocks: shapes, what conditions them, and dlib's network against dlib itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from likeness.faces.models import RECOGNITION, model_path
from likeness.nets.discriminator import DETAIL_GAIN, PatchDiscriminator, detail
from likeness.nets.dlib_resnet import DlibResNet
from likeness.nets.embedding import NoiseLevelEmbedding
from likeness.weights.dlib_format import read_layers


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


# Noise level


def test_noise_level_embedding() -> None:
    embed = NoiseLevelEmbedding(40)
    levels = torch.tensor([0.0, 0.01, 0.5, 0.99, 1.0])
    out = embed(levels)
    assert out.shape == (5, 40)
    assert out.dtype == torch.float32
    assert torch.pdist(out).min() > 1e-3  # levels are told apart
    assert torch.allclose(embed(torch.tensor([-1.0, 2.0])), out[[0, 4]], atol=1e-6)  # clamped
    assert set(embed.state_dict()) == {"mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias"}
    assert (embed(torch.tensor([0.5, 0.50001])).diff(dim=0).norm() < 0.05 * torch.pdist(out).max()).item()  # smooth


# Discriminator


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 48)])
def test_discriminator_shapes(height: int, width: int) -> None:
    net = PatchDiscriminator(width=8)
    image, condition = torch.randn(2, 2, 3, height, width)
    logits, features = net(image, condition)
    assert logits.shape == (2, 1, height // 16, width // 16)
    assert [tuple(f.shape) for f in features] == [
        (2, 16, height // 4, width // 4),
        (2, 32, height // 8, width // 8),
        (2, 32, height // 16, width // 16),
        (2, 32, height // 16, width // 16),
    ]


def test_discriminator_looks_at_both_pictures() -> None:
    net = PatchDiscriminator(width=8).eval()
    a, b = torch.randn(1, 3, 64, 64), torch.randn(1, 3, 64, 64)
    assert not torch.allclose(net(a, b)[0], net(b, a)[0])
    assert not torch.allclose(net(a, b)[0], net(a, torch.zeros_like(b))[0])


def test_a_fresh_discriminator_is_undecided_and_its_signal_lives() -> None:
    """Features keep their size from layer to layer, logits are small beside the hinge's margin of one."""
    logits, features = PatchDiscriminator(width=16)(*(torch.rand(2, 2, 3, 64, 64) * 2 - 1))
    sizes = [f.square().mean().sqrt().item() for f in features]
    assert all(0.3 < later / former < 3 for former, later in pairwise(sizes))
    assert logits.abs().mean() < 0.5 * sizes[-1]


def test_detail_is_what_a_9x9_average_leaves() -> None:
    flat = torch.full((1, 3, 32, 32), 0.7)
    assert detail(flat).abs().max() < 1e-5  # at the border too
    impulse = torch.zeros(1, 3, 32, 32)
    impulse[..., 16, 16] = 1.0
    out = detail(impulse) / DETAIL_GAIN
    assert out[0, 0, 16, 16].item() == pytest.approx(1 - 1 / 81)
    assert out[0, 0, 12, 20].item() == pytest.approx(-1 / 81)
    assert out[0, 0, 11, 16].item() == 0.0


# dlib's recognition network


Layers = list[tuple[str, np.ndarray]]


@pytest.fixture(scope="module")
def dlib_layers() -> Layers:
    return read_layers(model_path(RECOGNITION))


@pytest.fixture(scope="module")
def network(dlib_layers: Layers) -> DlibResNet:
    net = DlibResNet()
    net.load_layers(dlib_layers)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def chips() -> np.ndarray:
    """(2, 150, 150, 3) uint8: the astronaut's face, and itself mirrored, blurred and dark."""
    data = pytest.importorskip("skimage.data", reason="needs scikit-image for its portrait photograph")
    chip = cv2.resize(data.astronaut()[30:200, 140:310], (150, 150), interpolation=cv2.INTER_AREA)
    other = (cv2.GaussianBlur(chip[:, ::-1], (0, 0), 2) * 0.6).astype(np.uint8)
    return np.stack([chip, other])


def as_batch(chips: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(chips.transpose(0, 3, 1, 2).astype(np.float32) / 255)


def test_dlib_network_agrees_with_dlib(network: DlibResNet, chips: np.ndarray) -> None:
    dlib = pytest.importorskip("dlib")
    theirs = dlib.face_recognition_model_v1(str(model_path(RECOGNITION)))
    want = np.asarray(theirs.compute_face_descriptor(list(chips)))
    got = network(as_batch(chips)).numpy()
    assert got.shape == (2, 128)
    assert np.linalg.norm(want[0] - want[1]) > 0.1  # the comparison says something
    assert np.abs(got - want).max() < 2e-5


def test_dlib_network_features(network: DlibResNet, chips: np.ndarray) -> None:
    features = network.features(as_batch(chips))
    assert [f.shape[1] for f in features] == [32, 64, 128, 256, 256, 128]
    assert torch.equal(features[-1], network(as_batch(chips)))


def test_gradients_flow_to_the_chip(network: DlibResNet, chips: np.ndarray) -> None:
    """And tell the truth: a small step against the gradient shortens the distance as it foretells."""
    batch = as_batch(chips)
    wanted = network(batch[1:])
    chip = batch[:1].clone().requires_grad_(True)
    loss = (network(chip) - wanted).square().sum()
    loss.backward()
    assert chip.grad is not None
    assert torch.isfinite(chip.grad).all()
    assert (chip.grad != 0).float().mean() > 0.5
    with torch.no_grad():
        size = 1e-3 / chip.grad.norm()
        moved = (network(chip - size * chip.grad) - wanted).square().sum()
        foretold = size * chip.grad.square().sum()
    assert (loss.detach() - moved).item() == pytest.approx(foretold.item(), rel=0.1)


@pytest.mark.parametrize("change", ["fewer", "other order", "short tensor", "long tensor"])
def test_layers_that_do_not_fit_are_refused(change: str, dlib_layers: Layers) -> None:
    layers = list(dlib_layers)
    if change == "fewer":
        layers = layers[:-1]
    elif change == "other order":
        layers[0], layers[1] = layers[1], layers[0]
    else:
        kind, values = layers[4]
        layers[4] = kind, values[:-7] if change == "short tensor" else np.append(values, values[:7])
    with pytest.raises(ValueError, match=r"network|layer"):
        DlibResNet().load_layers(layers)
