"""The YuNet detector: decoding by hand, letterbox, two looks, a file with its inputs and outputs run by OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_detectors
from face_scenes import similarity

from likeness.faces import FFHQ_TEMPLATE, Detector
from likeness.faces.candidates import best_rows, faces_of
from likeness.faces.geometry import apply_transform
from likeness.faces.letterbox import letterbox, look
from likeness.faces.yunet import OUTPUTS, YuNetDetector, decode, load_yunet, read_network
from likeness.weights.errors import WeightsError

Told = tuple[float, np.ndarray, np.ndarray]  # score, box (4,), landmarks (5, 2), as shares of the frame's side


def outputs_for(side: int, *faces: tuple[float, np.ndarray, np.ndarray, int]) -> list[np.ndarray]:
    """What YuNet would say of these faces: score, box (4,) and landmarks (5, 2) in frame pixels, index of the stride;
    the cell that tells of a face is that of its nose."""
    outputs = [np.zeros((1, (side // s) ** 2, n), np.float32) for n in (1, 1, 4, 10) for s in (8, 16, 32)]
    for score, box, points, level in faces:
        stride = (8, 16, 32)[level]
        column, row = (points[2] // stride).clip(0, side // stride - 1)
        at = int(row * (side // stride) + column)
        outputs[level][0, at] = score
        outputs[3 + level][0, at] = score
        middle, extent = (box[:2] + box[2:]) / 2 / stride, (box[2:] - box[:2]) / stride
        outputs[6 + level][0, at] = [*(middle - (column, row)), *np.log(extent)]
        outputs[9 + level][0, at] = (points / stride - (column, row)).ravel()
    return outputs


class Sees:
    """In place of the network: it tells of the faces that it was told of, as they lie in this letterbox."""

    def __init__(self, photo: tuple[int, int], *faces: tuple[float, np.ndarray, np.ndarray]) -> None:
        self.photo, self.faces = photo, faces
        self.seen: list[np.ndarray] = []

    def __call__(self, blob: np.ndarray) -> list[np.ndarray]:
        self.seen.append(blob)
        side = blob.shape[-1]
        box = letterbox(np.zeros((*self.photo, 3), np.uint8), side, False)
        factor = np.array([box.width / self.photo[1], box.height / self.photo[0]])
        rows = [(score, corners * np.tile(factor, 2), points * factor, 1) for score, corners, points in self.faces]
        return outputs_for(side, *rows)


def face_at(x: float, y: float, size: float, degrees: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Box (4,) and landmarks (5, 2) of a face with the nose at x, y whose crop has ``size`` pixels."""
    at = similarity(size / 512, degrees, 0, 0)
    at[:, 2] = np.array([x, y]) - at[:, :2] @ FFHQ_TEMPLATE[2]
    points = apply_transform(at, FFHQ_TEMPLATE)
    return np.array([x - 0.3 * size, y - 0.4 * size, x + 0.3 * size, y + 0.4 * size]), points


def test_decoding_by_hand() -> None:
    outputs = [np.zeros((1, (64 // s) ** 2, n), np.float32) for n in (1, 1, 4, 10) for s in (8, 16, 32)]
    outputs[1][0, 6], outputs[4][0, 6] = 0.9, 0.4  # stride 16, four columns: column 2, row 1
    outputs[7][0, 6] = [0.5, 0.25, np.log(2), np.log(3)]
    outputs[10][0, 6] = np.arange(10) / 10
    outputs[2][0, 3], outputs[5][0, 3] = 1.7, 1.2  # clamped; stride 32: column 1, row 1
    outputs[0][0, 9], outputs[3][0, 9] = 1.0, -0.1
    rows = decode(outputs, 64, 0.59)
    assert rows.shape == (2, 15)
    np.testing.assert_allclose(rows[0, :5], [40 - 16, 20 - 24, 40 + 16, 20 + 24, 0.6], atol=1e-5)
    wanted = (np.tile([2, 1], 5) + np.arange(10) / 10) * 16
    np.testing.assert_allclose(rows[0, 5:], wanted, atol=1e-5)
    np.testing.assert_allclose(rows[1, :5], [16, 16, 48, 48, 1.0])
    np.testing.assert_allclose(rows[1, 5:], 32)
    np.testing.assert_array_equal(decode([output[0] for output in outputs], 64, 0.59), rows)  # without a batch axis
    assert len(decode(outputs, 64, 0.61)) == 1
    assert decode(outputs, 64, 0.0).shape == (64 + 16 + 4, 15)


def test_other_outputs_are_refused() -> None:
    outputs = outputs_for(64)
    with pytest.raises(ValueError, match="it has 11 outputs, not 12"):
        decode(outputs[:-1], 64, 0.5)
    with pytest.raises(ValueError, match=r"its output cls of stride 8 for 96 pixels is \(1, 64, 1\), not \(144, 1\)"):
        decode(outputs, 96, 0.5)
    with pytest.raises(ValueError, match="bbox of stride 16"):
        decode([*outputs[:7], outputs[7].transpose(0, 2, 1), *outputs[8:]], 64, 0.5)


def test_boxes_that_are_none_are_left_out() -> None:
    good, points = face_at(32, 32, 60)
    outputs = outputs_for(64, (0.9, good, points, 0))
    outputs[0][0, :3] = outputs[3][0, :3] = 0.99
    outputs[6][0, 0, 2] = 1e4  # the exponential overflows
    outputs[6][0, 1, 2] = -1e4  # no width
    outputs[9][0, 2, 0] = np.nan
    assert len(decode(outputs, 64, 0.5)) == 4
    np.testing.assert_allclose(best_rows(decode(outputs, 64, 0.5), 0.3)[:, :4], [good], atol=1e-4)


@pytest.mark.parametrize(
    ("height", "width", "side", "enlarge", "size"),
    [
        (480, 640, 640, False, (480, 640)),  # fits as it is
        (4000, 6000, 640, False, (427, 640)),  # 426.67 rows
        (6001, 3999, 320, False, (320, 213)),
        (101, 77, 640, False, (101, 77)),
        (101, 77, 640, True, (640, 488)),
        (1, 5000, 640, False, (1, 640)),  # the short side stays a pixel
        (1, 1, 64, True, (64, 64)),
    ],
)
def test_letterbox(height: int, width: int, side: int, enlarge: bool, size: tuple[int, int]) -> None:
    pixels = np.full((height, width, 3), (200, 100, 50), np.uint8)
    box = letterbox(pixels, side, enlarge)
    assert box.frame.shape == (side, side, 3)
    assert (box.height, box.width) == size
    assert (box.frame[: size[0], : size[1]] == (200, 100, 50)).all()
    assert not box.frame[size[0] :].any()
    assert not box.frame[:, size[1] :].any()
    # The corners of the picture are the corners of the photo, exactly, whatever was rounded.
    row = np.array([[0, 0, size[1], size[0], 0.5, *[size[1], size[0]] * 5]], np.float64)
    np.testing.assert_allclose(box.to_photo(row)[0], [0, 0, width, height, 0.5, *[width, height] * 5], rtol=1e-12)


def test_what_lies_in_the_black_part_is_left_out() -> None:
    box = letterbox(np.zeros((100, 200, 3), np.uint8), 64, False)  # 64 x 32 pixels of the frame
    rows = np.zeros((3, 15))
    rows[:, :4] = [[0, 33, 20, 60], [0, 30, 20, 60], [-20, -20, -1, 5]]
    np.testing.assert_allclose(box.to_photo(rows)[:, :4], [[0, 93.75, 62.5, 187.5]])


def test_fine_patterns_do_not_alias_in_the_frame() -> None:
    stripes = np.zeros((3000, 3000, 3), np.uint8)
    stripes[:, ::2] = 255
    frame = letterbox(stripes, 320, False).frame
    assert np.abs(frame.astype(int) - 127).max() <= 20


@pytest.mark.parametrize(
    ("height", "width"), [(4000, 6000), (479, 641), (641, 479), (1001, 333), (320, 320), (97, 131), (640, 640)]
)
def test_faces_are_given_in_photo_pixels(height: int, width: int) -> None:
    short = min(height, width)
    told = [(0.95, *face_at(width * 0.3, height * 0.4, 0.6 * short, 20)),
            (0.8, *face_at(width * 0.8, height * 0.7, 0.45 * short, -15)),
            (0.5, *face_at(width * 0.1, height * 0.9, 0.6 * short))]  # fmt: skip
    network = Sees((height, width), *told)
    detector: Detector = YuNetDetector(network)
    faces = detector.detect(np.zeros((height, width, 3), np.uint8))
    assert [blob.shape[-1] for blob in network.seen] == ([320] if max(height, width) <= 320 else [320, 640])
    assert [face.score for face in faces] == pytest.approx([0.95, 0.8], abs=1e-6)
    for face, (_, box, points), degrees in zip(faces, told, (20, -15), strict=False):
        np.testing.assert_allclose(face.box, box, atol=1e-5 * max(height, width))
        np.testing.assert_allclose(face.landmarks, points, atol=1e-5 * max(height, width))
        turned = np.degrees(np.arctan2(face.transform[1, 0], face.transform[0, 0]))
        assert turned == pytest.approx(-degrees, abs=0.5)
        np.testing.assert_allclose(apply_transform(face.transform, face.landmarks), FFHQ_TEMPLATE, atol=2.0)


def test_a_face_is_reported_once_whatever_saw_it() -> None:
    """Both looks, and neighbouring boxes within one; the best score stays, and others apart from it stay."""
    one, points = face_at(100, 100, 100)
    rows = [(0.9, one, points), (0.7, one + 16, points + 16), (0.8, one + 150, points + 150)]
    network = Sees((400, 400), *rows)
    faces = YuNetDetector(network).detect(np.zeros((400, 400, 3), np.uint8))
    assert sorted(face.score for face in faces) == pytest.approx([0.8, 0.9], abs=1e-6)
    assert len(network.seen) == 2
    assert len(YuNetDetector(network, sides=(416,), overlap=1.0).detect(np.zeros((400, 400, 3), np.uint8))) == 3


def test_settings() -> None:
    told = [(0.7, *face_at(300, 300, 512 * 5.5 / 126)), (0.95, *face_at(100, 100, 512 * 4.5 / 126))]
    pixels = np.zeros((640, 640, 3), np.uint8)
    found = [
        [round(face.score, 2) for face in YuNetDetector(Sees((640, 640), *told), **settings).detect(pixels)]  # type: ignore[arg-type]
        for settings in ({}, {"smallest": 4.0}, {"smallest": 4.0, "threshold": 0.9}, {"smallest": 6.0})
    ]
    assert found == [[0.7], [0.7, 0.95], [0.95], []]
    for wrong in ({"threshold": 1.5}, {"overlap": -0.1}, {"smallest": -1.0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is out of range"):
            YuNetDetector(Sees((1, 1)), **wrong)  # type: ignore[arg-type]
    for sides in ((), (640, 100), (0,), (8192,)):
        with pytest.raises(ValueError, match="sides must be multiples of 32 from 32 to 4096"):
            YuNetDetector(Sees((1, 1)), sides=sides)


def test_wrong_pixels_are_refused() -> None:
    detector = YuNetDetector(Sees((50, 50)))
    assert detector.name == "yunet"
    with pytest.raises(ValueError, match="uint8"):
        detector.detect(np.zeros((50, 50, 3), dtype=np.float32))
    with pytest.raises(ValueError, match=r"\(H, W, 3\)"):
        detector.detect(np.zeros((50, 50), dtype=np.uint8))


def test_odd_landmarks_are_left_out() -> None:
    row = np.array([0.0, 0, 50, 50, 0.9, *[20, 20] * 5])
    assert faces_of(row[None], 0.0) == []
    assert faces_of(np.empty((0, 15)), 0.0) == []


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    pytest.importorskip("onnx", reason="writing ONNX files needs the package onnx: pip install 'likeness[fast]'")
    return lambda **options: tiny_detectors.write(tmp_path / "faces ü.onnx", "yunet", **options)


@pytest.mark.parametrize("strides", [(8,), (16,), (32,)])
def test_a_file_finds_what_is_red(file: Callable[..., Path], strides: tuple[int, ...]) -> None:
    """In a photo of 6000 x 4000: the cell, the order of the channels, and the way back through both looks."""
    pixels = np.zeros((4000, 6000, 3), np.uint8)
    pixels[...] = (60, 60, 200)
    pixels[1980:2020, 2980:3020] = 90  # grey is not red
    faces = load_yunet(file(strides=strides)).detect(pixels)
    assert faces == []
    stride = strides[0]
    side = 6000 / 640 * stride  # of a cell
    column, row = 256 // stride, 128 // stride
    rows, columns = (slice(round(at * side), round((at + 1) * side)) for at in (row, column))
    pixels[rows, columns] = (255, 0, 0)
    detector = YuNetDetector(read_network(file(strides=strides)), threshold=0.8, sides=(640,))
    (face,) = detector.detect(pixels)
    low, high = tiny_detectors.LOW, tiny_detectors.HIGH
    factor = np.array([6000 / 640, 4000 / 427])
    corner = np.array([column, row])
    wanted = np.concatenate([corner + low, corner + high]) * stride * np.tile(factor, 2)
    np.testing.assert_allclose(face.box, wanted, atol=0.01)
    np.testing.assert_allclose(face.landmarks, (corner + tiny_detectors.POINTS) * stride * factor, atol=0.01)


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize("size", [(640, 640), (480, 640), (333, 517), (240, 320)])
def test_the_same_as_opencv_has_it(file: Callable[..., Path], size: tuple[int, int], batch: bool) -> None:
    """OpenCV's own class on the same file and frame: boxes, landmarks and scores."""
    pixels = np.zeros((*size, 3), np.uint8)
    centres = [(120, 100), (60, 230), (200, 180)]
    for number, (x, y) in enumerate(centres):
        cv2.circle(pixels, (x, y), 30 + 3 * number, (250 - 10 * number, 3 * number, 100), -1)
    path = file(batch=batch)
    theirs = cv2.FaceDetectorYN.create(str(path), "", (640, 640), 0.6, 1.0, 5000)
    side = 640 if max(size) > 320 else 320
    theirs.setInputSize((side, side))
    _, found = theirs.detect(np.ascontiguousarray(letterbox(pixels, side, False).frame[..., ::-1]))
    ours = look(pixels, (side,), False, lambda frame: YuNetDetector(read_network(path))._find(frame))
    order = [0, 1, 2, 3, 14, *range(4, 14)]
    found = found[:, order].astype(np.float64)
    found[:, 2:4] = found[:, 2:4] + found[:, :2]
    assert len(found) > 20
    assert len(ours) == len(found)
    key = np.round(found[:, [0, 1, 2, 4]], 1)
    found = found[np.lexsort(key.T)]
    ours = ours[np.lexsort(np.round(ours[:, [0, 1, 2, 4]], 1).T)]
    np.testing.assert_allclose(ours, found, atol=0.01)


def test_a_released_layout_takes_both_sides(file: Callable[..., Path]) -> None:
    """The released file states an input of 640 pixels; OpenCV runs it at others too."""
    network = read_network(file())
    for side in (640, 320, 32, 960):
        shapes = [output.shape[-2:] for output in network(np.zeros((1, 3, side, side), np.float32))]
        assert shapes == [((side // s) ** 2, n) for n in (1, 1, 4, 10) for s in (8, 16, 32)]
    assert len(OUTPUTS) == 12


def test_missing_and_damaged_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "face_detection_yunet_2023mar.onnx"
    with pytest.raises(WeightsError, match=r"yunet_2023mar\.onnx are not there"):
        load_yunet(path)
    for data in (b"", b"version https://git-lfs.github.com/spec/v1\n", b"\x08\x07" * 500):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=r"yunet_2023mar\.onnx is not an intact ONNX file"):
            load_yunet(path)
    assert capfd.readouterr() == ("", "")


def test_files_of_other_networks(file: Callable[..., Path], tmp_path: Path) -> None:
    path = file()
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(WeightsError, match="is not an intact ONNX file"):
        load_yunet(path)
    with pytest.raises(WeightsError, match=r"is not YuNet of 2023: it has no output kps_32"):
        load_yunet(file(drop="kps_32"))
    other = tiny_detectors.write(tmp_path / "scrfd.onnx", "scrfd")
    with pytest.raises(WeightsError, match="is not YuNet of 2023: it has no output cls_16") as caught:
        load_yunet(other)
    assert "\n" not in str(caught.value)
