"""GPEN at a small size: reading files of every size, resizing, the share of the restored face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_stylegan import SMALL, assert_same, awake, faces

from likeness.methods.gpen import load, method
from likeness.methods.gpen.network import GPEN, recognise
from likeness.methods.gpen.run import run, unpack
from likeness.methods.one_pass import OnePassRestorer
from likeness.nets.upfirdn import to_size
from likeness.weights.load import WeightsError

CPU = torch.device("cpu")
WHOLE = {"alpha": 1.0}


@pytest.fixture(scope="module")
def net() -> GPEN:
    return awake(GPEN(**SMALL))  # type: ignore[return-value]


@torch.inference_mode()
def test_a_batch_gives_what_single_runs_give(net: GPEN) -> None:
    x = faces(2, 64)
    both = run(net, x, WHOLE, 0)
    assert both.shape == x.shape
    assert both.std() > 0.01
    for i in range(2):
        assert_same(both[i : i + 1], run(net, x[i : i + 1], WHOLE, 0))
    assert (both[0] - both[1]).abs().max() > 0.1 * both.std()
    assert torch.equal(both, run(net, x, WHOLE, 1))  # nothing is drawn


@torch.inference_mode()
def test_alpha_from_the_face_as_it_was_to_the_restored(net: GPEN) -> None:
    x = faces(1, 64)
    restored = run(net, x, WHOLE, 0)
    assert_same(restored, net(x))
    assert torch.equal(run(net, x, {"alpha": 0.0}, 0), x)
    torch.testing.assert_close(run(net, x, {"alpha": 0.25}, 0), 0.25 * restored + 0.75 * x)


@torch.inference_mode()
def test_the_features_are_stacked_behind_the_channels_where_they_belong(net: GPEN) -> None:
    """The strength of the features at the second layer of 8 pixels: what lies before stays as it is."""
    names, layer = ("conv1", "convs.0", "convs.1", "convs.2"), net.generator.convs[1]
    outputs: dict[str, torch.Tensor] = {}
    hooks = [net.generator.get_submodule(n).register_forward_hook(keep(outputs, n)) for n in names]
    strength, x = layer.noise.weight.clone(), faces(1, 64)
    net(x)
    before = dict(outputs)
    layer.noise.weight.zero_()
    net(x)
    layer.noise.weight.copy_(strength)
    for hook in hooks:
        hook.remove()
    assert [n for n in names if not torch.equal(before[n], outputs[n])] == ["convs.1", "convs.2"]
    changed = (before["convs.1"] != outputs["convs.1"]).flatten(2).any(dim=2)[0]
    assert changed.tolist() == [False] * 16 + [True] * 16


def keep(outputs: dict[str, torch.Tensor], name: str) -> Callable[..., None]:
    def hook(_: object, __: object, y: torch.Tensor) -> None:
        outputs[name] = y.clone()

    return hook


@pytest.mark.parametrize(("size", "multiplier", "narrow"), [(256, 1, 1 / 32), (128, 2, 1 / 32), (16, 2, 1 / 64)])
def test_recognise_reads_the_configuration(size: int, multiplier: int, narrow: float) -> None:
    made = GPEN(size, 8, 3, multiplier, narrow)
    found = recognise(made.state_dict())
    assert found is not None
    assert found.size == size
    assert {k: v.shape for k, v in found.state_dict().items()} == {k: v.shape for k, v in made.state_dict().items()}


def test_widths_of_the_other_releases() -> None:
    small, large = GPEN(256, multiplier=1, narrow=0.5).state_dict(), GPEN(2048, 8, 1, narrow=1 / 8).state_dict()
    assert small["ecd0.0.0.weight"].shape == (32, 3, 1, 1)
    assert small["final_linear.0.weight"].shape == (512, 256 * 16)
    assert small["generator.convs.11.conv.weight"].shape == (1, 32, 64, 3, 3)
    assert large["ecd9.0.1.weight"].shape == (64, 64, 3, 3)
    assert large["generator.convs.17.conv.weight"].shape == (1, 2, 4, 3, 3)


def test_recognise_leaves_other_methods_alone() -> None:
    state = GPEN(**SMALL).state_dict()
    assert recognise({}) is None
    assert recognise({k: v for k, v in state.items() if k.startswith("generator.")}) is None
    assert recognise({k: v for k, v in state.items() if ".convs." not in k}) is None


def test_unpack_takes_the_bare_state_dict() -> None:
    assert list(unpack({"a": torch.ones(1), "epoch": 3})) == ["a"]


def test_load_and_restore(tmp_path: Path, net: GPEN) -> None:
    torch.save(net.state_dict(), tmp_path / "w.pth")
    restorer = load(CPU, torch.float32, tmp_path / "w.pth")
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in restorer.net.state_dict().items())
    crops = faces(1, 512) / 2 + 0.5
    wanted = to_size(net(to_size(crops * 2 - 1, 64)), 512).clamp(-1, 1) / 2 + 0.5
    assert_same(restorer.restore(crops), wanted)
    broken = net.state_dict()
    del broken["generator.input.input"], broken["ecd0.0.1.bias"]
    torch.save(broken, tmp_path / "broken.pth")
    with pytest.raises(WeightsError, match="holds no weights of gpen"):
        load(CPU, torch.float32, tmp_path / "broken.pth")


def test_half_precision_stays_close(net: GPEN) -> None:
    crops = faces(1, 512) / 2 + 0.5
    half = OnePassRestorer(method(), net, CPU, torch.bfloat16, "").restore(crops)
    full = OnePassRestorer(method(), net, CPU, torch.float32, "").restore(crops)
    assert half.dtype == torch.float32
    assert (half - full).abs().mean() < 0.1 * full.std()
