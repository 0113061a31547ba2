"""Calls modules through graphs of one backend, which are made or fetched from the cache when first asked for."""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from likeness import __version__
from likeness.backends.cache import Kept, Say, Wanted, obtain, say_on_standard_error
from likeness.backends.check import LIMIT, psnr
from likeness.backends.choose import BackendError, check_backend, versions
from likeness.backends.graph import Closed, Graph, Part, input_names, plain_inputs, take_tensors

MAIN_FILE = {"onnx": "graph.onnx", "openvino": "graph.xml"}


class Server:
    """``server(name, module, *arguments)`` is ``module(*arguments)``, computed by ``backend``.

    A graph is for a batch of one and a batch goes through it face by face, so that a face comes out the same to the
    last bit in any batch; on a processor a larger batch is no faster. The compiler takes the batch as it is.
    ``weights``: the sha256 of what the modules are filled with; ``method``: for names and notes.
    Raises BackendError when the backend is not installed, or not for this device and precision.
    """

    def __init__(
        self,
        backend: str,
        device: torch.device,
        dtype: torch.dtype,
        *,
        method: str,
        weights: str,
        say: Say = say_on_standard_error,
    ) -> None:
        check_backend(backend, device, dtype)
        self.backend, self.device, self.dtype = backend, device, dtype
        self.method, self.weights, self.say = method, weights, say
        self._graphs: dict[str, Graph] = {}
        self._lock = threading.Lock()

    def prepare(self, part: Part) -> float:
        """Have the graph of ``part`` in the cache; its PSNR in dB against the module. Raises BackendError."""
        given, pattern = take_tensors(part.arguments)
        tensors = [one.clone() for one in given]  # one that is given twice would be compiled as one input
        if self.backend == "compile":
            closed = Closed(part.module, pattern)
            graph = self._graphs.setdefault(self._key(part.name, tensors, pattern), self._compiled(closed))
            return figure(graph, closed, tensors)
        return self._kept(part.name, part.module, tensors, pattern).psnr

    def __call__(self, name: str, module: nn.Module, *arguments: Any) -> Tensor:
        """What ``module`` gives for the arguments, of which tensors as long as the first are batches."""
        tensors, pattern = take_tensors(arguments)
        count, device = len(tensors[0]), tensors[0].device
        if self.backend == "compile" or count == 1:
            return self._graph(name, module, tensors, pattern)(*tensors).to(device)
        rows = [[t[i : i + 1] if len(t) == count else t for t in tensors] for i in range(count)]
        graph = self._graph(name, module, rows[0], pattern)
        return torch.cat([graph(*row) for row in rows]).to(device)

    def _graph(self, name: str, module: nn.Module, tensors: Sequence[Tensor], pattern: tuple[Any, ...]) -> Graph:
        key = self._key(name, tensors, pattern)
        with self._lock:
            if key not in self._graphs:
                try:
                    self._graphs[key] = self._new(name, module, tensors, pattern)
                except (BackendError, OSError) as error:  # in the middle of work: this face fails, in one line
                    raise RuntimeError(str(error)) from error
            return self._graphs[key]

    def _new(self, name: str, module: nn.Module, tensors: Sequence[Tensor], pattern: tuple[Any, ...]) -> Graph:
        if self.backend == "compile":
            return self._compiled(Closed(module, pattern))
        kept = self._kept(name, module, tensors, pattern)
        if kept.psnr < LIMIT:
            raise BackendError(refusal(self.backend, name, kept.psnr))
        return open_graph(self.backend, kept.folder / MAIN_FILE[self.backend], self.dtype)

    def _compiled(self, closed: Closed) -> Graph:
        from likeness.backends.compiled import CompiledGraph

        return CompiledGraph(closed, self.device, self.dtype)

    def _kept(self, name: str, module: nn.Module, tensors: Sequence[Tensor], pattern: tuple[Any, ...]) -> Kept:
        closed, inputs = Closed(module, pattern), plain_inputs(tensors)
        facts = {
            "likeness": __version__,
            "method": self.method,
            "part": name,
            "weights": self.weights,
            "code": code_digest(module),
            "backend": self.backend,
            "versions": {**versions(self.backend), "torch": str(torch.__version__)},
            "shapes": [list(one.shape) for one in tensors],
            "fixed": repr(pattern),
            "precision": str(self.dtype).removeprefix("torch."),
        }

        file = MAIN_FILE[self.backend]

        def make(folder: Path) -> None:
            write_graph(self.backend, closed, inputs, folder / file)

        def judge(folder: Path) -> float:
            return figure(open_graph(self.backend, folder / file, self.dtype), closed, inputs)

        return obtain(Wanted(f"{self.method}-{name}".replace("+", "plus"), facts), make, judge, self.say)

    @staticmethod
    def _key(name: str, tensors: Sequence[Tensor], pattern: tuple[Any, ...]) -> str:
        return repr((name, [tuple(one.shape) for one in tensors], pattern))


def figure(graph: Graph, closed: Closed, tensors: Sequence[Tensor]) -> float:
    """How near the graph comes to the module in float32, in dB."""
    with torch.inference_mode():
        return psnr(graph(*tensors).cpu(), closed(*tensors).cpu())


def refusal(backend: str, name: str, figure: float) -> str:
    """Why a graph is not used."""
    return f"{backend} gives other pixels here: {name} is {figure:.1f} dB from torch's, at least {LIMIT:.0f} are wanted"


def write_graph(backend: str, closed: Closed, inputs: Sequence[Tensor], path: Path) -> None:
    """Export a module for inputs of these shapes to ``path`` (OpenVINO's .bin beside). Raises BackendError."""
    from likeness.backends import onnx_graph, openvino_graph

    kind = onnx_graph if backend == "onnx" else openvino_graph
    kind.export(closed, inputs, input_names(closed.module, closed.pattern), path)


def open_graph(backend: str, path: Path, dtype: torch.dtype) -> Graph:
    """The graph in the file ``path``, computed on as many threads as torch has. Raises BackendError."""
    from likeness.backends import onnx_graph, openvino_graph

    threads = torch.get_num_threads()
    if backend == "onnx":
        return onnx_graph.OnnxGraph(path, threads)
    return openvino_graph.OpenVINOGraph(path, dtype, threads)


def code_digest(module: nn.Module) -> str:
    """sha256 of the files that the classes of ``module`` are written in, PyTorch's left out: they have a version."""
    files = {inspect.getfile(type(one)) for one in module.modules() if not type(one).__module__.startswith("torch.")}
    contents = sorted(Path(file).read_bytes() for file in files)
    return hashlib.sha256(b"\0".join(contents)).hexdigest()
