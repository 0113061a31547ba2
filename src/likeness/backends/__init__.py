"""Ways to compute a network: PyTorch itself, its compiler, ONNX Runtime, OpenVINO. Knows modules and files, no methods.

A ``Server`` calls modules through graphs: a graph is a module exported for one set of shapes, kept in a cache, and
compared with the module once.
"""

from likeness.backends.choose import BACKENDS, BackendError, installed, missing, versions

__all__ = ["BACKENDS", "BackendError", "installed", "missing", "versions"]
