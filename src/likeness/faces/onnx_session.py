"""Opening an ONNX file with onnxruntime, which is in ``likeness[fast]``, with errors for people."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from likeness.weights.errors import WeightsError


class Session(NamedTuple):
    """``run(blob)`` gives all outputs, or raises RuntimeError in one line. ``shape``: of the one input, sizes that are
    free are not numbers. ``outputs``: their names."""

    run: Callable[[np.ndarray], Sequence[np.ndarray]]
    shape: Sequence[Any]
    outputs: Sequence[str]


def open_session(data: bytes, path: Path, needed_by: str) -> Session:
    """The network in ``data``, the bytes of the file ``path``, to be run on the processor. It may be run by many
    threads at once.

    Raises WeightsError when onnxruntime, which ``needed_by`` ("the recognizer arcface") needs, is not installed, or
    when the file is damaged or has more inputs than one.
    """
    runtime, failures = _runtime(needed_by)
    try:
        session = runtime.InferenceSession(data, _options(runtime), providers=["CPUExecutionProvider"])
    except failures as error:
        raise WeightsError(f"{path} is not an intact ONNX file") from error
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise WeightsError(f"{path} is not for {needed_by}: it has {len(inputs)} inputs")

    def run(blob: np.ndarray) -> Sequence[np.ndarray]:
        try:
            return list(session.run(None, {inputs[0].name: blob}))
        except failures as error:
            raise RuntimeError(f"onnxruntime: {' '.join(str(error).split())}") from error

    return Session(run, inputs[0].shape, [output.name for output in session.get_outputs()])


def _runtime(needed_by: str) -> tuple[Any, tuple[type[Exception], ...]]:
    """onnxruntime, and the exceptions that it raises, which have no class in common."""
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise WeightsError(f"{needed_by} needs onnxruntime: pip install 'likeness[fast]' ({error})") from error
    kinds = vars(runtime.capi.onnxruntime_pybind11_state).values()
    named = tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception))
    return runtime, (*named, RuntimeError, ValueError, TypeError)


def _options(runtime: Any) -> Any:
    import cv2

    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what fails is raised; the rest is not for people
    options.intra_op_num_threads = max(1, cv2.getNumThreads())  # which minds the limits of containers; its own does not
    return options
