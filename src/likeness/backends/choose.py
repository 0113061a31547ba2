"""Which backends there are, which are installed, and which one "auto" means. Imports none of them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from typing import TYPE_CHECKING

from likeness.compute import ComputeError

if TYPE_CHECKING:
    import torch

BACKENDS = ("auto", "torch", "compile", "onnx", "openvino")
VARIABLE = "LIKENESS_BACKEND"  # what "auto" means, in place of the fastest
PACKAGES = {
    "torch": ("torch",),
    "compile": ("torch",),
    "onnx": ("onnxruntime", "onnx", "onnxscript"),
    "openvino": ("openvino",),
}
FASTEST = ("openvino", "onnx")  # on a processor, before torch


class BackendError(ComputeError):
    """A backend that is not installed, or cannot compute what is asked; one line that says what to do."""


def check_name(backend: str) -> str:
    """``backend``, if there is such a one. Raises BackendError."""
    if backend not in BACKENDS:
        raise BackendError(f"unknown backend {backend!r}; choose from {', '.join(BACKENDS)}")
    return backend


def meant(backend: str) -> str:
    """``backend``; for "auto" what LIKENESS_BACKEND says, if it is set. Raises BackendError."""
    if check_name(backend) == "auto" and (said := os.environ.get(VARIABLE)):
        if said not in BACKENDS:
            raise BackendError(f"{VARIABLE} is {said!r}; choose from {', '.join(BACKENDS)}")
        return said
    return backend


def missing(backend: str) -> tuple[str, ...]:
    """The packages that ``backend`` needs and that are not installed."""
    return tuple(name for name in PACKAGES[backend] if importlib.util.find_spec(name) is None)


def installed() -> tuple[str, ...]:
    """The backends, without "auto", whose packages are all there."""
    return tuple(name for name in BACKENDS if name != "auto" and not missing(name))


def versions(backend: str) -> dict[str, str | None]:
    """The versions of the packages that ``backend`` needs; None for one that is not installed."""
    return {name: _version(name) for name in PACKAGES[backend]}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_backend(backend: str, device: torch.device, dtype: torch.dtype) -> None:
    """Raise BackendError unless ``backend`` is installed and computes on that device in that precision."""
    if absent := missing(backend):
        raise BackendError(f"backend {backend} needs {' and '.join(absent)}: pip install 'likeness[fast]'")
    if backend in FASTEST and device.type != "cpu":
        raise BackendError(f"backend {backend} computes on the processor: use --device cpu, or --backend torch")
    if backend == "onnx" and str(dtype) != "torch.float32":
        raise BackendError("backend onnx computes in fp32: use --precision fp32, or --backend openvino")
