"""CodeFormer: options, batches, gray photographs, and reading released files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from likeness.methods import OptionError, codeformer
from likeness.methods.codeformer.network import CodeFormerNet, NetworkConfig, match_statistics
from likeness.methods.codeformer.restorer import METHOD, is_gray, read_config
from parity_fixture import fill

SMALL = NetworkConfig(
    widths=(32, 64, 64), codes=40, code_dim=32, tokens=16, dim=64, heads=1, layers=2, feedforward=96, fused=(8,)
)
DEFAULTS = codeformer.CARD.choose({})


def filled(net: nn.Module) -> nn.Module:
    net.load_state_dict({key: fill(key, list(v.shape), 1.0, []) for key, v in net.state_dict().items()})
    return net.eval()


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return filled(CodeFormerNet(SMALL))


@pytest.fixture(scope="module")
def photos() -> Tensor:
    """A coloured and a gray picture."""
    torch.manual_seed(1)
    x = torch.rand(2, 3, SMALL.size, SMALL.size) * 2 - 1
    x[1] = x[1, :1] * torch.ones(3, 1, 1)
    return x


def run(net: nn.Module, x: Tensor, seed: int = 0, **options: float) -> Tensor:
    with torch.inference_mode():
        return METHOD.run(net, x, codeformer.CARD.choose(options), seed)


def test_a_batch_gives_what_each_picture_gives_alone(net: nn.Module, photos: Tensor) -> None:
    together = run(net, photos)
    for index in range(2):
        torch.testing.assert_close(together[index : index + 1], run(net, photos[index : index + 1]), rtol=0, atol=2e-5)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_there_is_no_chance_in_it(net: nn.Module, photos: Tensor) -> None:
    assert torch.equal(run(net, photos, seed=1), run(net, photos, seed=1))
    assert torch.equal(run(net, photos, seed=1), run(net, photos, seed=2))
    assert not codeformer.CARD.stochastic


def test_fidelity_mixes_in_the_photograph(net: nn.Module, photos: Tensor) -> None:
    x = photos[:1]
    none, half, whole = (run(net, x, fidelity=w) for w in (0, 0.5, 1))
    assert torch.equal(half, run(net, x))  # the default
    assert (half - none).abs().max() > 1e-2
    assert (whole - half).abs().max() > 1e-2
    almost = run(net, x, fidelity=1e-6)  # what fusing nothing should be the limit of
    torch.testing.assert_close(none, almost, rtol=0, atol=1e-4)


def test_adain_can_be_left_out(net: nn.Module, photos: Tensor) -> None:
    with_it, without = run(net, photos, adain=1), run(net, photos, adain=0)
    assert torch.equal(with_it, run(net, photos))
    assert (with_it - without).abs().max() > 1e-2


@pytest.mark.parametrize("options", [{"fidelity": 1.1}, {"fidelity": -0.1}, {"adain": 2}, {"steps": 3}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        codeformer.CARD.choose(options)


def test_statistics_are_taken_over() -> None:
    torch.manual_seed(0)
    content, style = torch.randn(2, 3, 8, 8) * 2 + 1, torch.randn(2, 3, 8, 8) * 5 - 2
    got = match_statistics(content, style)
    torch.testing.assert_close(got.mean((2, 3)), style.mean((2, 3)))
    torch.testing.assert_close(got.std((2, 3)), style.std((2, 3)), rtol=1e-4, atol=0)


def test_a_gray_photograph_gives_a_gray_face_of_its_tone(net: nn.Module, photos: Tensor) -> None:
    assert is_gray(photos).tolist() == [False, True]
    sepia = photos[1:] * 0.5 + torch.tensor([0.2, 0.1, 0.0]).view(1, 3, 1, 1)
    assert is_gray(sepia).all()
    face = run(net, sepia)
    torch.testing.assert_close(face.mean((2, 3)), sepia.mean((2, 3)), rtol=0, atol=1e-4)
    torch.testing.assert_close(face.std((2, 3)), sepia.std((2, 3)), rtol=1e-3, atol=0)
    assert (face[:, 0] - face[:, 1]).std() < 1e-4
    plain = net(photos[:1], 0.5, True)
    assert torch.equal(run(net, photos[:1]), plain)
    assert (plain[:, 0] - plain[:, 1]).std() > 0.1


def test_it_runs_under_autocast(net: nn.Module, photos: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        out = run(net, photos)
    assert out.shape == photos.shape
    assert out.isfinite().all()


def test_recognises_its_own_tensors(net: nn.Module) -> None:
    assert read_config(net.state_dict()) == SMALL
    with torch.device("meta"):
        released = codeformer.networks()["net"]
    assert read_config(released.state_dict()) == NetworkConfig()
    assert METHOD.recognise({}) is None
    assert METHOD.recognise({key: v for key, v in net.state_dict().items() if key != "position_emb"}) is None


def test_unpacks_the_released_nesting() -> None:
    tensors = {"a.weight": torch.ones(2)}
    for held in ({"params_ema": {**tensors, "note": 3}}, {**tensors, "step": 3}, {"params_ema": 4, **tensors}):
        assert dict(METHOD.unpack(held)) == tensors


def test_loads_a_released_file(net: nn.Module, photos: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "codeformer.pth"
    torch.save({"params_ema": net.state_dict()}, path)
    restorer = codeformer.load(torch.device("cpu"), torch.float32, path)
    assert restorer.card is codeformer.CARD
    assert torch.equal(run(restorer.net, photos), run(net, photos))
    assert codeformer.method() is METHOD
