"""The SCRFD detector: decoding by hand, letterbox, a file with its inputs and outputs run by onnxruntime."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_detectors
from face_scenes import similarity

from likeness.faces import FFHQ_TEMPLATE, Detector
from likeness.faces.geometry import apply_transform
from likeness.faces.letterbox import letterbox
from likeness.faces.scrfd import ScrfdDetector, decode, load_scrfd, read_network
from likeness.weights.errors import WeightsError


def nothing(side: int) -> list[np.ndarray]:
    """What SCRFD says of an empty frame: scores of three strides, boxes, landmarks."""
    return [np.zeros((2 * (side // s) ** 2, n), np.float32) for n in (1, 4, 10) for s in (8, 16, 32)]


class Sees:
    """In place of the network: it tells of the faces (score, box (4,), landmarks (5, 2); photo pixels) that it was told
    of, by the second anchor of the cell of the nose, stride 16."""

    def __init__(self, photo: tuple[int, int], *faces: tuple[float, np.ndarray, np.ndarray]) -> None:
        self.photo, self.faces = photo, faces
        self.seen: list[np.ndarray] = []

    def __call__(self, blob: np.ndarray) -> list[np.ndarray]:
        self.seen.append(blob)
        side = blob.shape[-1]
        box = letterbox(np.zeros((*self.photo, 3), np.uint8), side, True)
        factor = np.array([box.width / self.photo[1], box.height / self.photo[0]])
        outputs = nothing(side)
        for score, corners, points in self.faces:
            cell = (points[2] * factor // 16).astype(int).clip(0, side // 16 - 1)
            at = 2 * int(cell[1] * (side // 16) + cell[0]) + 1
            low, high = corners[:2] * factor / 16, corners[2:] * factor / 16
            outputs[1][at] = score
            outputs[4][at] = [*(cell - low), *(high - cell)]
            outputs[7][at] = (points * factor / 16 - cell).ravel()
        return outputs


def face_at(x: float, y: float, size: float, degrees: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Box (4,) and landmarks (5, 2) of a face with the nose at x, y whose crop has ``size`` pixels."""
    at = similarity(size / 512, degrees, 0, 0)
    at[:, 2] = np.array([x, y]) - at[:, :2] @ FFHQ_TEMPLATE[2]
    return np.array([x - 0.3 * size, y - 0.4 * size, x + 0.3 * size, y + 0.4 * size]), apply_transform(
        at, FFHQ_TEMPLATE
    )


@pytest.mark.parametrize("anchor", [0, 1])
@pytest.mark.parametrize("batch", [True, False])
def test_decoding_by_hand(anchor: int, batch: bool) -> None:
    outputs = nothing(64)
    at = 2 * 6 + anchor  # stride 16, four columns: column 2, row 1, whose centre is 32, 16
    outputs[1][at] = 0.75
    outputs[4][at] = [1.0, 0.5, 0.25, 2.0]
    outputs[7][at] = np.arange(10) / 10
    outputs[2][7] = 0.6  # stride 32: column 1, row 1
    outputs[0][3] = 0.4
    if batch:
        outputs = [output[None] for output in outputs]
    rows = decode(outputs, 64, 0.5)
    assert rows.shape == (2, 15)
    np.testing.assert_allclose(rows[0, :5], [32 - 16, 16 - 8, 32 + 4, 16 + 32, 0.75])
    np.testing.assert_allclose(rows[0, 5:], (np.tile([2, 1], 5) + np.arange(10) / 10) * 16, atol=1e-5)
    np.testing.assert_allclose(rows[1], [32, 32, 32, 32, 0.6, *[32] * 10], atol=1e-6)
    assert len(decode(outputs, 64, 0.75)) == 1
    assert len(decode(outputs, 64, 0.76)) == 0
    assert decode(outputs, 64, 0.0).shape == (2 * (64 + 16 + 4), 15)


def test_other_outputs_are_refused() -> None:
    outputs = nothing(64)
    with pytest.raises(ValueError, match="it has 6 outputs, not 9"):
        decode(outputs[:6], 64, 0.5)  # the network without landmarks
    by_stride = [outputs[part * 3 + level] for level in range(3) for part in range(3)]
    with pytest.raises(ValueError, match=r"its output boxes of stride 8 for 64 pixels is \(32, 1\), not \(128, 4\)"):
        decode(by_stride, 64, 0.5)
    one_anchor = [output[::2] for output in outputs]
    with pytest.raises(ValueError, match=r"scores of stride 8 for 64 pixels is \(64, 1\), not \(128, 1\)"):
        decode(one_anchor, 64, 0.5)


@pytest.mark.parametrize("sides", [(640,), (640, 320), (1280,)])
@pytest.mark.parametrize(("height", "width"), [(4000, 6000), (479, 641), (1001, 333), (97, 131), (640, 640)])
def test_faces_are_given_in_photo_pixels(height: int, width: int, sides: tuple[int, ...]) -> None:
    short = min(height, width)
    told = [(0.9, *face_at(width * 0.3, height * 0.4, 0.6 * short, 20)),
            (0.7, *face_at(width * 0.8, height * 0.7, 0.45 * short, -15)),
            (0.45, *face_at(width * 0.1, height * 0.9, 0.6 * short))]  # fmt: skip
    network = Sees((height, width), *told)
    detector: Detector = ScrfdDetector(network, sides=sides)
    faces = detector.detect(np.zeros((height, width, 3), np.uint8))
    assert [blob.shape for blob in network.seen] == [(1, 3, side, side) for side in sorted(sides)]
    assert [face.score for face in faces] == pytest.approx([0.9, 0.7], abs=1e-6)
    for face, (_, box, points), degrees in zip(faces, told, (20, -15), strict=False):
        np.testing.assert_allclose(face.box, box, atol=1e-5 * max(height, width))
        np.testing.assert_allclose(face.landmarks, points, atol=1e-5 * max(height, width))
        turned = np.degrees(np.arctan2(face.transform[1, 0], face.transform[0, 0]))
        assert turned == pytest.approx(-degrees, abs=0.5)
        np.testing.assert_allclose(apply_transform(face.transform, face.landmarks), FFHQ_TEMPLATE, atol=2.0)


def test_the_network_sees_red_green_blue_about_zero() -> None:
    network = Sees((320, 640))
    pixels = np.empty((320, 640, 3), np.uint8)
    pixels[...] = (255, 0, 191)
    assert ScrfdDetector(network).detect(pixels) == []
    (blob,) = network.seen
    assert blob.dtype == np.float32
    np.testing.assert_allclose(blob[0, :, 5, 600], [127.5 / 128, -127.5 / 128, 63.5 / 128], rtol=1e-6)
    np.testing.assert_allclose(blob[0, :, 320:], -127.5 / 128, rtol=1e-6)  # black below the picture


def test_settings() -> None:
    first, second = face_at(300, 300, 512 * 5.5 / 126), face_at(100, 100, 512 * 4.5 / 126)
    beside = (first[0] + (6, 0, 6, 0), first[1] + (6, 0))  # IoU 0.38 with the first
    told = [(0.7, *first), (0.95, *second), (0.6, *beside)]
    told[2] = (0.6, told[2][1], np.where(np.arange(5)[:, None] == 2, told[2][2] + (12, 0), told[2][2]))  # another cell
    pixels = np.zeros((640, 640, 3), np.uint8)

    def found(**settings: float) -> list[float]:
        faces = ScrfdDetector(Sees((640, 640), *told), **settings).detect(pixels)  # type: ignore[arg-type]
        return sorted(round(face.score, 2) for face in faces)

    assert found() == [0.6, 0.7]
    assert found(overlap=0.3) == [0.7]
    assert found(smallest=4.0) == [0.6, 0.7, 0.95]
    assert found(smallest=4.0, threshold=0.65) == [0.7, 0.95]
    assert found(smallest=6.0) == []
    for wrong in ({"threshold": -0.5}, {"overlap": 1.1}, {"smallest": float("nan")}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is out of range"):
            ScrfdDetector(Sees((1, 1)), **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="sides must be multiples of 32"):
        ScrfdDetector(Sees((1, 1)), sides=(600,))


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (7, 5), (3000, 2)])
def test_tiny_pictures_have_no_faces(shape: tuple[int, int]) -> None:
    assert ScrfdDetector(Sees(shape)).detect(np.full((*shape, 3), 128, np.uint8)) == []


def test_wrong_pixels_are_refused() -> None:
    detector = ScrfdDetector(Sees((50, 50)))
    assert detector.name == "scrfd"
    with pytest.raises(ValueError, match="uint8"):
        detector.detect(np.zeros((50, 50, 3), dtype=np.uint16))
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        detector.detect(np.zeros((0, 50, 3), dtype=np.uint8))


def test_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "det_10g.onnx").write_bytes(b"whatever it holds")
    with pytest.raises(WeightsError, match=r"needs onnxruntime: pip install 'likeness\[fast\]'") as caught:
        load_scrfd(tmp_path / "det_10g.onnx")
    assert "\n" not in str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"needs the package {package}: pip install 'likeness[fast]'")
    return lambda **options: tiny_detectors.write(tmp_path / "det ü.onnx", "scrfd", **options)


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("side", [640, "?"])
def test_a_file_finds_what_is_red(file: Callable[..., Path], stride: int, batch: bool, side: int | str) -> None:
    """In a photo of 6000 x 4000: the cell, the order and scale of the channels, the anchors, and the way back."""
    pixels = np.full((4000, 6000, 3), (60, 60, 200), np.uint8)
    detector = load_scrfd(file(strides=(stride,), batch=batch, side=side))
    assert detector.detect(pixels) == []
    column, row = 256 // stride, 128 // stride
    cell = 6000 / 640 * stride
    rows, columns = (slice(round(at * cell), round((at + 1) * cell)) for at in (row, column))
    pixels[rows, columns] = (255, 0, 0)
    (face,) = detector.detect(pixels)  # of the first anchor: the second has half its score, about 0.5, or less
    assert face.score == pytest.approx(1.0, abs=0.1)
    low, high = tiny_detectors.LOW, tiny_detectors.HIGH
    factor = np.array([6000 / 640, 4000 / 427])
    corner = np.array([column, row])
    wanted = np.concatenate([corner + low, corner + high]) * stride * np.tile(factor, 2)
    np.testing.assert_allclose(face.box, wanted, atol=0.01)
    np.testing.assert_allclose(face.landmarks, (corner + tiny_detectors.POINTS) * stride * factor, atol=0.01)


def test_sides_and_files(file: Callable[..., Path]) -> None:
    """A file that is free takes any side; one for a certain size says so."""
    pixels = np.zeros((300, 400, 3), np.uint8)
    free = ScrfdDetector(read_network(file(side="?")), sides=(640, 320, 96))
    assert free.detect(pixels) == []
    fixed = read_network(file(side=320))
    assert ScrfdDetector(fixed, sides=(320,)).detect(pixels) == []
    with pytest.raises(WeightsError, match=r"is for frames of \[320, 320\] pixels, not of 640"):
        ScrfdDetector(fixed).detect(pixels)


def test_missing_and_damaged_files(
    file: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "det_10g.onnx"
    with pytest.raises(WeightsError, match=r"det_10g\.onnx are not there"):
        load_scrfd(path)
    for data in (b"", b"PK\x03\x04 a zip pack", b"\x08\x07" * 500, file().read_bytes()[:-300]):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=r"det_10g\.onnx is not an intact ONNX file") as caught:
            load_scrfd(path)
        assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_files_of_other_networks(file: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is not SCRFD with landmarks: it has 8 outputs, not 9"):
        load_scrfd(file(drop="kps_32"))
    other = tiny_detectors.write(tmp_path / "yunet.onnx", "yunet")
    with pytest.raises(WeightsError, match="is not SCRFD with landmarks: it has 12 outputs, not 9") as caught:
        load_scrfd(other)
    assert "\n" not in str(caught.value)
