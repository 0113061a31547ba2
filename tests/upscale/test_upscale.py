"""Enlarging whole pictures: the tiles, their seams, the memory they take, and the up-samplers around them."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from likeness.nets.rrdbnet import RRDBNet
from likeness.nets.srvgg import SRVGGNetCompact
from likeness.upscale import LanczosUpscaler, load_upscaler
from likeness.upscale.realesrgan import RealESRGAN, load_realesrgan, mix_denoise, recognise, unpack
from likeness.upscale.tiles import spans, upscale_in_tiles
from parity_fixture import fill


def repeat(image: np.ndarray, scale: int = 2) -> np.ndarray:
    """An up-sampler without any reach: whatever the tiles, the result is the same."""
    return image.repeat(scale, axis=0).repeat(scale, axis=1)


def filled(net: nn.Module, gain: float = 1.0) -> nn.Module:
    """Weights by the parity rule; 1-D ones small, so that the picture is not saturated."""
    state = {}
    for key, tensor in net.state_dict().items():
        overrides = [{"pattern": r"^body\.\d*[13579]\.weight$", "affine1d": [0.25, 0.1]}]
        state[key] = fill(key, list(tensor.shape), gain, overrides)
    net.load_state_dict(state)
    return net.eval()


def small_rrdb(scale: int = 4) -> RRDBNet:
    net = filled(RRDBNet(scale, width=16, blocks=2, growth=8))
    assert isinstance(net, RRDBNet)
    with torch.no_grad():
        net.conv_last.weight.mul_(0.6)
        net.conv_last.bias.fill_(0.5)
    return net


def small_srvgg() -> SRVGGNetCompact:
    net = filled(SRVGGNetCompact(width=16, convs=4), gain=1.4)
    assert isinstance(net, SRVGGNetCompact)
    with torch.no_grad():
        net.body[-1].weight.mul_(0.15)
    return net


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """(150, 170, 3) float32: part of a portrait."""
    data = pytest.importorskip("skimage.data", reason="needs scikit-image for its photographs")
    return np.ascontiguousarray(data.astronaut()[60:210, 160:330]).astype(np.float32) / np.float32(255)


@pytest.mark.parametrize("multiple", [1, 2, 4])
@pytest.mark.parametrize("overlap", [0, 4, 16])
def test_spans_cover_every_length(multiple: int, overlap: int) -> None:
    tile = 32
    for length in range(multiple, 300, multiple):
        found = spans(length, tile, overlap, multiple)
        covered = np.zeros(length)
        for span in found:
            assert 0 <= span.start <= span.keep < span.keep_end <= span.stop <= length
            assert span.stop - span.start <= tile
            assert span.start % multiple == span.stop % multiple == 0
            assert span.fade_in + span.fade_out <= span.keep_end - span.keep
            covered[span.keep : span.keep_end] += 1
            covered[span.keep : span.keep + span.fade_in] -= 0.5
            covered[span.keep_end - span.fade_out : span.keep_end] -= 0.5
        assert (covered == 1).all()
        for a, b in pairwise(found):
            assert a.stop - b.start >= overlap
            margins = (a.stop - a.keep_end, b.keep - b.start)  # thrown away: both sides of the cut need one
            assert min(margins) >= overlap // 4
        assert len({span.stop - span.start for span in found}) == 1
        fewest = 1 if length <= tile else -(-(length - overlap) // (tile - overlap))
        assert len(found) == fewest


@pytest.mark.parametrize("settings", [(64, 64, 33, 1), (64, 64, -1, 1), (64, 0, 0, 1), (63, 32, 0, 2), (64, 32, 3, 2)])
def test_impossible_tiles_are_refused(settings: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"need 0 <= 2|must be multiples"):
        spans(*settings)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (31, 32), (33, 32), (100, 77), (64, 200)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize(("overlap", "multiple"), [(0, 1), (8, 1), (16, 4)])
def test_every_pixel_comes_once_and_whole(shape: tuple[int, int], dtype: type, overlap: int, multiple: int) -> None:
    image = np.random.default_rng(0).random((*shape, 3), np.float32)
    if dtype is not np.float32:
        image = (image * np.iinfo(dtype).max).astype(dtype)
    sizes = []

    def run(tile: np.ndarray) -> np.ndarray:
        sizes.append(tile.shape[:2])
        assert tile.dtype == np.float32
        return repeat(tile)

    out = upscale_in_tiles(run, image, 2, tile=32, overlap=overlap, multiple=multiple)
    assert out.dtype == dtype
    assert out.flags.c_contiguous
    if dtype is np.float32:
        np.testing.assert_allclose(out, repeat(image), atol=1e-6)
    else:
        np.testing.assert_array_equal(out, repeat(image))
    assert np.max(sizes) <= 32
    assert (np.array(sizes) % multiple == 0).all()


def test_tiles_fade_into_each_other() -> None:
    """Tiles that disagree meet in a ramp, not in a step."""
    image = np.zeros((64, 200, 3), np.float32)
    levels = iter(np.linspace(0.1, 0.9, 100))
    out = upscale_in_tiles(lambda t: np.full_like(repeat(t), next(levels)), image, 2, tile=64, overlap=32)
    across = out[60, :, 0]
    steps = np.abs(np.diff(across))
    assert len(np.unique(across.round(4))) > 20
    assert 0 < steps.max() < (across.max() - across.min()) / 30


def test_memory_beside_the_result_does_not_grow_with_the_height() -> None:
    """The picture four times as tall takes no more; the strip that fades is as wide as the picture."""
    beside = []
    for height in (256, 1024):
        image = np.zeros((height, 256, 3), np.uint8)
        tracemalloc.start()
        out = upscale_in_tiles(repeat, image, 2, tile=64, overlap=16)
        beside.append(tracemalloc.get_traced_memory()[1] - out.nbytes)
        tracemalloc.stop()
    assert beside[1] < beside[0] * 1.05
    assert beside[1] < 1_500_000


@pytest.mark.parametrize("net", [small_srvgg(), small_rrdb(4), small_rrdb(2)], ids=["srvgg", "rrdb4", "rrdb2"])
def test_no_seams_with_enough_overlap(photo: np.ndarray, net: SRVGGNetCompact | RRDBNet) -> None:
    """The difference to the whole picture falls below one level of 8 bits, and without overlap it does not."""
    whole = RealESRGAN(net, tile=400).upscale(photo)
    assert whole.std() > 0.05
    assert ((whole > 0) & (whole < 1)).mean() > 0.5
    overlap = 32 * net.multiple
    seamless = RealESRGAN(net, tile=2 * overlap, overlap=overlap).upscale(photo)
    assert np.abs(seamless - whole).max() < 1 / 255
    cut = RealESRGAN(net, tile=2 * overlap, overlap=0).upscale(photo)
    assert np.abs(cut - whole).max() > 10 / 255


def test_tiles_change_nothing_beyond_the_reach(photo: np.ndarray) -> None:
    net = small_srvgg()
    assert net.reach == 6
    whole = RealESRGAN(net, tile=400).upscale(photo)
    np.testing.assert_allclose(RealESRGAN(net, tile=64, overlap=4 * net.reach).upscale(photo), whole, atol=2e-6)


def test_reach_is_how_far_a_pixel_is_seen() -> None:
    for net in (small_srvgg(), small_rrdb(2), small_rrdb(4)):
        net = net.double()  # what comes from afar is tiny
        x = torch.rand(1, 3, 8, 240, dtype=torch.float64)
        changed = x.clone()
        changed[..., 0] += 1
        with torch.inference_mode():
            moved = (net(x) != net(changed))[0].any(dim=0).any(dim=0).nonzero().max().item() // net.scale
        assert 0.6 * net.reach <= moved <= net.reach


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 9)])
def test_odd_sizes_and_types(scale: int, shape: tuple[int, int]) -> None:
    upscaler = RealESRGAN(small_rrdb(scale), tile=32)
    image = np.random.default_rng(1).random((*shape, 3), np.float32)
    for pixels in (image, (image * 255).astype(np.uint8), (image * 65535).astype(np.uint16)):
        out = upscaler.upscale(pixels)
        assert out.shape == (shape[0] * scale, shape[1] * scale, 3)
        assert out.dtype == pixels.dtype
    eight = upscaler.upscale((image * 255).astype(np.uint8)).astype(int)
    deep = upscaler.upscale((image * 255).astype(np.uint8).astype(np.uint16) * 257)
    assert np.abs(deep / 257 - eight).max() <= 0.51


def test_official_pipeline_agrees_with_ours_where_nothing_is_cut(photo: np.ndarray) -> None:
    pixels = np.rint(photo[:60, :61] * 255).astype(np.uint8)
    for net in (small_srvgg(), small_rrdb(2), small_rrdb(1)):
        upscaler = RealESRGAN(net, tile=256)
        np.testing.assert_array_equal(upscaler.official(pixels), upscaler.upscale(pixels))
        larger = upscaler.official(pixels, outscale=2.5, tile=32, tile_pad=8, pre_pad=3)
        assert larger.shape == (150, 152, 3)
        deep = upscaler.official(pixels.astype(np.uint16) * 257)
        assert deep.dtype == np.uint16
        assert np.abs(deep / 257 - upscaler.official(pixels).astype(float)).max() <= 0.51


def test_half_precision_keeps_the_levels(photo: np.ndarray) -> None:
    """The last layer is computed in float32: else a bright picture in bfloat16 has 128 levels."""
    net = small_rrdb(4)
    full, half = (RealESRGAN(net, dtype=t).upscale(photo[:40, :40]) for t in (torch.float32, torch.bfloat16))
    assert np.abs(full - half).mean() < 0.01
    bright = half[(half > 0.5) & (half < 1)]
    assert len(np.unique(bright)) > 200


def test_a_batch_is_the_same_as_one_by_one() -> None:
    x = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    for net in (small_srvgg(), small_rrdb(4), small_rrdb(2), small_rrdb(1)):
        with torch.inference_mode():
            torch.testing.assert_close(net(x)[1:], net(x[1:]))


@pytest.mark.parametrize(
    ("net", "wanted"),
    [
        (RRDBNet(4, 16, 1, 8), (4, 1)),
        (RRDBNet(2, 8, 3, 4), (2, 3)),
        (RRDBNet(1, 8, 2, 4), (1, 2)),
        (SRVGGNetCompact(4, 8, 16), (4, 16)),
        (SRVGGNetCompact(2, 8, 3), (2, 3)),
    ],
)
def test_the_size_is_read_from_the_weights(net: RRDBNet | SRVGGNetCompact, wanted: tuple[int, int]) -> None:
    tensors = unpack({"params": {"x": torch.zeros(1)}, "params_ema": {**net.state_dict(), "note": "text"}})
    found = recognise(tensors)
    assert type(found) is type(net)
    assert found.scale == wanted[0]
    depth = len(found.body) if isinstance(found, RRDBNet) else (len(found.body) - 3) // 2
    assert depth == wanted[1]
    shapes = {k: v.shape for k, v in net.state_dict().items()}
    assert {k: v.shape for k, v in found.state_dict().items()} == shapes
    assert {k: v.shape for k, v in unpack({"params": net.state_dict()}).items()} == shapes
    assert {k: v.shape for k, v in unpack(net.state_dict()).items()} == shapes


def test_weights_of_others_are_not_recognised() -> None:
    assert recognise({}) is None
    assert recognise(nn.Sequential(nn.Conv2d(3, 4, 3)).state_dict()) is None
    assert recognise({"body.0.weight": torch.zeros(4), "body.1.weight": torch.zeros(4)}) is None
    with pytest.raises(ValueError, match="scale must be"):
        RRDBNet(3)


def test_denoise_strength_mixes_two_networks() -> None:
    a, b = {"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}
    assert [mix_denoise(a, b, s)["w"].item() for s in (0.0, 0.25, 1.0)] == [3.0, 2.5, 1.0]
    with pytest.raises(ValueError, match="strength"):
        mix_denoise(a, b, 1.5)
    with pytest.raises(ValueError, match="same keys"):
        mix_denoise(a, {}, 0.5)


def test_loading_from_a_file(tmp_path: Path) -> None:
    pytest.importorskip("likeness.weights.checkpoint")
    from likeness.weights.errors import WeightsError

    net = small_rrdb(2)
    torch.save({"params_ema": net.state_dict()}, tmp_path / "x2.pth")
    picture = np.random.default_rng(0).random((20, 30, 3), np.float32)
    loaded = load_upscaler("realesrgan", 2, tmp_path / "x2.pth")
    np.testing.assert_array_equal(loaded.upscale(picture), RealESRGAN(net).upscale(picture))
    with pytest.raises(ValueError, match="enlarges 2 times, not 4"):
        load_upscaler("realesrgan", 4, tmp_path / "x2.pth")
    with pytest.raises(ValueError, match="needs a file"):
        load_upscaler("realesrgan")
    torch.save({"params": {"other": torch.zeros(2)}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="no weights of Real-ESRGAN"):
        load_realesrgan(tmp_path / "other.pth")
    with pytest.raises(WeightsError):
        load_realesrgan(tmp_path / "absent.pth")

    general = small_srvgg()
    torch.save({"params": general.state_dict()}, tmp_path / "general.pth")
    torch.save({"params": {k: 0 * v for k, v in general.state_dict().items()}}, tmp_path / "wdn.pth")
    plain = load_realesrgan(tmp_path / "general.pth", denoising=tmp_path / "wdn.pth", strength=0.0).upscale(picture)
    np.testing.assert_allclose(plain, repeat(picture, 4), atol=1e-6)  # all weights 0: what is left is the input


def test_lanczos(photo: np.ndarray) -> None:
    upscaler = load_upscaler("lanczos", 3)
    assert upscaler.scale == 3
    out = upscaler.upscale(photo)
    assert out.shape == (450, 510, 3)
    assert out.dtype == np.float32
    assert 0 <= out.min() <= out.max() <= 1
    back = cv2.resize(out, (170, 150), interpolation=cv2.INTER_AREA)
    assert np.abs(back - photo).mean() < 0.01
    eight = upscaler.upscale(np.rint(photo * 255).astype(np.uint8))
    assert np.abs(eight / 255 - out).max() < 2 / 255
    np.testing.assert_array_equal(LanczosUpscaler(1).upscale(photo), photo)
    with pytest.raises(ValueError, match="at least 1"):
        LanczosUpscaler(0)
    with pytest.raises(ValueError, match="choose one of: lanczos, realesrgan"):
        load_upscaler("waifu")


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8),
              np.zeros((4, 4, 3))]
)  # fmt: skip
def test_wrong_images_are_refused(image: np.ndarray) -> None:
    for upscaler in (LanczosUpscaler(2), RealESRGAN(small_srvgg())):
        with pytest.raises(ValueError, match="image must be"):
            upscaler.upscale(image)


def test_wrong_settings_are_refused() -> None:
    for tile, overlap in ((63, 2), (64, 3), (64, 34), (0, 0)):
        with pytest.raises(ValueError, match="2 \\* overlap <= tile"):
            RealESRGAN(small_rrdb(2), tile=tile, overlap=overlap)
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="multiples of 2"):
        RealESRGAN(small_rrdb(2)).official(pixels, tile=5)
    with pytest.raises(ValueError, match="uint8 or uint16"):
        RealESRGAN(small_rrdb(2)).official(pixels.astype(np.float32))


def test_importing_loads_neither_opencv_nor_torch() -> None:
    code = "import sys, likeness.upscale; print([m for m in ('cv2', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
