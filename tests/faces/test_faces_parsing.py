"""Face parsing and the paste-back masks made of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from likeness.faces import paste_face
from likeness.faces.parsing import (
    BISENET_CLASSES,
    NOT_PASTED,
    PARSENET_CLASSES,
    FaceParser,
    ParsingMask,
    load_parser,
    parsing_mask,
    square_mask,
)
from likeness.nets.bisenet import BiSeNet
from likeness.nets.parsenet import ParseNet


class Halves(nn.Module):
    """In place of ParseNet: neck (17) in the bottom half, else skin (1) where the picture is bright and hat (14)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.zeros(len(x), 19, *x.shape[-2:])
        logits[:, 1] = x.mean(dim=1)
        logits[:, 14] = -x.mean(dim=1)
        logits[:, 17, x.shape[-2] // 2 :] = 9
        return logits, x


def parser(net: nn.Module | None = None) -> FaceParser:
    return FaceParser(net or Halves())  # type: ignore[arg-type]


def crop() -> np.ndarray:
    """Bright on the left, dark on the right."""
    picture = np.full((512, 512, 3), 0.9, np.float32)
    picture[:, 300:] = 0.1
    return picture


def test_both_networks_know_the_same_parts() -> None:
    """And the parts that stay as they were are the published classes 0, 14, 16, 17, 18 of ParseNet."""
    assert sorted(PARSENET_CLASSES) == sorted(BISENET_CLASSES)
    numbers = np.arange(19, dtype=np.uint8)
    assert np.flatnonzero(~parser().pasted(numbers)).tolist() == [0, 14, 16, 17, 18]
    bisenet = FaceParser(BiSeNet())
    assert {bisenet.names[i] for i in np.flatnonzero(~bisenet.pasted(numbers))} == NOT_PASTED


def test_classes_of_crops() -> None:
    maps = parser().classes(np.stack([crop(), crop()[:, ::-1]]))
    assert maps.dtype == np.uint8
    assert maps.shape == (2, 512, 512)
    assert (maps[0, :256, :300] == 1).all()
    assert (maps[0, :256, 300:] == 14).all()
    assert (maps[:, 256:] == 17).all()
    assert (maps[1, :256, 212:] == 1).all()


def test_classes_take_the_real_networks_and_their_ranges() -> None:
    """Each network sees the range that it was trained on."""
    seen: list[Tensor] = []
    for net in (ParseNet(base=8, limits=(8, 16), depth=1), BiSeNet()):
        net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        if isinstance(net, BiSeNet):
            net.cp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        maps = FaceParser(net).classes(crop()[None])
        assert maps.max() < 19
    assert seen[0][0, 0, 0, 0] == pytest.approx(0.8)
    np.testing.assert_allclose(seen[1][0, :, 0, 0], (0.9 - np.array(BiSeNet.MEAN)) / np.array(BiSeNet.STD), rtol=1e-5)


@pytest.mark.parametrize("net", [ParseNet(base=8, limits=(8, 16), depth=1), BiSeNet()], ids=["parsenet", "bisenet"])
def test_a_batch_is_the_same_as_one_by_one(net: nn.Module) -> None:
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        both, single = net.eval()(x), net(x[1:])
    for a, b in zip(both, single, strict=True):
        assert a.shape[-2:] == x.shape[-2:]
        torch.testing.assert_close(a[1:], b)


def test_parsing_mask_is_soft_and_framed() -> None:
    pasted = np.zeros((512, 512), bool)
    pasted[:, :256] = True
    mask = parsing_mask(pasted)
    assert mask.dtype == np.float32
    assert not mask[:10].any()
    assert not mask[-10:].any()
    assert not mask[:, :10].any()
    assert (mask[10:-10, 10:150] > 0.999).all()
    assert not mask[:, 256 + 101 :].any()
    # Two Gaussians of sigma 11 are one of sigma 11 * sqrt(2): the edge is its integral.
    offsets = (np.arange(216, 296) + 0.5 - 256) / (11 * np.sqrt(2))
    wanted = [0.5 * (1 - torch.erf(torch.tensor(t / np.sqrt(2))).item()) for t in offsets]
    np.testing.assert_allclose(mask[256, 216:296], wanted, atol=2e-3)


def official_square(side: int, upscale: int) -> np.ndarray:
    """The published steps for a crop of ``side`` pixels in a photo that is ``upscale`` times enlarged."""
    margin = 40
    mask = np.pad(np.ones((side, side), np.float32), margin)
    mask = cv2.erode(mask, np.ones((2 * upscale, 2 * upscale), np.uint8))
    edge = int(np.sqrt(mask.sum())) // 20
    if edge:
        mask = cv2.erode(mask, np.ones((2 * edge, 2 * edge), np.uint8))
        mask = cv2.GaussianBlur(mask, (2 * edge + 1, 2 * edge + 1), 0)
    return np.asarray(mask[margin:-margin, margin:-margin])


@pytest.mark.parametrize(("side", "upscale"), [(512, 1), (512, 2), (300, 1), (128, 2), (60, 1)])
def test_square_mask_is_the_published_one_in_the_frame_of_the_crop(side: int, upscale: int) -> None:
    """Boxes of even size erode one pixel less to the right and below; ours are even on all sides."""
    mask = square_mask(side, upscale)
    assert mask.dtype == np.float32
    assert mask.max() == pytest.approx(1.0)
    for border in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
        assert not border.any()
    np.testing.assert_allclose(mask, mask[::-1, ::-1], atol=1e-6)
    official = official_square(side, upscale)
    ours = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)
    half = side // 2
    assert np.abs(ours - official)[:half, :half].max() < 0.02  # where the boxes reach as far as their name says
    assert 0 <= official.mean() - ours.mean() < 4.5 / side


def test_square_mask_of_a_tiny_face_keeps_a_middle() -> None:
    mask = square_mask(8.0)
    assert mask[256, 256] == 1
    assert not mask[0].any()
    with pytest.raises(ValueError, match="at least 1"):
        square_mask(0.5)


def test_parsing_mask_source_pastes_the_skin_only() -> None:
    source = ParsingMask(parser())
    mask = source.mask(crop())
    assert mask.shape == (512, 512)
    assert mask[120, 150] > 0.99
    assert mask[120, 450] < 0.01  # the hat
    assert mask[450, 150] < 0.01  # the neck
    pixels = np.full((512, 512, 3), 100, np.uint8)
    paste_face(pixels, crop(), np.clip(crop() + np.float32(0.1) * np.eye(512, dtype=np.float32)[..., None], 0, 1),
               np.eye(2, 3), mask)  # fmt: skip
    assert (pixels[200:, 420:] == 100).all()


def test_the_square_limits_the_parsing_mask() -> None:
    bright = np.full((512, 512, 3), 0.9, np.float32)
    free, limited = ParsingMask(parser()).mask(bright), ParsingMask(parser(), square=True).mask(bright)
    np.testing.assert_array_equal(limited, np.minimum(free, square_mask()))
    assert free[12, 256] > 0.9
    assert limited[12, 256] < 0.1


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 512, 512), np.float32), np.zeros((1, 256, 256, 3), np.float32), np.zeros((1, 512, 512, 3))]
)
def test_wrong_crops_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="crops must be"):
        parser().classes(wrong)
    with pytest.raises(ValueError, match="pasted must be"):
        parsing_mask(np.zeros((5, 5), bool))


@pytest.mark.parametrize(("net", "names"), [(ParseNet, PARSENET_CLASSES), (BiSeNet, BISENET_CLASSES)])
def test_loading_tells_the_networks_apart(tmp_path: Path, net: type[nn.Module], names: tuple[str, ...]) -> None:
    path = tmp_path / "parsing.pth"
    filled = net().eval()
    torch.save(filled.state_dict(), path)
    loaded = load_parser(path)
    assert loaded.names == names
    picture = np.random.default_rng(0).random((1, 512, 512, 3), np.float32)
    if net is BiSeNet:  # the other takes seconds
        np.testing.assert_array_equal(loaded.classes(picture), FaceParser(filled).classes(picture))  # type: ignore[arg-type]
