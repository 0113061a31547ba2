"""The registry of methods, their cards and options, and the built-in network and restorer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from likeness import methods
from likeness.diffusion.ancestral import seeded_noise
from likeness.methods import MethodCard, Option, OptionError
from likeness.methods.likeness.denoiser import Denoiser
from likeness.methods.likeness.network import LikenessNet, with_new_blocks
from likeness.methods.likeness.restorer import LikenessRestorer
from likeness.methods.likeness.sharpener import Sharpener
from likeness.methods.likeness.trunk import TrunkConfig, whole_frame
from likeness.methods.recognise import recognise_file
from likeness.weights.load import WeightsError, fill_strict, save_half

SMALL = TrunkConfig(widths=(16, 24, 32, 48), depths=(1, 1, 1, 2))
SMALLER = TrunkConfig(widths=(16, 24, 32, 48), depths=(1, 1, 1, 1))
KEYS = Path(__file__).parent / "likeness_net_keys.json"


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def awake() -> LikenessNet:
    """A small net in which every zero-initialised layer does something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = LikenessNet(SMALL, SMALLER)
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
def test_a_fresh_net_returns_the_picture_it_was_given(height: int, width: int) -> None:
    net = LikenessNet(SMALL, SMALLER).eval()
    degraded, other = rand(2, 3, height, width), rand(2, 3, height, width, seed=1)
    with torch.no_grad():
        assert torch.equal(net("denoiser", degraded, other, torch.tensor([0.0, 0.7])), degraded)
        assert torch.equal(net("sharpener", degraded, other, rand(2, 1, height, width)), other)


def test_the_full_net_returns_the_picture_it_was_given() -> None:
    degraded, net = rand(1, 3, 64, 64), LikenessNet().eval()
    with torch.no_grad():
        assert torch.equal(net("denoiser", degraded, degraded, torch.tensor([0.5])), degraded)
        assert torch.equal(net("sharpener", degraded, degraded, rand(1, 1, 64, 64)), degraded)


def test_a_file_of_fewer_blocks_computes_what_it_did(awake: LikenessNet) -> None:
    deeper = LikenessNet(replace(SMALL, rising=(3, 1, 2)), SMALLER).eval()
    fill_strict(deeper, with_new_blocks(awake.state_dict(), deeper), "mine")
    assert len(deeper.state_dict()) > len(awake.state_dict())
    inputs = rand(2, 3, 64, 64), rand(2, 3, 64, 64, seed=1), torch.tensor([0.0, 0.7])
    with torch.no_grad():
        assert torch.equal(deeper("denoiser", *inputs), awake("denoiser", *inputs))


def test_a_file_of_fewer_blocks_is_recognised(tmp_path: Path) -> None:
    tensors = methods.networks("likeness")["net"].state_dict()
    older = {key: value for key, value in tensors.items() if not key.startswith("denoiser.decoder.0.2.")}
    save_half(older, tmp_path / "older.safetensors", {})
    assert recognise_file(tmp_path / "older.safetensors") == "likeness"
    save_half(older | {"more": torch.zeros(1)}, tmp_path / "another.safetensors", {})
    with pytest.raises(WeightsError, match="of no method"):
        recognise_file(tmp_path / "another.safetensors")


@pytest.mark.parametrize("part", ["decoder.0.0.norm.weight", "decoder.0.1.norm.weight", "decoder.0.1.", "decoder.0."])
def test_what_a_damaged_file_lacks_is_not_made_up(part: str) -> None:
    net = LikenessNet(replace(SMALL, rising=(3, 1, 2)), SMALLER)
    tensors = {key: value for key, value in net.state_dict().items() if part not in key}
    with pytest.raises(WeightsError, match=r"missing denoiser\.decoder\.0"):
        fill_strict(net, with_new_blocks(tensors, net), "mine")
    with pytest.raises(WeightsError, match=r"unexpected another\.decoder\.weight"):
        fill_strict(net, with_new_blocks({**net.state_dict(), "another.decoder.weight": torch.zeros(1)}, net), "mine")


def test_output_shape_of_a_whole_face(awake: LikenessNet) -> None:
    out = awake("denoiser", rand(1, 3, 512, 512), torch.zeros(1, 3, 512, 512), torch.zeros(1))
    assert out.shape == (1, 3, 512, 512)
    assert out.dtype == torch.float32


def test_every_input_of_the_denoiser_matters(awake: LikenessNet) -> None:
    degraded, state, gamma, place = (
        rand(1, 3, 64, 64),
        rand(1, 3, 64, 64, seed=1),
        torch.tensor([0.5]),
        whole_frame(16, 16),
    )
    net = awake.denoiser
    out = net(degraded, state, gamma, place)
    assert torch.equal(out, net(degraded, state, gamma))  # the default place is the whole frame
    for changed in (
        net(degraded, -state, gamma, place),
        net(degraded, state, torch.tensor([0.1]), place),
        net(degraded, state, gamma, place / 2),
    ):
        assert (changed - out).abs().max() > 1e-4
    residue = net(-degraded, state, gamma, place) + degraded
    assert (residue - (out - degraded)).abs().max() > 1e-4


def test_the_denoiser_can_drop_the_finest_detail() -> None:
    """With nothing else learned, keep = 0 leaves the 4x4 averages, enlarged."""
    net, degraded = Denoiser(SMALL), rand(1, 3, 64, 64)
    nn.init.constant_(net.keep.bias, -1.0)
    with torch.no_grad():
        out = net(degraded, torch.zeros_like(degraded), torch.zeros(1))
    coarse = nn.functional.avg_pool2d(degraded, 4)
    assert torch.allclose(nn.functional.avg_pool2d(out, 4), coarse, atol=0.35)
    assert out.std() < 0.6 * degraded.std()


def test_every_input_of_the_sharpener_matters(awake: LikenessNet) -> None:
    degraded, estimate, grain = rand(1, 3, 64, 64), rand(1, 3, 64, 64, seed=1), rand(1, 1, 64, 64, seed=2)
    place = whole_frame(16, 16)

    def net(*inputs: torch.Tensor) -> torch.Tensor:
        picture, texture = awake.sharpener.parts(*inputs)
        return picture + texture

    out = net(degraded, estimate, grain, place)
    assert torch.equal(out, net(degraded, estimate, grain))
    for changed in (
        net(-degraded, estimate, grain, place),
        net(degraded, estimate, -grain, place),
        net(degraded, estimate, grain, place / 2),
    ):
        assert (changed - out).abs().max() > 1e-4
    residue = net(degraded, -estimate, grain, place) + estimate
    assert (residue - (out - estimate)).abs().max() > 1e-4


def test_the_sharp_face_is_its_two_parts(awake: LikenessNet) -> None:
    degraded, estimate, grain = rand(1, 3, 64, 64), rand(1, 3, 64, 64, seed=1), rand(1, 1, 64, 64, seed=2)
    picture, texture = awake("sharpener.parts", degraded, estimate, grain)
    assert (picture.shape, texture.shape) == ((1, 3, 64, 64), (1, 1, 64, 64))
    assert texture.abs().max() > 1e-3
    assert torch.equal(awake("sharpener", degraded, estimate, grain), picture + texture)
    assert torch.equal(awake("sharpener", degraded, estimate, grain, torch.zeros(1)), picture)
    half = awake(
        "sharpener",
        degraded.expand(2, -1, -1, -1),
        estimate.expand(2, -1, -1, -1),
        grain.expand(2, -1, -1, -1),
        torch.tensor([1.0, 0.5]),
    )
    assert torch.allclose(half - picture, torch.cat([texture, texture / 2]).expand_as(half), atol=1e-5)


def test_rows_of_a_batch_do_not_mix(awake: LikenessNet) -> None:
    degraded, state, gamma = rand(3, 3, 64, 64), rand(3, 3, 64, 64, seed=1), torch.tensor([0.0, 0.5, 0.9])
    for net, last in ((awake.denoiser, gamma), (awake.sharpener, rand(3, 1, 64, 64, seed=2))):
        whole = net(degraded, state, last)
        for i in range(3):
            alone = net(degraded[i : i + 1], state[i : i + 1], last[i : i + 1])[0]
            assert torch.allclose(alone, whole[i], atol=1e-5)


def test_the_sharpener_starts_from_what_the_denoiser_knows() -> None:
    """With the denoiser's head it says what the denoiser says at gamma 0, whatever the grain: only the base differs."""
    torch.manual_seed(0)
    denoiser, sharpener = Denoiser(SMALLER), Sharpener(SMALLER)
    for parameter in (*denoiser.parameters(), *sharpener.grain.parameters()):
        nn.init.normal_(parameter, std=0.05)
    for parameter in (*sharpener.grain.parameters(), *denoiser.keep.parameters()):
        nn.init.zeros_(parameter)
    sharpener.start_from(denoiser)
    assert sharpener.stem.weight[:, 96:112].abs().sum() > 0  # the grain's way in
    with torch.no_grad():
        sharpener.stem.weight[:, 96:112] = 0
        assert torch.allclose(sharpener.texture.weight.flatten(1).norm(dim=1), torch.ones(4))
        sharpener.strength.bias.zero_()
    degraded, estimate = rand(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(sharpener(degraded, estimate, rand(1, 1, 64, 64)), estimate)  # its own head is untouched
        sharpener.head.load_state_dict(denoiser.head.state_dict())
        want = denoiser(degraded, estimate, torch.zeros(1)) - degraded
        soft = torch.tensor([0.25, 0.5, 0.25])  # its picture is softened
        soft = (soft[:, None] * soft).expand(3, 1, 3, 3)
        want = nn.functional.conv2d(nn.functional.pad(want, (1, 1, 1, 1), mode="replicate"), soft, groups=3)
        got = sharpener(degraded, estimate, rand(1, 1, 64, 64, seed=3))
    assert want.abs().max() > 0.01
    assert torch.allclose(got, want, atol=1e-5)


def test_whole_frame_has_cell_centres() -> None:
    place = whole_frame(4, 8)
    assert place.shape == (1, 2, 4, 8)
    assert place[0, 0, 0].tolist() == [-0.875 + 0.25 * i for i in range(8)]
    assert place[0, 1, :, 3].tolist() == [-0.75, -0.25, 0.25, 0.75]


# The restorer


def restorer(net: nn.Module) -> LikenessRestorer:
    return LikenessRestorer(net, torch.device("cpu"), torch.float32, "abc")


def test_restore_follows_the_chain(awake: LikenessNet) -> None:
    """One step is the answer to nothing; two sharpen it; three go on from there and sharpen last."""
    crops = (rand(2, 3, 64, 64) + 1) / 2
    degraded, zero = crops * 2 - 1, torch.zeros(2, 3, 64, 64)
    mean = awake("denoiser", degraded, zero, torch.zeros(2)).clamp(-1, 1)
    got = restorer(awake).restore(crops, seed=3, steps=1)
    assert torch.allclose(got, (mean + 1) / 2, atol=1e-5)
    mirrored = awake("denoiser", degraded.flip(3), zero, torch.zeros(2)).clamp(-1, 1).flip(3)
    assert (mirrored - mean).abs().max() > 1e-3
    got = restorer(awake).restore(crops, seed=3, steps=1, ensemble=1)
    assert torch.allclose(got, ((mean + mirrored) / 2 + 1) / 2, atol=1e-5)

    grain = seeded_noise((1, 64, 64), [3, 3])()
    for estimate, ensemble in ((mean, 0), ((mean + mirrored) / 2, 1)):
        sharp = awake("sharpener", degraded, estimate, grain).clamp(-1, 1)
        got = restorer(awake).restore(crops, seed=3, steps=2, ensemble=ensemble)
        assert torch.allclose(got, (sharp + 1) / 2, atol=1e-5)

    draw = seeded_noise((3, 64, 64), [3, 3])
    draw()
    x_s = 0.9**0.5 * mean + 0.1**0.5 * draw()
    closer = awake("denoiser", degraded, 0.9**0.5 * x_s, torch.full((2,), 0.9)).clamp(-1, 1)
    sharp = awake("sharpener", degraded, closer, grain).clamp(-1, 1)
    assert torch.allclose(restorer(awake).restore(crops, seed=3, steps=3), (sharp + 1) / 2, atol=1e-5)


def test_fidelity_blends_the_sharp_face_with_the_accurate_one(awake: LikenessNet) -> None:
    crops = (rand(1, 3, 64, 64) + 1) / 2
    mean, sharp = (restorer(awake).restore(crops, steps=n) for n in (1, 2))
    assert (mean - sharp).abs().max() > 1e-3
    assert torch.equal(restorer(awake).restore(crops, fidelity=1), mean)
    assert torch.equal(restorer(awake).restore(crops, fidelity=0), sharp)
    half = restorer(awake).restore(crops, fidelity=0.5)
    assert torch.allclose(half, (mean + sharp) / 2, atol=1e-6)


def test_texture_is_as_strong_as_asked_for(awake: LikenessNet) -> None:
    crops = rand(2, 3, 64, 64) / 5 + 0.5  # far from black and white, where the picture is clipped
    none, half, trained, most = (restorer(awake).restore(crops, seed=3, texture=n) for n in (0, 0.5, 1, 2))
    assert torch.equal(trained, restorer(awake).restore(crops, seed=3))
    inside = (most > 0) & (most < 1) & (none > 0) & (none < 1)
    assert inside.float().mean() > 0.8
    texture = trained - none
    assert texture[inside].abs().max() > 1e-3
    assert torch.allclose((half - none)[inside], texture[inside] / 2, atol=1e-5)
    assert torch.allclose((most - none)[inside], texture[inside] * 2, atol=1e-5)
    with pytest.raises(OptionError, match="texture"):
        restorer(awake).restore(crops, texture=2.1)


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
        restorer(awake).restore(torch.zeros(1, 3, 64, 64), fidelity=1.5)
    with pytest.raises(OptionError, match="eta"):
        restorer(awake).restore(torch.zeros(1, 3, 64, 64), eta=0.5)


def test_load_takes_weights_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, awake: LikenessNet) -> None:
    monkeypatch.setattr("likeness.methods.likeness.network.LikenessNet", lambda: LikenessNet(SMALL, SMALLER))
    path = tmp_path / "mine.safetensors"
    save_half(awake.state_dict(), path, {})
    loaded = methods.load("likeness", device="cpu", precision="fp32", weights=path)
    assert loaded.card.name == "likeness"
    assert len(loaded.fingerprint) == 64
    crops = (rand(1, 3, 64, 64) + 1) / 2
    assert torch.allclose(loaded.restore(crops), restorer(awake).restore(crops), atol=5e-3)
