"""Recognisers that see ArcFace's chip: the cut, channels, scale, ONNX files, networks of ours, what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from likeness.faces import FFHQ_TEMPLATE, Recognizer, identity_distance
from likeness.faces.arcface import ARCFACE_TEMPLATE, FFHQ_TO_ARCFACE, arcface_chips
from likeness.faces.geometry import apply_transform
from likeness.faces.onnx_recognizer import load_arcface_onnx, load_sface
from likeness.faces.recognizers import ARCFACE_SAME, BATCH, SFACE_SAME, ChipRecognizer, distance_of
from likeness.faces.torch_recognizer import TorchRecognizer, load_adaface
from likeness.measure import identity as metric
from likeness.nets.adaface import AdaFace
from likeness.nets.iresnet import IResNet
from likeness.weights.digest import fingerprint
from likeness.weights.errors import WeightsError

RGB = np.array([51, 102, 229], np.float32)  # of 255
TOLD = 6  # what the tiny networks tell, then zeros: means of the three channels, ramps to the right and down, 1


def flat(count: int = 1) -> np.ndarray:
    return np.broadcast_to(RGB / 255, (count, 512, 512, 3)).astype(np.float32)


def noise(count: int, seed: int = 0) -> np.ndarray:
    """Coarse random patterns, unlike each other."""
    small = np.random.default_rng(seed).random((count, 16, 16, 3), dtype=np.float32)
    return np.stack([cv2.resize(one, (512, 512), interpolation=cv2.INTER_LINEAR) for one in small])


def kernels() -> np.ndarray:
    """(5, 3, 112, 112): the means of the channels, and of the first channel right minus left and bottom minus top."""
    made = np.zeros((5, 3, 112, 112), np.float32)
    for channel in range(3):
        made[channel, channel] = 1
    made[3, 0, :, :56], made[3, 0, :, 56:] = -1, 1
    made[4, 0, :56], made[4, 0, 56:] = -1, 1
    return made / 112**2


def write(
    path: Path, dimensions: int, *, batch: int | str = 1, size: int | str = 112, rank: int = 2,
    folds: bool = False, bias: float = 1.0, names: tuple[str, str] = ("data", "fc1"), extra: bool = False,
) -> Path:  # fmt: skip
    """An ONNX file that tells TOLD. folds: it flattens the batch as well. extra: a second output."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.zeros((5, dimensions), np.float32)
    matrix[np.arange(5), np.arange(5)] = 1
    shift = np.zeros(dimensions, np.float32)
    shift[5] = bias
    held = {"k": kernels(), "m": matrix, "b": shift, "four": np.array([0, -1, 1, 1])}
    held |= {"one": np.array([1, -1]), "rows": np.array([0, -1])}  # 0: as it was
    source, answer = names
    nodes = [
        helper.make_node("Conv", [source, "k"], ["c"], kernel_shape=[112, 112]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),  # does nothing where the file is for 112 pixels
        helper.make_node("Reshape", ["p", "one"] if folds else ["p", "rows"], ["f"]),
        helper.make_node("Gemm", ["f", "m", "b"], [answer if rank == 2 else "g"]),
    ]
    outputs = [helper.make_tensor_value_info(answer, TensorProto.FLOAT, [None] * rank)]
    if rank == 4:
        nodes.append(helper.make_node("Reshape", ["g", "four"], [answer]))
    if extra:
        nodes.append(helper.make_node("Neg", [answer], ["second"]))
        outputs.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, [None] * rank))
    entry = helper.make_tensor_value_info(source, TensorProto.FLOAT, [batch, 3, size, size])
    tensors = [numpy_helper.from_array(value, name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "tiny", [entry], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"needs the package {package}: pip install 'likeness[fast]'")
    return lambda dimensions=512, **options: write(tmp_path / "net ü.onnx", dimensions, **options)


class Tells(nn.Module):
    """In place of a released network: TOLD, without zeros, times ``factor``."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor
        self.register_buffer("kernels", torch.from_numpy(kernels()))
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        told = nn.functional.conv2d(x, self.kernels).flatten(1)  # type: ignore[arg-type]
        return torch.cat([told, torch.ones(len(x), 1)], dim=1) * self.factor


def told(vectors: np.ndarray) -> np.ndarray:
    """What the network said before the vector was divided by its length."""
    return np.asarray(vectors[:, :5] / vectors[:, 5:6])


def one_line(caught: pytest.ExceptionInfo[Any]) -> bool:
    return "\n" not in str(caught.value)


# The chip


def test_the_template_is_the_metrics() -> None:
    np.testing.assert_array_equal(ARCFACE_TEMPLATE, np.array(metric.ARCFACE_TEMPLATE))


@pytest.mark.parametrize("side", [112, 48, 224])
def test_points_of_the_crop_lie_where_the_similarity_says(side: int) -> None:
    """Dots at FFHQ's five points: their centres of mass in the chip."""
    scale = side / 112
    expected = (apply_transform(FFHQ_TO_ARCFACE, FFHQ_TEMPLATE) + 0.5) * scale - 0.5
    y, x = np.mgrid[:512, :512]
    for point, place in zip(FFHQ_TEMPLATE, expected, strict=True):
        dot = np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * 6.0**2))
        (chip,) = arcface_chips(np.repeat(dot[..., None], 3, axis=2)[None].astype(np.float32), side)
        assert chip.shape == (side, side, 3)
        rows, columns = np.mgrid[:side, :side]
        weight = chip[..., 1] / chip[..., 1].sum()
        assert np.hypot((weight * columns).sum() - place[0], (weight * rows).sum() - place[1]) < 0.1 * max(1, scale)


def test_the_similarity_is_the_best_one() -> None:
    """The templates are not similar figures; what is left is known, and no small change makes it less."""

    def left(transform: np.ndarray) -> float:
        return float(((apply_transform(transform, FFHQ_TEMPLATE) - ARCFACE_TEMPLATE) ** 2).sum())

    distances = np.linalg.norm(apply_transform(FFHQ_TO_ARCFACE, FFHQ_TEMPLATE) - ARCFACE_TEMPLATE, axis=1)
    assert distances.max() < 2.5
    assert distances[:2].max() < 1.1  # the eyes
    linear = FFHQ_TO_ARCFACE[:, :2]
    np.testing.assert_allclose(linear @ linear.T, np.eye(2) * np.linalg.det(linear), atol=1e-12)
    for change in (
        (1.002, 0, 0, 0),
        (0.998, 0, 0, 0),
        (1, 0.002, 0, 0),
        (1, -0.002, 0, 0),
        (1, 0, 0.2, 0),
        (1, 0, 0, 0.2),
    ):
        scale, turn, right, down = change
        changed = np.array([[scale, -turn], [turn, scale]]) @ FFHQ_TO_ARCFACE
        # about the middle of the chip, so that the change is not a shift as well
        changed[:, 2] += 56 - np.array([[scale, -turn], [turn, scale]]) @ (56, 56) + (right, down)
        assert left(changed) > left(FFHQ_TO_ARCFACE)


def test_the_chip_is_the_face_of_a_picture_that_was_aligned_for_it() -> None:
    """Colours stay as they are, and a fine pattern turns grey."""
    chips = arcface_chips(flat(2))
    assert chips.dtype == np.float32
    np.testing.assert_allclose(chips, np.broadcast_to(RGB / 255, (2, 112, 112, 3)), atol=1e-6)
    board = np.indices((512, 512)).sum(axis=0) % 2
    (chip,) = arcface_chips(np.repeat(board[..., None], 3, axis=2)[None].astype(np.float32))
    assert np.abs(chip - 0.5).max() < 0.1


# What all have in common


def test_thresholds() -> None:
    assert pytest.approx(1.2) == ARCFACE_SAME
    assert pytest.approx(SFACE_SAME, abs=1e-3) == distance_of(0.363)
    assert distance_of(1.0) == 0.0
    assert distance_of(-1.0) == 2.0


@pytest.mark.parametrize("bgr", [False, True])
def test_channels_scale_and_directions(bgr: bool) -> None:
    recognizer: Recognizer = TorchRecognizer(Tells(), "tells", 112, bgr, 1.0, "")
    assert (recognizer.name, recognizer.dimensions, recognizer.same_person) == ("tells", TOLD, 1.0)
    means = (RGB[::-1] if bgr else RGB) / 127.5 - 1
    np.testing.assert_allclose(told(recognizer.embed(flat()))[0], [*means, 0, 0], atol=3e-4)
    halves = np.zeros((2, 512, 512, 3), np.float32)
    halves[0, :, 256:] = 1  # white at the right
    halves[1, 260:] = 1  # white at the bottom
    answers = told(recognizer.embed(halves))
    assert answers[0, 3] > 0.9
    assert abs(answers[0, 4]) < 0.01
    assert answers[1, 4] > 0.9
    assert abs(answers[1, 3]) < 0.01


def test_vectors_have_length_one_and_equal_faces_no_distance() -> None:
    recognizer = TorchRecognizer(Tells(factor=1e4), "tells", 112, False, 1.0, "abc")
    assert recognizer.fingerprint == "abc"
    crops = noise(3)
    vectors = recognizer.embed(np.concatenate([crops, crops[:1]]))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    assert identity_distance(vectors[0], vectors[3]) == 0.0
    assert identity_distance(vectors[0], vectors[1]) > 0.01


def test_many_crops_go_in_batches() -> None:
    net = Tells()
    recognizer = TorchRecognizer(net, "tells", 112, False, 1.0, "")
    crops = noise(BATCH + 2)
    together = recognizer.embed(crops)
    assert net.batches == [1, BATCH, 2]
    np.testing.assert_allclose(together[-1], recognizer.embed(crops[-1:])[0], atol=1e-6)
    assert recognizer.embed(crops[:0]).shape == (0, TOLD)


def test_wrong_crops_are_refused() -> None:
    recognizer = TorchRecognizer(Tells(), "tells", 112, False, 1.0, "")
    for crops in (np.zeros((512, 512, 3), np.float32), np.zeros((1, 512, 512, 3), np.uint8),
                  np.zeros((1, 3, 512, 512), np.float32), np.zeros((0, 112, 112, 3), np.float32)):  # fmt: skip
        with pytest.raises(ValueError, match="crops must be"):
            recognizer.embed(crops)
    broken = flat(2).copy()
    broken[1, 5, 5, 1] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        recognizer.embed(broken)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (np.full((2, 4), np.nan), "its answer has values that are not finite"),
        (np.array([[1.0, 0, 0, 0], [0, 0, 0, 0]]), "its answer is zero"),
        (np.ones((1, 4)), r"its answer to 2 faces has the shape \(1, 4\), not \(2, 4\)"),
        (np.ones((2, 1)), r"its answer to 2 faces has the shape \(2, 1\), not \(2, 4\)"),
    ],
)
def test_wrong_answers_are_refused(answer: np.ndarray, reason: str) -> None:
    recognizer = ChipRecognizer(lambda blob: answer, "odd", 4, 1.0)
    with pytest.raises(ValueError, match=f"^the recognizer odd: {reason}"):
        recognizer.embed(flat(2))


# Networks of ours


def iresnet(side: int = 48) -> IResNet:
    torch.manual_seed(1)
    return IResNet((1, 1, 1, 1), (4, 6, 8, 10), features=7, side=side)


def test_iresnet() -> None:
    net = iresnet().train()
    recognizer = TorchRecognizer(net, "arcface", 48, False, ARCFACE_SAME, "")
    assert recognizer.dimensions == 7
    assert not net.training
    crops = noise(3, seed=5)
    together = recognizer.embed(crops)
    for crop, vector in zip(crops, together, strict=True):
        np.testing.assert_allclose(recognizer.embed(crop[None])[0], vector, atol=1e-5)
    chips = torch.from_numpy(arcface_chips(crops, 48)).permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = nn.functional.normalize(net(2 * chips - 1)).numpy()
    np.testing.assert_allclose(together, wanted, atol=1e-5)


def test_networks_that_answer_otherwise_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^the recognizer odd: its answer to 1 faces has the shape \(1, 3, 48, 48\)"):
        TorchRecognizer(nn.Identity(), "odd", 48, False, 1.0, "")
    damaged = iresnet()
    damaged.fc.bias.data[3] = torch.nan
    with pytest.raises(ValueError, match=r"^the recognizer odd: its answer has values that are not finite"):
        TorchRecognizer(damaged, "odd", 48, False, 1.0, "")


def test_adaface_takes_blue_green_red(tmp_path: Path) -> None:
    torch.manual_seed(2)
    net = AdaFace((1, 1, 1, 1), (4, 6, 8, 10), features=5, side=48).eval()
    path = tmp_path / "adaface_ir50_ms1mv2.ckpt"
    state = {f"model.{key}": value for key, value in net.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": {**state, "head.kernel": torch.zeros(5, 9)}}, path)
    recognizer = load_adaface(path)
    assert (recognizer.name, recognizer.dimensions) == ("adaface-ir50", 5)
    assert recognizer.fingerprint == fingerprint(path)
    crops = noise(2, seed=3)
    chips = torch.from_numpy(arcface_chips(crops, 48)[..., ::-1].copy()).permute(0, 3, 1, 2)
    with torch.no_grad():
        wanted = net(2 * chips - 1).numpy()
    np.testing.assert_allclose(recognizer.embed(crops), wanted, atol=1e-5)


def test_files_that_are_not_adaface(tmp_path: Path) -> None:
    path = tmp_path / "ada.ckpt"
    with pytest.raises(WeightsError, match=r"ada\.ckpt are not there"):
        load_adaface(path)
    path.write_text("not a checkpoint")
    with pytest.raises(WeightsError, match=r"ada\.ckpt is not an intact checkpoint") as caught:
        load_adaface(path)
    assert one_line(caught)
    torch.save(iresnet().state_dict(), path)
    with pytest.raises(WeightsError, match="it has not the keys of AdaFace"):
        load_adaface(path)
    state = AdaFace((1, 1), (4, 6), features=5, side=16).state_dict()
    state["output_layer.3.bias"][2] = torch.inf
    torch.save({"state_dict": state}, path)
    with pytest.raises(WeightsError, match=r"ada\.ckpt is not intact: the recognizer adaface-ir50: .*not finite"):
        load_adaface(path)


# ONNX files


@pytest.mark.parametrize("batch", [1, "N"])
@pytest.mark.parametrize("size", [112, "?"])
def test_arcface_files(file: Callable[..., Path], batch: int | str, size: int | str) -> None:
    path = file(batch=batch, size=size, names=("input.1", "683"))
    recognizer: Recognizer = load_arcface_onnx(path, "arcface-antelopev2")
    assert (recognizer.name, recognizer.dimensions) == ("arcface-antelopev2", 512)
    assert recognizer.same_person == pytest.approx(1.2)
    assert load_arcface_onnx(path).fingerprint == fingerprint(path)
    crops = np.concatenate([flat(), noise(2)])
    vectors = recognizer.embed(crops)
    assert vectors.shape == (3, 512)
    np.testing.assert_allclose(told(vectors)[0], [*(RGB / 127.5 - 1), 0, 0], atol=3e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    for crop, vector in zip(crops, vectors, strict=True):
        np.testing.assert_allclose(recognizer.embed(crop[None])[0], vector, atol=1e-6)
    assert identity_distance(vectors[0], recognizer.embed(flat())[0]) == pytest.approx(0.0, abs=1e-6)


def test_sface_is_opencvs(file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same chip through OpenCV's own class; onnxruntime is not needed."""
    path = file(128, bias=100.0)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    recognizer: Recognizer = load_sface(path)
    assert (recognizer.name, recognizer.dimensions, recognizer.same_person) == ("sface", 128, 1.128)
    crops = np.concatenate([flat(), noise(2)])
    vectors = recognizer.embed(crops)
    np.testing.assert_allclose(told(vectors)[0] * 100, [*RGB, 0, 0], atol=1e-3)
    plain = tmp_path / "plain.onnx"
    plain.write_bytes(path.read_bytes())
    opencv = cv2.FaceRecognizerSF.create(str(plain), "")
    for crop, vector in zip(crops, vectors, strict=True):
        (chip,) = arcface_chips(crop[None])
        feature = opencv.feature(np.rint(chip[..., ::-1] * 255).astype(np.uint8))[0]
        np.testing.assert_allclose(vector, feature / np.linalg.norm(feature), atol=1e-3)
        np.testing.assert_allclose(recognizer.embed(crop[None])[0], vector, atol=1e-6)


@pytest.mark.parametrize("load", [load_arcface_onnx, load_sface])
def test_missing_and_damaged_files(
    file: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str], load: Callable[[Path], Recognizer]
) -> None:
    path = tmp_path / "face.onnx"
    with pytest.raises(WeightsError, match=r"face\.onnx are not there"):
        load(path)
    for data in (b"", b"only text", b"PK\x03\x04 a zip pack", b"\x08\x07" * 500, file().read_bytes()[:-300]):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=r"face\.onnx is not an intact ONNX file") as caught:
            load(path)
        assert one_line(caught)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("load", "dimensions", "options", "reason"),
    [
        (load_arcface_onnx, 128, {}, r"the shape \(1, 128\)|the shape \(2, 128\), not \(2, 512\)"),
        (load_arcface_onnx, 512, {"rank": 4}, r"the shape \(1, 512, 1, 1\)"),
        (load_arcface_onnx, 512, {"rank": 4, "batch": "N"}, r"the shape \(2, 512, 1, 1\), not \(2, 512\)"),
        (load_arcface_onnx, 512, {"size": 640}, r"takes \(1, 3, 640, 640\) and has 1 outputs, not \(1 or any, 3, 112"),
        (load_arcface_onnx, 512, {"batch": 4}, r"takes \(4, 3, 112, 112\) and has 1 outputs, not \(1 or any, 3, 112"),
        (load_arcface_onnx, 512, {"extra": True}, "and has 2 outputs"),
        (load_arcface_onnx, 512, {"batch": "N", "folds": True}, "onnxruntime: "),
        (load_arcface_onnx, 512, {"bias": np.nan}, "its answer has values that are not finite"),
        (load_sface, 512, {}, r"the shape \(2, 512\), not \(2, 128\)"),
        (load_sface, 128, {"rank": 4}, r"the shape \(1, 128, 1, 1\)"),
        (load_sface, 128, {"extra": True}, "it has 2 outputs, not 1"),
        (load_sface, 128, {"bias": np.inf}, "its answer has values that are not finite"),
    ],
)
def test_files_of_other_networks(
    file: Callable[..., Path], load: Callable[[Path], Recognizer], dimensions: int, options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(
        WeightsError, match=r"net ü\.onnx is not for the recognizer (arcface-buffalo-l|sface): "
    ) as caught:
        load(file(dimensions, **options))
    assert caught.match(reason)
    assert one_line(caught)


def test_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = tmp_path / "w600k_r50.onnx"
    path.write_bytes(b"whatever it is")
    with pytest.raises(
        WeightsError, match=r"^the recognizer arcface-buffalo-l needs onnxruntime: pip install 'likeness\[fast\]'"
    ) as caught:
        load_arcface_onnx(path)
    assert one_line(caught)


def test_importing_is_light() -> None:
    program = (
        "import sys, likeness.faces.onnx_recognizer, likeness.faces.recognizers; "
        "print([name for name in ('torch', 'cv2', 'onnxruntime', 'dlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
