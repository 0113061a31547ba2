"""The RetinaFace detector around its network: anchors, decoding, suppression, sizes, faces of the photo."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from face_scenes import similarity
from torch import Tensor

from likeness.faces import FFHQ_TEMPLATE, Detector
from likeness.faces.geometry import apply_transform
from likeness.faces.retinaface import RetinaFaceDetector, anchors, decode, detect_rows, load_retinaface, suppress
from likeness.nets.retinaface import RetinaFace


class Told(RetinaFace):
    """In place of the network: it sees the faces that it is told of, which lie at fixed shares of the picture.

    Each is a score and the landmarks as shares; it is told by the anchor nearest to the nose.
    """

    def __init__(self, *faces: tuple[float, np.ndarray]) -> None:
        torch.nn.Module.__init__(self)
        self.faces, self.seen = faces, []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.seen.append(x)
        priors = anchors(*x.shape[-2:])
        boxes, scores, points = torch.zeros(len(priors), 4), torch.zeros(len(priors), 2), torch.zeros(len(priors), 10)
        scores[:, 0] = 1
        for score, shares in self.faces:
            landmarks = torch.from_numpy(shares).float()
            at = int((priors[:, :2] - landmarks[2]).norm(dim=1).argmin())
            scores[at] = torch.tensor([1 - score, score])
            prior = priors[at]
            points[at] = ((landmarks - prior[:2]) / (0.1 * prior[2:])).flatten()
            low, high = landmarks.amin(dim=0), landmarks.amax(dim=0)
            boxes[at, :2] = ((low + high) / 2 - prior[:2]) / (0.1 * prior[2:])
            boxes[at, 2:] = torch.log((high - low) / prior[2:]) / 0.2
        return boxes[None], scores[None], points[None]


@pytest.fixture(scope="module")
def net() -> RetinaFace:
    return RetinaFace().eval()


def shares(height: int, width: int, scale: float, degrees: float, x: float, y: float) -> np.ndarray:
    """The template's points, scaled, turned, with the nose at x, y (pixels), as shares of the picture."""
    at = similarity(scale, degrees, 0, 0)
    at[:, 2] = np.array([x, y]) - at[:, :2] @ FFHQ_TEMPLATE[2]
    return apply_transform(at, FFHQ_TEMPLATE) / (width, height)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (1, 1), (33, 100), (224, 288)])
def test_there_is_an_anchor_for_every_output(net: RetinaFace, height: int, width: int) -> None:
    with torch.inference_mode():
        outputs = net(torch.zeros(1, 3, height, width))
    priors = anchors(height, width)
    assert [tuple(o.shape) for o in outputs] == [(1, len(priors), n) for n in (4, 2, 10)]
    torch.testing.assert_close(outputs[1].sum(dim=-1), torch.ones(1, len(priors)))
    assert ((priors[:, :2] > 0) & (priors[:, :2] < 1 + 32 / min(height, width))).all()
    wanted = torch.tensor([[4 / width, 4 / height, s / width, s / height] for s in (16, 32)])
    torch.testing.assert_close(priors[:2], wanted)
    if width > 8:
        assert priors[2, 0].item() == pytest.approx(12 / width)


def test_a_batch_is_the_same_as_one_by_one(net: RetinaFace) -> None:
    x = 50 * torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for both, single in zip(net(x), net(x[1:]), strict=True):
            torch.testing.assert_close(both[1:], single, atol=1e-4, rtol=1e-4)


def test_decoding_by_hand() -> None:
    priors = torch.tensor([[0.5, 0.25, 0.2, 0.1]])
    boxes = torch.tensor([[1.0, -1.0, 0.0, math.log(2) / 0.2]])
    corners, points = decode(boxes, torch.arange(10.0)[None], priors)
    torch.testing.assert_close(corners, torch.tensor([[0.42, 0.14, 0.62, 0.34]]))
    torch.testing.assert_close(points[0, 1], torch.tensor([0.5 + 2 * 0.1 * 0.2, 0.25 + 3 * 0.1 * 0.1]))
    assert points.shape == (1, 5, 2)


def test_suppression_keeps_the_best_of_those_that_overlap() -> None:
    corners = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [5, 0, 15, 10], [0, 0, 10, 4]], np.float32)
    scores = np.array([0.8, 0.9, 0.7, 0.95, 0.6], np.float32)
    # 3 takes 1 (IoU 0.43), but neither 0 (0.33) nor 2; 4 overlaps 0 by exactly 0.4, which is not more.
    assert suppress(corners, scores, 0.4).tolist() == [3, 0, 2, 4]
    assert suppress(corners, scores, 0.39).tolist() == [3, 0, 2]
    assert suppress(corners, scores, 0.3).tolist() == [3, 2, 4]
    assert suppress(corners, scores, 1.0).tolist() == [3, 1, 0, 2, 4]
    assert suppress(corners[:0], scores[:0], 0.4).tolist() == []
    same = np.full(3, 0.5, np.float32)
    assert suppress(corners[[0, 2, 4]], same, 0.4).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("height", "width"), [(300, 400), (2500, 2000), (640, 900), (3000, 200)])
@pytest.mark.parametrize("short_side", [640, None])
def test_faces_are_given_in_photo_pixels(height: int, width: int, short_side: int | None) -> None:
    """Whatever the size that the network saw."""
    side = min(height, width)
    scale = 0.4 * side / 512
    told = [(0.99, shares(height, width, scale, 20, width * 0.4, height * 0.5)),
            (0.98, shares(height, width, scale * 0.6, -15, width * 0.6, height * 0.2)),
            (0.96, shares(height, width, scale, 0, width * 0.7, height * 0.8))]  # fmt: skip
    network = Told(*told)
    detector: Detector = RetinaFaceDetector(network, short_side=short_side)
    faces = detector.detect(np.zeros((height, width, 3), np.uint8))
    seen = network.seen[0].shape[-2:]
    if short_side is None or max(height, width) == 3000:
        assert max(seen) <= 4096
        assert short_side or seen == (height, width)
    else:
        assert min(seen) == 640
    assert [face.score for face in faces] == pytest.approx([0.99, 0.98])  # by area; 0.96 is below the threshold
    for face, (_, wanted), factor, degrees in zip(faces, told, (1, 0.6), (20, -15), strict=False):
        np.testing.assert_allclose(face.landmarks, wanted * (width, height), atol=0.02 * side / 60)
        assert face.scale == pytest.approx(1 / (scale * factor), rel=0.01)
        turned = np.degrees(np.arctan2(face.transform[1, 0], face.transform[0, 0]))
        assert turned == pytest.approx(-degrees, abs=0.5)
        np.testing.assert_allclose(apply_transform(face.transform, face.landmarks), FFHQ_TEMPLATE, atol=1.0)
        x0, y0, x1, y1 = face.box
        low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
        np.testing.assert_allclose([x0, y0, x1, y1], [*low, *high], atol=0.02 * side)


def test_the_network_sees_blue_green_red_less_the_mean() -> None:
    network = Told()
    pixels = np.empty((640, 640, 3), np.uint8)
    pixels[...] = (10, 20, 30)
    assert RetinaFaceDetector(network).detect(pixels[:, ::-1]) == []
    np.testing.assert_allclose(network.seen[0][0, :, 5, 5], [30 - 104, 20 - 117, 10 - 123])


def test_tiny_and_odd_faces_are_dropped() -> None:
    """Eyes closer together than 5 pixels; landmarks that are no numbers; all landmarks in one point."""
    small = shares(640, 640, 4.0 / 126, 0, 100, 100)
    enough = shares(640, 640, 6.0 / 126, 0, 300, 300)
    one_point = np.full((5, 2), 0.8)
    one_point[:, 0] += [0, 1e-6, 0, 0, 2e-6]
    one_point[:, 1] += [0, 0, 0, 1e-6, 0]
    pixels = np.zeros((640, 640, 3), np.uint8)
    faces = RetinaFaceDetector(Told((0.99, small), (0.99, enough), (0.99, one_point))).detect(pixels)
    assert len(faces) == 1
    assert faces[0].landmarks[2] == pytest.approx([300, 300], abs=0.1)
    assert len(RetinaFaceDetector(Told((0.99, small)), smallest=3.0).detect(pixels)) == 1
    assert len(RetinaFaceDetector(Told((0.99, one_point)), smallest=0.0).detect(pixels)) == 0
    rows = detect_rows(Told((0.99, np.full((5, 2), np.nan))), torch.zeros(3, 64, 64), 0.5, 0.4)
    assert len(rows) == 0


def test_one_landmark_far_off_does_not_turn_the_crop() -> None:
    told = shares(640, 640, 0.5, 10, 320, 320)
    told[2] += 0.08
    face = RetinaFaceDetector(Told((0.99, told))).detect(np.zeros((640, 640, 3), np.uint8))[0]
    aligned = apply_transform(face.transform, face.landmarks)
    np.testing.assert_allclose(aligned[[0, 1, 3, 4]], FFHQ_TEMPLATE[[0, 1, 3, 4]], atol=1.5)
    assert np.abs(aligned[2] - FFHQ_TEMPLATE[2]).max() > 50


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 5), (3000, 2)])
@pytest.mark.parametrize("short_side", [32, None])
def test_tiny_pictures_pass_through_the_real_network(
    net: RetinaFace, shape: tuple[int, int], short_side: int | None
) -> None:
    detector = RetinaFaceDetector(net, threshold=1.0, short_side=short_side)
    assert detector.detect(np.full((*shape, 3), 128, dtype=np.uint8)) == []


def test_wrong_use_is_refused() -> None:
    detector = RetinaFaceDetector(Told())
    assert detector.name == "retinaface"
    with pytest.raises(ValueError, match="uint8"):
        detector.detect(np.zeros((50, 50, 3), dtype=np.float32))
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        detector.detect(np.zeros((50, 50), dtype=np.uint8))
    for wrong in ({"threshold": 1.5}, {"overlap": -0.1}, {"smallest": -1.0}, {"short_side": 8}, {"short_side": 9000}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is out of range"):
            RetinaFaceDetector(Told(), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("prefix", ["", "module."])
def test_loading_from_a_file(net: RetinaFace, tmp_path: Path, prefix: str) -> None:
    from likeness.weights.errors import WeightsError

    with torch.no_grad():
        for head in net.ClassHead:
            head.conv1x1.bias.copy_(torch.tensor([0.0, 0.3, 0.0, 0.0]))  # type: ignore[union-attr, operator]
    path = tmp_path / "detection.pth"
    torch.save({prefix + key: tensor for key, tensor in net.state_dict().items()}, path)
    loaded = load_retinaface(path)
    x = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    want = detect_rows(net, x, 0.55, 0.4)
    assert len(want) > 0
    np.testing.assert_array_equal(detect_rows(loaded._net, x, 0.55, 0.4), want)
    torch.save({"body.conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"detection\.pth"):
        load_retinaface(path)
