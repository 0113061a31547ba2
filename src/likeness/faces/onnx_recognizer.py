"""Recognisers released as ONNX files: ArcFace of insightface's packs, and OpenCV Zoo's SFace.

Sources: Deng, Guo, Xue, Zafeiriou, "ArcFace", CVPR 2019; Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for
Robust Face Recognition", IEEE Transactions on Image Processing 2021. Importing this loads numpy only.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from likeness.faces.arcface import CHIP_SIDE
from likeness.faces.onnx_session import open_session
from likeness.faces.recognizers import ARCFACE_SAME, SFACE_SAME, ChipRecognizer, Network, check_answer
from likeness.weights.errors import WeightsError

ARCFACE_DIMENSIONS = 512
SFACE_DIMENSIONS = 128


def load_arcface_onnx(path: Path, name: str = "arcface-buffalo-l") -> ChipRecognizer:
    """ArcFace in ``path``: buffalo_l's w600k_r50.onnx or antelopev2's glintr100.onnx; ``name`` says which.

    They take RGB as (x - 127.5) / 127.5 and give 512 numbers; the file's own names of input and output are used. For
    files whose batch is fixed to one face, faces are given one by one. onnxruntime runs them (``likeness[fast]``).
    Files with the normalisation within (insightface's oldest, made of MXNet's) are other networks, which cannot be told
    from these by their inputs and outputs. Raises WeightsError when onnxruntime is not installed, or when the file is
    not there, damaged or another network.
    """
    what = f"the recognizer {name}"
    data = _read(path)
    session = open_session(data, path, what)
    batch, *rest = session.shape or ["?"]
    fits = all(size == want for size, want in zip(rest, (3, CHIP_SIDE, CHIP_SIDE), strict=False) if _is_size(size))
    if len(rest) != 3 or not fits or (_is_size(batch) and batch != 1) or len(session.outputs) != 1:
        shape = ", ".join(map(str, session.shape))
        raise WeightsError(
            f"{path} is not for {what}: it takes ({shape}) and has {len(session.outputs)} outputs, "
            f"not (1 or any, 3, {CHIP_SIDE}, {CHIP_SIDE}) and 1"
        )

    def run(blob: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(blob)[0])

    net = _one_by_one(run) if batch == 1 else run
    _try(net, path, what, ARCFACE_DIMENSIONS)
    return ChipRecognizer(net, name, ARCFACE_DIMENSIONS, ARCFACE_SAME, fingerprint=hashlib.sha256(data).hexdigest())


def load_sface(path: Path) -> ChipRecognizer:
    """SFace in ``path``: OpenCV Zoo's face_recognition_sface_2021dec.onnx.

    OpenCV itself runs it, so that no extra is needed; not through ``cv2.FaceRecognizerSF``, which opens paths (not
    each on every system), takes 8-bit pictures and checks nothing. That class turns its BGR picture into RGB: the
    network takes RGB in 0..255, as it is, and gives 128 numbers. Faces are given one by one. Not thread-safe: one
    object per thread. Raises WeightsError when the file is not there, damaged or another network.
    """
    import cv2

    what = "the recognizer sface"
    data = _read(path)
    try:
        network = cv2.dnn.readNetFromONNX(np.frombuffer(data, dtype=np.uint8))
    except cv2.error as error:
        raise WeightsError(f"{path} is not an intact ONNX file") from error
    outputs = network.getUnconnectedOutLayersNames()
    if len(outputs) != 1:
        raise WeightsError(f"{path} is not for {what}: it has {len(outputs)} outputs, not 1")

    def run(blob: np.ndarray) -> np.ndarray:
        network.setInput(blob)
        try:
            return np.array(network.forward(outputs[0]))  # a copy: OpenCV may write there again
        except cv2.error as error:
            raise RuntimeError(f"OpenCV: {' '.join(str(error).split())}") from error

    net = _one_by_one(run)
    _try(net, path, what, SFACE_DIMENSIONS)
    mark = hashlib.sha256(data).hexdigest()
    return ChipRecognizer(net, "sface", SFACE_DIMENSIONS, SFACE_SAME, offset=0.0, scale=1.0, fingerprint=mark)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise WeightsError(f"weights {path} are not there")
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror or error}") from error


def _is_size(size: object) -> bool:
    return isinstance(size, int)


def _one_by_one(run: Network) -> Network:
    return lambda blob: np.concatenate([check_answer(run(one[None]), 1) for one in blob])


def _try(net: Network, path: Path, what: str, dimensions: int) -> None:
    """Two flat chips, so that a batch which is free by name only is found here."""
    try:
        check_answer(net(np.zeros((2, 3, CHIP_SIDE, CHIP_SIDE), dtype=np.float32)), 2, dimensions)
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"{path} is not for {what}: {error}") from error
