"""VQFR, both versions: the option, batches, telling them apart, and reading released files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from likeness.methods import OptionError, vqfr
from likeness.methods.vqfr.restorer import METHOD
from likeness.methods.vqfr.v1 import V1Config, VQFRv1, read_v1
from likeness.methods.vqfr.v2 import V2Config, VQFRv2, read_v2
from parity_fixture import fill

SMALL_1 = V1Config(widths=(32, 32, 64), encoder_blocks=1, decoder_blocks=2, codes=40, code_dim=16, guide=8, groups=2)
SMALL_2 = V2Config(widths=(32, 32, 64), encoder_blocks=1, decoder_blocks=2, codes=40, code_dim=32, guide=8, groups=2)


def filled(net: nn.Module) -> nn.Module:
    net.load_state_dict({key: fill(key, list(v.shape), 1.0, []) for key, v in net.state_dict().items()})
    return net.eval()


@pytest.fixture(scope="module")
def nets() -> dict[str, nn.Module]:
    return {"v1": filled(VQFRv1(SMALL_1)), "v2": filled(VQFRv2(SMALL_2))}


@pytest.fixture(scope="module")
def photos() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(2, 3, 32, 24) * 2 - 1


def run(net: nn.Module, x: Tensor, seed: int = 0, **options: float) -> Tensor:
    with torch.inference_mode():
        return METHOD.run(net, x, vqfr.CARD.choose(options), seed)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("fidelity", [0, 1])
def test_a_batch_gives_what_each_picture_gives_alone(
    version: str, fidelity: float, nets: dict[str, nn.Module], photos: Tensor
) -> None:
    net = nets[version]
    together = run(net, photos, fidelity=fidelity)
    for index in range(2):
        alone = run(net, photos[index : index + 1], fidelity=fidelity)
        torch.testing.assert_close(together[index : index + 1], alone, rtol=0, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 0.1
    assert torch.equal(together, run(net, photos, seed=3, fidelity=fidelity))
    with torch.autocast("cpu", torch.bfloat16):
        assert run(net, photos, fidelity=fidelity).isfinite().all()


def test_version_2_mixes_in_the_photograph(nets: dict[str, nn.Module], photos: Tensor) -> None:
    net = nets["v2"]
    none, half, whole = (run(net, photos, fidelity=f) for f in (0, 0.5, 1))
    assert torch.equal(none, run(net, photos))  # the default
    assert (half - none).abs().max() > 1e-2
    assert (whole - half).abs().max() > 1e-2
    torch.testing.assert_close(none, run(net, photos, fidelity=1e-6), rtol=0, atol=1e-4)


def test_without_fidelity_only_the_codes_of_the_photograph_count(nets: dict[str, nn.Module], photos: Tensor) -> None:
    net = nets["v2"]
    assert isinstance(net, VQFRv2)
    ran = []
    handle = net.main_branch.register_forward_hook(lambda *_: ran.append(1))
    run(net, photos, fidelity=0)
    assert not ran
    run(net, photos, fidelity=0.1)
    handle.remove()
    assert ran


def test_version_1_ignores_the_fidelity(nets: dict[str, nn.Module], photos: Tensor) -> None:
    assert torch.equal(run(nets["v1"], photos, fidelity=0), run(nets["v1"], photos, fidelity=1))


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_fidelity_out_of_range_is_refused(value: float) -> None:
    with pytest.raises(OptionError):
        vqfr.CARD.choose({"fidelity": value})


def test_tells_the_versions_apart(nets: dict[str, nn.Module]) -> None:
    first, second = (METHOD.recognise(nets[version].state_dict()) for version in ("v1", "v2"))
    assert isinstance(first, VQFRv1)
    assert isinstance(second, VQFRv2)
    assert (first.config, second.config) == (SMALL_1, SMALL_2)
    assert METHOD.recognise({}) is None
    assert METHOD.recognise({"inpfeat_extraction.weight": torch.zeros(8, 3, 3, 3)}) is None


def test_the_released_sizes_are_recognised() -> None:
    with torch.device("meta"):
        nets = vqfr.networks()
    assert read_v1(nets["v1"].state_dict()) == V1Config()
    assert read_v2(nets["v2"].state_dict()) == V2Config()


def test_unpacks_the_released_nesting_without_training_counters() -> None:
    tensors = {"quantizer.embedding.weight": torch.ones(2), "encoder.bias": torch.ones(3)}
    counters = {"quantizer.usage": torch.zeros(2), "quantizer.quantize_dict.Level_32.reservoir": torch.zeros(2)}
    for held in (
        {"params_ema": {**tensors, **counters}, "params": {}}, {"params": {**tensors, "iter": 3}}, {**tensors, "x": 1},
        {"params": 1, **tensors},
    ):  # fmt: skip
        assert dict(METHOD.unpack(held)) == tensors


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_loads_a_released_file(version: str, nets: dict[str, nn.Module], photos: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "released.pth"
    torch.save({"params": nets[version].state_dict()}, path)
    restorer = vqfr.load(torch.device("cpu"), torch.float32, path)
    assert type(restorer.net) is type(nets[version])
    assert restorer.card is vqfr.CARD
    assert torch.equal(run(restorer.net, photos, fidelity=1), run(nets[version], photos, fidelity=1))
