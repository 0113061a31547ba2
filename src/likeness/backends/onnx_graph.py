"""Graphs that ONNX Runtime computes, in float32."""

from __future__ import annotations

import importlib
import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.backends.choose import BackendError

OUTPUT = "restored"


def export(module: nn.Module, inputs: Sequence[Tensor], names: Sequence[str], path: Path) -> None:
    """Write ``module`` for inputs of these shapes as one ONNX file. Raises BackendError when it cannot be exported."""
    try:
        with torch.inference_mode(False), torch.no_grad(), quiet():
            program: Any = torch.onnx.export(
                module, tuple(inputs), dynamo=True, input_names=list(names), output_names=[OUTPUT], verbose=False
            )
            program.save(str(path), external_data=False)
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise BackendError(f"its network cannot be exported to ONNX: {one_line(error)}") from error


class OnnxGraph:
    """The graph of the file ``path``, on ``threads`` threads. Raises BackendError for a file that is no graph."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            runtime: Any = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise BackendError(f"backend onnx: {one_line(error)}: pip install 'likeness[fast]'") from error
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # what fails is raised; the rest is not for people
        options.intra_op_num_threads = threads
        self._failures = _failures(runtime)
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except self._failures as error:
            raise BackendError(f"{path} cannot be read by onnxruntime: {one_line(error)}") from error
        self.names = [one.name for one in self._session.get_inputs()]
        self._lock = threading.Lock()  # two at once would only share the processor

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The output for ``inputs`` in order."""
        given = {name: one.detach().contiguous().numpy() for name, one in zip(self.names, inputs, strict=True)}
        try:
            with self._lock:
                (out,) = self._session.run(None, given)
        except self._failures as error:
            raise RuntimeError(f"onnxruntime: {one_line(error)}") from error
        return torch.from_numpy(out)


def _failures(runtime: Any) -> tuple[type[Exception], ...]:
    """What onnxruntime raises: exceptions that have no class in common."""
    kinds = vars(runtime.capi.onnxruntime_pybind11_state).values()
    named = tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception))
    return (*named, RuntimeError, ValueError, TypeError)


def one_line(error: BaseException) -> str:
    """What an exporter or runtime says, which is often pages: the first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


@contextmanager
def quiet() -> Iterator[None]:
    """Exporters warn of what cannot vary with fixed shapes, and of packages that are not needed."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
