"""GFPGAN at a small size: reading files, telling the releases apart, noise, batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_stylegan import SMALL, assert_same, awake, faces
from torch import Tensor

from likeness.methods.card import OptionError
from likeness.methods.gfpgan import CARD, load, method
from likeness.methods.gfpgan.clean import GFPGANClean
from likeness.methods.gfpgan.network import GFPGAN
from likeness.methods.gfpgan.original import GFPGANOriginal
from likeness.methods.gfpgan.run import recognise, run, unpack
from likeness.methods.one_pass import OnePassRestorer
from likeness.weights.load import WeightsError

CPU = torch.device("cpu")
DRAWN, STORED = {"randomize_noise": 1}, {"randomize_noise": 0}
RELEASES = [GFPGANClean, GFPGANOriginal]


@pytest.fixture(scope="module", params=RELEASES, ids=["clean", "original"])
def net(request: pytest.FixtureRequest) -> GFPGAN:
    return awake(request.param(**SMALL))  # type: ignore[return-value]


@torch.inference_mode()
def test_a_batch_gives_what_single_runs_give(net: GFPGAN) -> None:
    x = faces(2, 64)
    for options in (DRAWN, STORED):
        both = run(net, x, options, 7)
        assert both.shape == x.shape
        assert both.std() > 0.01
        for i in range(2):
            assert_same(both[i : i + 1], run(net, x[i : i + 1], options, 7))
        assert (both[0] - both[1]).abs().max() > 0.1 * both.std()  # the face matters


@torch.inference_mode()
def test_the_seed_draws_the_noise_unless_it_is_stored(net: GFPGAN) -> None:
    x = faces(1, 64)
    assert torch.equal(run(net, x, DRAWN, 1), run(net, x, DRAWN, 1))
    assert (run(net, x, DRAWN, 1) - run(net, x, DRAWN, 2)).abs().max() > 0.01
    assert torch.equal(run(net, x, STORED, 1), run(net, x, STORED, 2))
    assert_same(run(net, x, STORED, 1), net(x))


@torch.inference_mode()
def test_crops_of_another_size_come_back_in_theirs(net: GFPGAN) -> None:
    assert run(net, faces(1, 512), STORED, 0).shape == (1, 3, 512, 512)


@torch.inference_mode()
def test_half_precision_stays_close(net: GFPGAN) -> None:
    x = faces(1, 64)
    with torch.autocast("cpu", torch.bfloat16):
        got = run(net, x, STORED, 0)
    wanted = run(net, x, STORED, 0)
    assert got.dtype == torch.float32
    assert (got - wanted).abs().mean() < 0.1 * wanted.std()


@pytest.mark.parametrize("build", RELEASES)
@pytest.mark.parametrize(("size", "multiplier", "narrow"), [(64, 2, 1 / 32), (128, 1, 1 / 16), (32, 2, 1 / 32)])
def test_recognise_reads_the_configuration(build: type[GFPGAN], size: int, multiplier: int, narrow: float) -> None:
    made = build(size=size, style_dim=8, multiplier=multiplier, narrow=narrow, mlp_layers=3)  # type: ignore[call-arg]
    found = recognise(made.state_dict())
    assert type(found) is build
    assert shapes(found.state_dict()) == shapes(made.state_dict())


def test_recognise_leaves_other_methods_alone() -> None:
    state = GFPGANClean(**SMALL).state_dict()
    assert recognise({}) is None
    assert recognise({"ecd0.0.0.weight": torch.zeros(1), "final_linear.weight": torch.zeros(1, 1)}) is None
    assert recognise({k: v for k, v in state.items() if k.startswith("stylegan_decoder.")}) is None
    assert recognise({k: v for k, v in state.items() if not k.startswith("stylegan_decoder.")}) is None
    assert recognise({k: v for k, v in state.items() if not k.startswith("toRGB.")}) is None


@pytest.mark.parametrize("nest", ["params_ema", "params", None])
def test_unpack(nest: str | None) -> None:
    inner = {"a": torch.ones(1), "step": 3}
    checkpoint = inner if nest is None else {nest: inner, "b": torch.ones(2)}
    assert list(unpack(checkpoint)) == ["a"]
    assert unpack({"params": {"a": torch.ones(1)}, "params_ema": {"a": torch.zeros(1)}})["a"] == 0


@pytest.mark.parametrize("build", RELEASES)
def test_load_a_file_as_released(tmp_path: Path, build: type[GFPGAN]) -> None:
    made = awake(build(**SMALL))  # type: ignore[call-arg]
    torch.save({"params_ema": made.state_dict()}, tmp_path / "w.pth")
    restorer = load(CPU, torch.float32, tmp_path / "w.pth")
    assert all(torch.equal(v, made.state_dict()[k]) for k, v in restorer.net.state_dict().items())
    broken = made.state_dict()
    del broken["stylegan_decoder.style_conv1.modulated_conv.modulation.weight"]
    torch.save({"params_ema": broken}, tmp_path / "broken.pth")
    with pytest.raises(WeightsError, match=r"missing stylegan_decoder\.style_conv1"):
        load(CPU, torch.float32, tmp_path / "broken.pth")


def test_restorer(net: GFPGAN) -> None:
    restorer = OnePassRestorer(method(), net, CPU, torch.float32, "")
    crops = faces(1, 512) / 2 + 0.5
    drawn, stored = restorer.restore(crops, randomize_noise=1), restorer.restore(crops, randomize_noise=0)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert not torch.equal(drawn, stored)
    assert torch.equal(drawn, restorer.restore(crops))  # fresh noise is the default, as the authors have it
    with pytest.raises(OptionError, match="randomize_noise must be in"):
        restorer.restore(crops, randomize_noise=2)
    assert CARD.stochastic


def shapes(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}
