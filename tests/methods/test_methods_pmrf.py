"""PMRF: the flow, its options, batches, and reading released files in all their nestings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from likeness.diffusion import seeded_noise
from likeness.methods import OptionError, pmrf
from likeness.methods.one_pass import OnePassRestorer
from likeness.methods.pmrf.layers import AxialRoPE, Merge, Split, SplitOntoSkip, rotated
from likeness.methods.pmrf.network import FlowConfig, FlowNetwork, NetworkConfig, PMRFNet, axial_positions, halved
from likeness.methods.pmrf.restorer import METHOD, read_config
from likeness.methods.progress import listening
from likeness.nets.swinir import SwinIRConfig
from likeness.weights.errors import WeightsError
from likeness.weights.load import fingerprint, save_clean
from parity_fixture import fill

FLOW = FlowConfig(
    widths=(32, 48, 64),
    depths=(1, 2, 1),
    heads=(2, 3, 2),
    feedforward=(40, 56, 72),
    mapping_width=32,
    mapping_depth=2,
    mapping_feedforward=24,
)
SMALL = NetworkConfig(
    FLOW, SwinIRConfig(img_size=16, embed_dim=12, depths=(2,), num_heads=(2,), mlp_dim=20, features=8)
)
FID = {"fid.inception.Conv2d_1a.weight": torch.ones(2), "fid.inception.num_batches_tracked": torch.tensor(3)}
METRICS = FID | {"inception_score.inception.fc.weight": torch.ones(1)}


def filled(net: PMRFNet) -> PMRFNet:
    state = {}
    for key, value in net.state_dict().items():
        computed = key.endswith(("freqs", "relative_position_index", "attn_mask"))
        state[key] = value if computed else fill(key, list(value.shape), 1.0, [])
        if key.endswith(("norm.scale", "self_attn.scale")):
            state[key] = state[key].abs() + (10 if "attn" in key else 1)
    net.load_state_dict(state)
    return net.eval()


@pytest.fixture(scope="module")
def net() -> PMRFNet:
    return filled(PMRFNet(SMALL))


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def run(net: torch.nn.Module, x: Tensor, seed: int = 0, **options: float) -> Tensor:
    with torch.inference_mode():
        return METHOD.run(net, x, pmrf.CARD.choose({"steps": 3, **options}), seed)


def spelled_order(config: FlowConfig) -> Iterator[str]:
    """The flow network's parameters in the order in which the averaged weights are listed."""

    def layers(level: str, depth: int) -> Iterator[str]:
        for index in range(depth):
            for name in ("scale", "norm.linear.weight", "qkv_proj.weight", "out_proj.weight"):
                yield f"{level}.{index}.self_attn.{name}"
            for name in ("norm.linear", "up_proj", "down_proj"):
                yield f"{level}.{index}.ff.{name}.weight"

    yield from ("patch_in.proj.weight", "time_in_proj.weight", "aug_in_proj.weight", "mapping.in_norm.scale")
    for block in range(config.mapping_depth):
        yield from (f"mapping.blocks.{block}.{name}" for name in ("norm.scale", "up_proj.weight", "down_proj.weight"))
    yield "mapping.out_norm.scale"
    for side in ("down_levels", "up_levels"):
        for level in range(len(config.widths) - 1):
            yield from layers(f"{side}.{level}", config.depths[level])
    yield from layers("mid_level", config.depths[-1])
    yield from (f"merges.{level}.proj.weight" for level in range(len(config.widths) - 1))
    for level in range(len(config.widths) - 1):
        yield from (f"splits.{level}.fac", f"splits.{level}.proj.weight")
    yield from ("out_norm.scale", "patch_out.proj.weight")


def lightning(net: PMRFNet, shadow: list[Tensor]) -> dict[str, Any]:
    """What a training run saves."""
    ema = {"decay": 0.9999, "num_updates": 7, "shadow_params": shadow, "collected_params": None}
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.0",
        "hyper_parameters": {"arch": "hdit_ImageNet256Sp4", "mmse_noise_std": 0.1, "betas": (0.9, 0.95)},
        "state_dict": {**net.state_dict(), **METRICS},
        "ema": ema,
    }


def shadows(net: PMRFNet) -> dict[str, Tensor]:
    """Averaged weights, unlike the network's."""
    state = net.model.state_dict()
    return {name: state[name] * 0.5 + number for number, name in enumerate(spelled_order(FLOW))}


def test_a_batch_gives_what_each_picture_gives_alone(net: PMRFNet, photos: Tensor) -> None:
    """To 2e-5 of a range of nine: matrix products of other shapes round differently, in each of the steps."""
    together = run(net, photos, seed=5)
    assert together.shape == photos.shape
    for index in range(4):
        torch.testing.assert_close(together[index], run(net, photos[index : index + 1], seed=5)[0], rtol=0, atol=2e-5)
    assert (together[0] - together[1]).abs().max() > 0.1


def test_the_seed_chooses_the_face(net: PMRFNet, photos: Tensor) -> None:
    x = photos[:1]
    assert torch.equal(run(net, x, seed=1), run(net, x, seed=1))
    assert (run(net, x, seed=1) - run(net, x, seed=2)).abs().max() > 1e-2
    for options in ({"noise": 0.0}, {"steps": 0}):  # nothing is left to chance
        assert torch.equal(run(net, x, seed=1, **options), run(net, x, seed=2, **options))
    assert pmrf.CARD.stochastic


@torch.inference_mode()
def test_the_flow_begins_at_the_noisy_posterior_mean(net: PMRFNet, photos: Tensor) -> None:
    x = photos[:2]
    mean = net.mmse_model((x + 1) / 2).clamp(0, 1)
    assert torch.equal(run(net, x, steps=0), mean * 2 - 1)
    z = mean + 0.3 * seeded_noise((3, 64, 64), [9, 9])()
    z = z + net.model(z, torch.zeros(2)) / 2
    z = z + net.model(z, torch.full((2,), 0.5)) / 2
    torch.testing.assert_close(run(net, x, seed=9, steps=2, noise=0.3), z * 2 - 1, rtol=0, atol=1e-5)
    assert (net.model(z, torch.zeros(2)) - net.model(z, torch.full((2,), 0.5))).abs().max() > 0.05  # time matters


def test_progress_is_told_after_each_step(net: PMRFNet, photos: Tensor) -> None:
    heard: list[tuple[int, int]] = []
    with listening(lambda done, total: heard.append((done, total))):
        run(net, photos[:1])
    assert heard == [(1, 3), (2, 3), (3, 3)]


WRONG = [{"steps": 1001}, {"steps": -1}, {"steps": 2.5}, {"noise": 1.1}, {"noise": -0.1}, {"fidelity": 1}]


@pytest.mark.parametrize("options", WRONG)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        pmrf.CARD.choose(options)


def test_the_defaults_are_the_authors() -> None:
    assert pmrf.CARD.choose({}) == {"steps": 25, "noise": 0.1}


def test_it_runs_under_autocast(net: PMRFNet, photos: Tensor) -> None:
    """Near the float32 picture, with the state of the flow and the condition in float32."""
    wanted = run(net, photos[:2])
    with torch.autocast("cpu", torch.bfloat16):
        out = run(net, photos[:2])
        condition = net.model.condition(torch.tensor([0.3, 0.7]))
    assert out.dtype == torch.float32
    assert (out - wanted).abs().mean() < 0.05 * wanted.std()
    assert torch.equal(condition, net.model.condition(torch.tensor([0.3, 0.7])))


def test_restores_crops(net: PMRFNet) -> None:
    restorer = OnePassRestorer(METHOD, net, torch.device("cpu"), torch.float32, "")
    crops = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(2))
    out = restorer.restore(crops, seed=3, steps=1)
    assert out.shape == crops.shape
    assert 0 <= out.min() < out.max() <= 1
    with pytest.raises(ValueError, match="expected"):
        restorer.restore(crops[..., :256])


@pytest.mark.parametrize("size", [(64, 72), (48, 64), (64, 40)])
def test_sizes_that_the_flow_cannot_take_are_refused(net: PMRFNet, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 16 from 56 on"):
        net.model(torch.zeros(1, 3, *size), torch.zeros(1))


def test_splitting_undoes_merging() -> None:
    merge, split = Merge(3, 48, 4), Split(48, 3, 4)
    for layer in (merge, split):
        torch.nn.init.eye_(layer.proj.weight)
    x = torch.randn(2, 8, 12, 3)
    assert torch.equal(split(merge(x)), x)
    assert torch.equal(merge(x)[1, 1, 2], x[1, 4:8, 8:12].flatten())  # row, column, channel
    half, skip = SplitOntoSkip(8, 2), torch.randn(1, 4, 4, 2)
    for fac, wanted in ((0.0, skip), (1.0, Split.forward(half, torch.ones(1, 2, 2, 8)))):
        torch.nn.init.constant_(half.fac, fac)
        torch.testing.assert_close(half(torch.ones(1, 2, 2, 8), skip), wanted)


def test_positions_and_rotations() -> None:
    wide = axial_positions(4, 8)
    torch.testing.assert_close(wide[0, 0], torch.tensor([-0.375, -0.875]))  # (y, x): the middle of the first cell
    torch.testing.assert_close(halved(wide), axial_positions(2, 4))
    rope = AxialRoPE(32, 2)
    angle = rope.angles(wide)
    assert angle.shape == (4, 8, 2, 8)
    x = torch.randn(1, 4, 8, 2, 32)
    turned = rotated(x, angle.cos(), angle.sin())
    assert torch.equal(turned[..., 16:], x[..., 16:])
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    y = torch.randn(1, 4, 8, 2, 32)
    products = [(rotated(t[:, :1, :1], angle.cos()[a], angle.sin()[a])) for t, a in ((x, (1, 2)), (y, (2, 5)))]
    moved = [(rotated(t[:, :1, :1], angle.cos()[a], angle.sin()[a])) for t, a in ((x, (2, 3)), (y, (3, 6)))]
    same = (products[0] * products[1]).sum(-1), (moved[0] * moved[1]).sum(-1)  # only the distance counts
    torch.testing.assert_close(*same, rtol=1e-4, atol=1e-4)


def test_recognises_its_own_tensors(net: PMRFNet) -> None:
    tensors = net.state_dict()
    assert read_config(tensors) == SMALL
    with torch.device("meta"):
        released = pmrf.networks()["pmrf"]
    assert read_config(released.state_dict()) == NetworkConfig()
    assert METHOD.recognise({}) is None
    for lost in ("model.patch_in.proj.weight", "mmse_model.conv_last.weight", "model.mid_level.0.self_attn.scale"):
        assert METHOD.recognise({key: value for key, value in tensors.items() if key != lost}) is None


def test_parameters_are_in_the_order_of_the_averaged_weights(net: PMRFNet) -> None:
    assert [name for name, _ in net.model.named_parameters()] == list(spelled_order(FLOW))
    with torch.device("meta"):
        released = FlowNetwork()
    assert [name for name, _ in released.named_parameters()] == list(spelled_order(FlowConfig()))
    assert sum(p.numel() for p in released.parameters()) == 160_460_210


def test_loads_the_hub_file(net: PMRFNet, photos: Tensor, tmp_path: Path) -> None:
    for name, extra in (("model.safetensors", METRICS), ("clean.safetensors", {})):
        save_clean({**net.state_dict(), **extra}, tmp_path / name, {})
        restorer = pmrf.load(torch.device("cpu"), torch.float32, tmp_path / name)
        assert restorer.card is pmrf.CARD
        assert restorer.fingerprint == fingerprint(tmp_path / name)
        assert torch.equal(run(restorer.net, photos[:1]), run(net, photos[:1]))
    assert pmrf.method() is METHOD


def test_loads_the_training_run_with_its_averaged_weights(net: PMRFNet, tmp_path: Path) -> None:
    path, shadow = tmp_path / "blind_face_restoration_pmrf.ckpt", shadows(net)
    torch.save(lightning(net, list(shadow.values())), path)
    loaded = pmrf.load(torch.device("cpu"), torch.float32, path).net.state_dict()
    for key, value in net.state_dict().items():
        wanted = shadow.get(key.removeprefix("model."), value) if key.startswith("model.") else value
        assert torch.equal(loaded[key], wanted), key
    assert not torch.equal(loaded["model.splits.0.fac"], net.state_dict()["model.splits.0.fac"])
    assert loaded.keys() == net.state_dict().keys()


def test_averaged_weights_that_do_not_fit_are_refused(net: PMRFNet, tmp_path: Path) -> None:
    whole, path = list(shadows(net).values()), tmp_path / "wrong.ckpt"
    swapped = [whole[3], *whole[1:3], whole[0], *whole[4:]]
    for shadow, match in ((whole[:-1], "are not the"), (swapped, "patch_in"), ([*whole[:-1], 3], "patch_out")):
        torch.save(lightning(net, shadow), path)  # type: ignore[arg-type]
        with pytest.raises(WeightsError, match=match) as error:
            pmrf.load(torch.device("cpu"), torch.float32, path)
        assert "\n" not in str(error.value)


def test_other_files_are_refused_in_one_line(net: PMRFNet, tmp_path: Path) -> None:
    state, path = net.state_dict(), tmp_path / "other.pth"
    cases = {
        "holds no weights of pmrf": {"params_ema": {"conv_first.weight": torch.ones(2)}},
        "no weights of pmrf": {"state_dict": 3, "ema": [1]},
        "missing model.splits.1.fac": {k: v for k, v in state.items() if k != "model.splits.1.fac"},
        "unexpected model.extra": {**state, "model.extra": torch.ones(1)},
    }
    for match, held in cases.items():
        torch.save(held, path)
        with pytest.raises(WeightsError, match=match) as error:
            pmrf.load(torch.device("cpu"), torch.float32, path)
        assert "\n" not in str(error.value)
