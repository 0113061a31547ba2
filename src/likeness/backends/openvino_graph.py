"""Graphs that OpenVINO computes on the processor, in float32 or, where the hardware multiplies it, in bfloat16."""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness.backends.choose import BackendError
from likeness.backends.onnx_graph import OUTPUT, one_line, quiet


def export(module: nn.Module, inputs: Sequence[Tensor], names: Sequence[str], path: Path) -> None:
    """Write ``module`` for inputs of these shapes as an .xml file and its .bin beside it.

    Raises BackendError when it cannot be exported.
    """
    openvino = _openvino()
    shapes = [tuple(one.shape) for one in inputs]
    try:
        with torch.inference_mode(False), torch.no_grad(), quiet():
            model = openvino.convert_model(module, example_input=tuple(inputs), input=shapes)
            for name, one in zip(names, model.inputs, strict=True):
                one.get_tensor().set_names({name})
            model.outputs[0].get_tensor().set_names({OUTPUT})
            openvino.save_model(model, str(path), compress_to_fp16=False)
    except _failures(openvino.frontend) as error:
        raise BackendError(f"its network cannot be exported to OpenVINO: {one_line(error)}") from error


class OpenVINOGraph:
    """The graph of ``path`` (.xml), on ``threads`` threads. Raises BackendError for files that are no graph."""

    def __init__(self, path: Path, dtype: torch.dtype, threads: int) -> None:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
            "ENABLE_CPU_PINNING": False,  # pinned to a processor that others use too, it would wait for them
        }
        try:
            self._model = _core().compile_model(str(path), "CPU", settings)
        except RuntimeError as error:
            raise BackendError(f"{path} cannot be read by OpenVINO: {one_line(error)}") from error
        self._request = self._model.create_infer_request()
        self._lock = threading.Lock()  # a request holds one set of inputs

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The output for ``inputs`` in order."""
        arrays = [one.detach().contiguous().numpy() for one in inputs]
        with self._lock:
            self._request.infer(dict(enumerate(arrays)), share_inputs=True)
            return torch.from_numpy(self._request.get_output_tensor(0).data.copy())


@functools.cache
def _core() -> Any:
    """The one runtime of this process, kept to its end.

    OpenVINO's processor plugin gives the thread that first compiles a stack of its own for signals, and takes it back
    when its last graph goes. With a runtime for each graph, the second takes back what the first has already freed, and
    the next signal (Ctrl-C, a child that ends) is delivered to freed memory: the process dies without a word.
    """
    return _openvino().Core()


def _failures(frontend: Any) -> tuple[type[Exception], ...]:
    """What the conversion raises."""
    kinds = (kind for name, kind in vars(frontend).items() if name.endswith("Failure"))
    named = tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception))
    return (*named, RuntimeError, ValueError, TypeError)


def _openvino() -> Any:
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise BackendError(f"backend openvino: {one_line(error)}: pip install 'likeness[fast]'") from error
