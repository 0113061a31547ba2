"""The registry of methods, their cards and options, and the built-in network and restorer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likeness import methods
from likeness.diffusion.ancestral import seeded_noise
from likeness.methods import MethodCard, Option, OptionError
from likeness.methods.likeness.network import LikenessNet, NetworkConfig, whole_frame
from likeness.methods.likeness.restorer import SHARP_GAMMA, LikenessRestorer
from likeness.weights.load import save_half

SMALL = NetworkConfig(widths=(16, 24, 32, 48), depths=(1, 1, 1, 1))
KEYS = Path(__file__).parent / "likeness_net_keys.json"


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def awake() -> LikenessNet:
    """A small net in which every zero-initialised layer does something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = LikenessNet(SMALL)
        for parameter in net.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.05)
    return net.eval().requires_grad_(False)


# Cards and options


def card(*options: Option) -> MethodCard:
    return MethodCard("m", "M", "paper", "licence", "one pass", False, options)


STEPS, WEIGHT = Option("steps", 2, 1, 50, "how often"), Option("weight", 0.5, 0.0, 1.0, "how much")


def test_choose_fills_in_defaults() -> None:
    assert card(STEPS, WEIGHT).choose({}) == {"steps": 2, "weight": 0.5}
    assert card(STEPS, WEIGHT).choose({"steps": 7, "weight": None}) == {"steps": 7, "weight": 0.5}
    chosen = card(STEPS, WEIGHT).choose({"steps": 4.0, "weight": 1})
    assert [(type(v), v) for v in chosen.values()] == [(int, 4), (float, 1.0)]
    assert card().choose({"steps": None}) == {}  # a command line passes on what was not given


def test_choose_names_an_unknown_option_and_the_known() -> None:
    with pytest.raises(OptionError, match=r"method m has no option fidelity \(its options: steps, weight\)"):
        card(STEPS, WEIGHT).choose({"fidelity": 0.5})
    with pytest.raises(OptionError, match="its options: none"):
        card().choose({"steps": 1})


@pytest.mark.parametrize("value", [0, 51, -1, 2.5, float("nan"), float("inf"), -float("inf"), "many", "3", [], 10**30])
def test_check_refuses_with_the_value_and_the_name(value: Any) -> None:
    with pytest.raises(OptionError, match=r"^steps must be (in \[1, 50\]|a number)") as caught:
        STEPS.check(value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf"), "half"])
def test_check_refuses_fractions_out_of_range(value: Any) -> None:
    with pytest.raises(OptionError, match="weight must be"):
        WEIGHT.check(value)


@pytest.mark.parametrize("value", [1, 50])
def test_the_range_is_closed(value: int) -> None:
    assert STEPS.check(value) == value


# The registry


def test_unknown_method_names_the_choices() -> None:
    for call in (methods.card, methods.load, methods.networks):
        with pytest.raises(OptionError, match=r"unknown method 'gfpgam'; choose from likeness"):
            call("gfpgam")


@pytest.mark.parametrize("name", methods.METHODS)
def test_every_method_has_a_card_of_its_name(name: str) -> None:
    its = methods.card(name)
    assert its.name == name
    assert its.licence
    assert its.paper
    assert its.choose({}) == {o.name: o.check(o.default) for o in its.options}


def test_keys_and_shapes_of_the_built_in_net_are_frozen() -> None:
    """Released weights must load: a change here needs a converter and a new file of keys."""
    nets = methods.networks("likeness")
    assert list(nets) == ["net"]
    state = {key: list(value.shape) for key, value in nets["net"].state_dict().items()}
    assert state == json.loads(KEYS.read_text(encoding="utf-8"))


# The network


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (32, 128)])
def test_a_fresh_net_returns_the_degraded_picture(height: int, width: int) -> None:
    net = LikenessNet(SMALL).eval()
    degraded = rand(2, 3, height, width)
    with torch.no_grad():
        out = net(degraded, rand(2, 3, height, width, seed=1), torch.tensor([0.0, 0.7]))
    assert torch.equal(out, degraded)


def test_the_full_net_returns_the_degraded_picture() -> None:
    degraded = rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(LikenessNet().eval()(degraded, degraded, torch.tensor([0.5])), degraded)


def test_output_shape_of_a_whole_face(awake: LikenessNet) -> None:
    out = awake(rand(1, 3, 512, 512), torch.zeros(1, 3, 512, 512), torch.zeros(1))
    assert out.shape == (1, 3, 512, 512)
    assert out.dtype == torch.float32


def test_every_input_matters(awake: LikenessNet) -> None:
    degraded, state, gamma, place = (
        rand(1, 3, 64, 64),
        rand(1, 3, 64, 64, seed=1),
        torch.tensor([0.5]),
        whole_frame(16, 16),
    )
    out = awake(degraded, state, gamma, place)
    assert torch.equal(out, awake(degraded, state, gamma))  # the default place is the whole frame
    for changed in (
        awake(degraded, -state, gamma, place),
        awake(degraded, state, torch.tensor([0.1]), place),
        awake(degraded, state, gamma, place / 2),
    ):
        assert (changed - out).abs().max() > 1e-4
    residue = awake(-degraded, state, gamma, place) + degraded
    assert (residue - (out - degraded)).abs().max() > 1e-4


def test_rows_of_a_batch_do_not_mix(awake: LikenessNet) -> None:
    degraded, state, gamma = rand(3, 3, 64, 64), rand(3, 3, 64, 64, seed=1), torch.tensor([0.0, 0.5, 0.9])
    whole = awake(degraded, state, gamma)
    for i in range(3):
        assert torch.allclose(awake(degraded[i : i + 1], state[i : i + 1], gamma[i : i + 1])[0], whole[i], atol=1e-5)


def test_whole_frame_has_cell_centres() -> None:
    place = whole_frame(4, 8)
    assert place.shape == (1, 2, 4, 8)
    assert place[0, 0, 0].tolist() == [-0.875 + 0.25 * i for i in range(8)]
    assert place[0, 1, :, 3].tolist() == [-0.75, -0.25, 0.25, 0.75]


# The restorer


def restorer(net: nn.Module) -> LikenessRestorer:
    return LikenessRestorer(net, torch.device("cpu"), torch.float32, "abc")


def test_restore_follows_the_chain(awake: LikenessNet) -> None:
    """One step is the net's answer to nothing; two go on from there at the sharp level."""
    crops = (rand(2, 3, 64, 64) + 1) / 2
    degraded, zero = crops * 2 - 1, torch.zeros(2, 3, 64, 64)
    mean = awake(degraded, zero, torch.zeros(2)).clamp(-1, 1)
    got = restorer(awake).restore(crops, seed=3, steps=1)
    assert torch.allclose(got, (mean + 1) / 2, atol=1e-5)
    draw = seeded_noise((3, 64, 64), [3, 3])
    draw()
    x_s = SHARP_GAMMA**0.5 * mean + (1 - SHARP_GAMMA) ** 0.5 * draw()
    sharp = awake(degraded, SHARP_GAMMA**0.5 * x_s, torch.full((2,), SHARP_GAMMA)).clamp(-1, 1)
    assert torch.allclose(restorer(awake).restore(crops, seed=3, steps=2), (sharp + 1) / 2, atol=1e-5)


def test_same_seed_same_pixels_whatever_the_batch(awake: LikenessNet) -> None:
    crops = (rand(3, 3, 64, 64) + 1) / 2
    given = crops.clone()
    whole = restorer(awake).restore(crops, seed=5)
    assert torch.equal(crops, given)
    assert whole.shape == crops.shape
    assert whole.dtype == torch.float32
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert torch.allclose(restorer(awake).restore(crops[1:2], seed=5), whole[1:2], atol=1e-5)
    assert torch.equal(restorer(awake).restore(crops, seed=5), whole)
    assert not torch.allclose(restorer(awake).restore(crops, seed=6), whole, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 60, 64), (1, 3, 64, 65)])
def test_other_shapes_are_refused(awake: LikenessNet, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiples of 32, got"):
        restorer(awake).restore(torch.zeros(shape))


def test_restore_refuses_other_options(awake: LikenessNet) -> None:
    with pytest.raises(OptionError, match="steps"):
        restorer(awake).restore(torch.zeros(1, 3, 64, 64), steps=0)
    with pytest.raises(OptionError, match="fidelity"):
        restorer(awake).restore(torch.zeros(1, 3, 64, 64), fidelity=0.5)


def test_load_takes_weights_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, awake: LikenessNet) -> None:
    monkeypatch.setattr("likeness.methods.likeness.network.LikenessNet", lambda: LikenessNet(SMALL))
    path = tmp_path / "mine.safetensors"
    save_half(awake.state_dict(), path, {})
    loaded = methods.load("likeness", device="cpu", precision="fp32", weights=path)
    assert loaded.card.name == "likeness"
    assert len(loaded.fingerprint) == 64
    crops = (rand(1, 3, 64, 64) + 1) / 2
    assert torch.allclose(loaded.restore(crops), restorer(awake).restore(crops), atol=5e-3)
