"""The networks of a method as files for other programs: ONNX, or OpenVINO's .xml and .bin."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from likeness.backends.graph import Part

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}


@dataclass(frozen=True)
class Exported:
    """A network that was written. ``inputs``: name to shape, float32, pictures in [-1, 1]; ``psnr``: of the graph's
    output against the network's, in dB; None when they are equal."""

    part: str
    files: tuple[Path, ...]
    inputs: dict[str, tuple[int, ...]]
    output: tuple[int, ...]
    psnr: float | None


def export(
    method: str | None,
    path: Path,
    kind: str,
    *,
    weights: str | Path | None = None,
    batch: int = 1,
    part: str | None = None,
) -> list[Exported]:
    """Write the networks of ``method`` in float32 for batches of ``batch`` pictures of 512 pixels.

    ``kind``: a key of SUFFIXES. One network is written to ``path``; of several each to its own file, with the part's
    name behind the stem: face.onnx becomes face-denoiser.onnx. ``part``: only that one. Numbers that a network takes
    (a fidelity weight) are those of the method's defaults. Raises BackendError when the format is not installed, for a
    method whose networks cannot be exported, and for a graph that gives other pixels; OptionError and WeightsError as
    ``load``; ValueError for a path, batch or part that is not possible.
    """
    from likeness.backends.choose import BackendError, missing
    from likeness.methods import load

    if kind not in SUFFIXES:
        raise ValueError(f"unknown format {kind!r}; choose from {', '.join(SUFFIXES)}")
    if path.suffix != SUFFIXES[kind]:
        raise ValueError(f"{path}: the name of a file in the format {kind} ends in {SUFFIXES[kind]}")
    if not 1 <= batch <= 256:
        raise ValueError(f"batch must be in [1, 256], got {batch}")
    if absent := missing(kind):
        raise BackendError(f"the format {kind} needs {' and '.join(absent)}: pip install 'likeness[fast]'")
    restorer: Any = load(method, device="cpu", precision="fp32", weights=weights, backend="torch")
    parts: Sequence[Part] = restorer.parts() if hasattr(restorer, "parts") else ()
    if not parts:
        raise BackendError(f"{restorer.card.name} is not a network that is called once: it cannot be exported")
    names = [one.name for one in parts]
    if part is not None and part not in names:
        raise ValueError(f"{restorer.card.name} has no part {part!r}; choose from {', '.join(names)}")
    chosen = [one for one in parts if part in (None, one.name)]
    targets = [path if len(chosen) == 1 else path.with_stem(f"{path.stem}-{one.name}") for one in chosen]
    return [_export(one, target, kind, batch) for one, target in zip(chosen, targets, strict=True)]


def _export(part: Part, path: Path, kind: str, batch: int) -> Exported:
    import math

    import torch

    from likeness.backends.check import LIMIT
    from likeness.backends.choose import BackendError
    from likeness.backends.graph import Closed, input_names, plain_inputs, take_tensors
    from likeness.backends.server import figure, open_graph, refusal, write_graph

    # tensors in lists (noise) are the same for every face of a batch
    arguments = [_repeated(one, batch) if isinstance(one, torch.Tensor) else one for one in part.arguments]
    tensors, pattern = take_tensors(arguments)
    inputs, closed = plain_inputs(tensors), Closed(part.module, pattern)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".likeness-export-", dir=path.parent) as folder:
        written = Path(folder) / path.name
        write_graph(kind, closed, inputs, written)
        graph = open_graph(kind, written, torch.float32)
        psnr = figure(graph, closed, inputs)
        if psnr < LIMIT:
            raise BackendError(refusal(kind, part.name, psnr))
        output = tuple(graph(*inputs).shape)
        del graph  # it may hold the file open
        found = sorted(Path(folder).iterdir())  # .bin before .xml: with the .xml all is there
        for file in found:
            file.replace(path.with_name(file.name))
    names = input_names(part.module, pattern)
    return Exported(
        part.name,
        tuple(path.with_name(file.name) for file in found),
        {name: tuple(one.shape) for name, one in zip(names, inputs, strict=True)},
        output,
        None if psnr == math.inf else psnr,
    )


def _repeated(tensor: Tensor, batch: int) -> Tensor:
    return tensor.expand(batch, *tensor.shape[1:])
