"""pSp at a small size: the low-resolution input, the average latent, style mixing, reading files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_stylegan import SMALL, assert_same, awake, faces
from torch import Tensor

from likeness.methods.one_pass import OnePassRestorer
from likeness.methods.psp import CARD, load, method
from likeness.methods.psp.network import PSp, mix, recognise
from likeness.methods.psp.run import low_resolution, run, unpack
from likeness.weights.load import WeightsError

CPU = torch.device("cpu")
TINY: dict[str, Any] = {**SMALL, "widths": (16, 32, 48, 16), "units": (2, 1, 1, 1)}
DEFAULT = CARD.choose({})


@pytest.fixture(scope="module")
def net() -> PSp:
    made = awake(PSp(**TINY, average=(10, 16)))
    made.latent_avg = torch.randn(10, 16, generator=torch.Generator().manual_seed(5))
    return made  # type: ignore[return-value]


@torch.inference_mode()
def test_a_batch_gives_what_single_runs_give(net: PSp) -> None:
    x = faces(2, 512)
    for options in (DEFAULT, {**DEFAULT, "mix_alpha": 0.5, "mix_from": 2}):
        both = run(net, x, options, 3)
        assert both.shape == x.shape
        assert both.std() > 0.01
        for i in range(2):
            assert_same(both[i : i + 1], run(net, x[i : i + 1], options, 3))
    codes = net.codes(low_resolution(x, 1))
    assert (codes[0] - codes[1]).abs().max() > 0.1  # the face matters


@torch.inference_mode()
def test_options_at_both_ends(net: PSp) -> None:
    x, other = faces(1, 512), faces(1, 512, seed=9)

    def go(picture: Tensor = x, seed: int = 0, **options: float) -> Tensor:
        return run(net, picture, CARD.choose(options), seed)

    plain = go()
    assert torch.equal(plain, go(seed=1))
    assert torch.equal(plain, go(factor=1))
    assert torch.equal(plain, go(mix_from=0))
    assert not torch.equal(plain, go(factor=0))
    assert not torch.equal(plain, go(factor=32))
    assert torch.equal(plain, go(mix_alpha=1, mix_from=17))  # this network has 10 latents
    assert torch.equal(go(mix_alpha=1, mix_from=0), go(other, mix_alpha=1, mix_from=0))  # nothing of the face is left
    assert torch.equal(go(mix_alpha=0.5, seed=4), go(mix_alpha=0.5, seed=4))
    assert not torch.equal(go(mix_alpha=0.5, seed=4), go(mix_alpha=0.5, seed=5))
    assert go(resize_outputs=1).shape == plain.shape
    assert not torch.equal(go(resize_outputs=1), plain)


def test_low_resolution_goes_through_8_bit_pictures() -> None:
    x = faces(2, 512)
    plain = low_resolution(x, 0)
    for i in range(2):
        picture = Image.fromarray(((x[i] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())
        wanted = np.asarray(picture.resize((256, 256), Image.Resampling.BILINEAR), np.float32)
        np.testing.assert_array_equal(((plain[i] + 1) * 127.5).permute(1, 2, 0).round().numpy(), wanted)
    levels = (low_resolution(x, 8) + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-3)
    blocks = levels[..., 4:-4, 4:-4].diff(dim=-1).abs()
    assert blocks.max() < 60 < (plain.diff(dim=-1) * 127.5).abs().max()  # smooth now
    stripes = torch.tensor([100.0, 101, 101, 101]).repeat(64).expand(1, 3, 256, 256) / 127.5 - 1
    inner = ((low_resolution(stripes, 4) + 1) * 127.5).round()[..., 16:-16, 16:-16]
    assert inner.eq(100).all()  # 100.75 is truncated, not rounded


def test_low_resolution_is_exact_under_autocast() -> None:
    x = faces(1, 512)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(low_resolution(x, 4), low_resolution_in_full(x))


def low_resolution_in_full(x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return low_resolution(x, 4)


@torch.inference_mode()
def test_the_average_is_added(net: PSp) -> None:
    x = low_resolution(faces(1, 512), 0)
    assert net.latent_avg is not None
    torch.testing.assert_close(net.codes(x), net.encoder(x) + net.latent_avg)


def test_mix() -> None:
    codes, inject = torch.ones(2, 4, 3), torch.full((1, 4, 3), 5.0)
    mixed = mix(codes, [1, 3], inject, 0.25)
    assert mixed[:, 0].eq(1).all()
    assert mixed[:, 2].eq(1).all()
    assert mixed[:, [1, 3]].eq(2).all()
    assert mix(codes, [0]).sum() == 18
    assert codes.eq(1).all()
    assert torch.equal(mix(codes, []), codes)


def test_recognise_reads_the_configuration(net: PSp) -> None:
    state = net.state_dict()
    found = recognise(state)
    assert found is not None
    assert {k: v.shape for k, v in found.state_dict().items()} == {k: v.shape for k, v in state.items()}
    bare = recognise({k: v for k, v in state.items() if k != "latent_avg"})
    assert bare is not None
    assert "latent_avg" not in bare.state_dict()


def test_recognise_leaves_other_methods_alone(net: PSp) -> None:
    state = net.state_dict()
    assert recognise({}) is None
    assert recognise({k: v for k, v in state.items() if k.startswith("decoder.")}) is None
    assert recognise({**state, "encoder.input_layer.0.weight": torch.zeros(16, 19, 3, 3)}) is None  # label maps


def test_unpack() -> None:
    nested = {"state_dict": {"encoder.a": torch.ones(1), "n": 1}, "latent_avg": torch.ones(2, 3), "opts": {"x": 1}}
    assert set(unpack(nested)) == {"encoder.a", "latent_avg"}
    flat = {"encoder.a": torch.ones(1), "latent_avg": torch.ones(2, 3)}
    assert unpack(flat) == flat
    without = unpack({**nested, "opts": {"start_from_latent_avg": False}})
    assert not without["latent_avg"].any()


def test_load_wants_the_average(tmp_path: Path, net: PSp) -> None:
    state = {k: v for k, v in net.state_dict().items() if k != "latent_avg"}
    torch.save({"state_dict": state, "latent_avg": net.latent_avg, "opts": {"batch_size": 8}}, tmp_path / "w.pt")
    restorer = load(CPU, torch.float32, tmp_path / "w.pt")
    crops = faces(1, 512) / 2 + 0.5
    ours = OnePassRestorer(method(), net, CPU, torch.float32, "").restore(crops)
    assert torch.equal(restorer.restore(crops), ours)
    assert ours.min() >= 0
    assert ours.max() <= 1
    torch.save({"state_dict": state}, tmp_path / "bare.pt")
    with pytest.raises(WeightsError, match="does not hold latent_avg"):
        load(CPU, torch.float32, tmp_path / "bare.pt")
