"""The background up-samplers give the numbers of the published code, and its pixels through the whole pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from likeness.nets.rrdbnet import RRDBNet
from likeness.nets.srvgg import SRVGGNetCompact
from likeness.upscale.realesrgan import Net, RealESRGAN, recognise, usual_tiles
from parity_fixture import Fixture

pytestmark = pytest.mark.parity

NETS: dict[str, Net] = {
    "realesrgan_x2plus": RRDBNet(2),
    "realesrgan_x4plus": RRDBNet(4),
    "realesr_general_x4v3": SRVGGNetCompact(),
}
PIPELINES: dict[str, dict[str, Any]] = {
    "whole": {},
    "tiled": {"tile": 24, "tile_pad": 10},
    "prepad": {"pre_pad": 10},
    "outscale": {"tile": 24, "tile_pad": 10, "outscale": 3},
}


@pytest.mark.parametrize("name", NETS)
def test_parity(name: str) -> None:
    fixture = Fixture(f"upsamplers/{name}")
    net = fixture.fill(NETS[name])
    assert isinstance(net, RRDBNet | SRVGGNetCompact)
    with torch.inference_mode(), fixture.checking_modules(net):
        fixture.check("out/image", net((fixture.input() + 1) / 2))

    found = recognise(net.state_dict())
    assert found is not None
    fixture.check_keys(found)

    upscaler = RealESRGAN(net)
    picture = fixture.golden["pipeline/input_uint8_bgr"][..., ::-1]
    for pipeline, settings in PIPELINES.items():
        wanted = fixture.golden[f"pipeline/{pipeline}_uint8_bgr"].astype(int)
        got = upscaler.official(picture, **settings)[..., ::-1].astype(int)
        assert got.shape == wanted.shape
        off = np.abs(got - wanted)
        assert off.max() <= 1, f"{pipeline}: off by {off.max()}"
        # None differs where these lines were written; another processor may round a few the other way.
        assert (off > 0).sum() <= 20, f"{pipeline}: {(off > 0).sum()} of {off.size} values differ by 1"
    fixture.done()


@pytest.mark.parametrize("name", NETS)
def test_parity_of_the_pipeline_before_rounding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within 1e-4 of the picture's standard deviation."""
    fixture = Fixture(f"upsamplers/{name}")
    upscaler = RealESRGAN(fixture.fill(NETS[name]))  # type: ignore[arg-type]
    picture = fixture.golden["pipeline/input_uint8_bgr"][..., ::-1]
    monkeypatch.setattr("likeness.upscale.realesrgan.from_unit", lambda unit, _: unit)
    for pipeline, settings in PIPELINES.items():
        image = upscaler.official(picture, **{**settings, "outscale": None})
        fixture.check(f"mid/pipeline_{pipeline}_float", torch.from_numpy(image).permute(2, 0, 1)[None])


@pytest.mark.parametrize("name", NETS)
def test_parity_weights_leave_no_seams(name: str) -> None:
    """Our tiles against the whole photograph, at the usual overlap: less than a third of a level of 8 bits."""
    data = pytest.importorskip("skimage.data", reason="needs scikit-image for its photographs")
    net = NETS[name]
    upscaler = RealESRGAN(Fixture(f"upsamplers/{name}").fill(net))  # type: ignore[arg-type]
    overlap = usual_tiles(net)[1]
    side = overlap * 5 // 2  # two by two tiles
    photo = data.astronaut()[60 : 60 + side, 160 : 160 + side].astype(np.float32) / np.float32(255)
    whole = upscaler.upscale(photo)
    seamless = RealESRGAN(net, tile=2 * overlap, overlap=overlap).upscale(photo)
    assert np.abs(seamless - whole).max() < 0.3 / 255
    cut = RealESRGAN(net, tile=2 * overlap, overlap=0).upscale(photo)
    assert np.abs(cut - whole).max() > 50 / 255
