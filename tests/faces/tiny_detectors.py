"""Tiny ONNX files with the inputs and outputs of detectors, and the face that they see: where the picture is red.

The score of a cell is the mean of red minus green over it; of each cell they tell the same box and landmarks, in
strides. So a file shows the order of the channels, their scale, the cells' order and the way back to the photo.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from likeness.faces import FFHQ_TEMPLATE

# Around the middle of a cell, in cells: a face whose 512 crop would be 8 cells wide.
POINTS = (FFHQ_TEMPLATE - 256) / 64 + 0.5
LOW, HIGH = np.array([-2.0, -1.5]), np.array([3.0, 3.5])  # corners of its box


def write(
    path: Path, layout: str, *, side: int | str = 640, batch: bool = True, drop: str = "", strides: tuple[int, ...] = ()
) -> Path:
    """An ONNX file of the layout "yunet" or "scrfd". side: of the input, a name if it is free. batch: whether the
    outputs have a batch axis. drop: an output to leave out. strides: which ones see faces (all)."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    tensors: list[Any] = []
    outputs: list[Any] = []

    def head(name: str, stride: int, weight: np.ndarray, bias: np.ndarray, numbers: int) -> None:
        """A convolution whose kernel is one cell, reordered to one row for each anchor."""
        kernel = np.broadcast_to(weight[:, :, None, None] / stride**2, (*weight.shape, stride, stride))
        shape = (1, -1, numbers) if batch else (-1, numbers)
        for what, value in (("w", kernel.astype("f4")), ("b", bias.astype("f4")), ("s", np.array(shape, "i8"))):
            tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), f"{name}_{what}"))
        nodes.append(
            helper.make_node("Conv", ["input", f"{name}_w", f"{name}_b"], [f"{name}_c"], f"Conv_{name}",
                             strides=[stride] * 2, kernel_shape=[stride] * 2)
        )  # fmt: skip
        nodes.append(helper.make_node("Transpose", [f"{name}_c"], [f"{name}_t"], f"T_{name}", perm=[0, 2, 3, 1]))
        nodes.append(helper.make_node("Reshape", [f"{name}_t", f"{name}_s"], [name], f"Reshape_{name}"))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * len(shape)))

    for name, weight, bias in _heads(layout, strides or (8, 16, 32)):
        if name != drop:
            anchors = 2 if layout == "scrfd" else 1
            head(name, int(name.rpartition("_")[2]), weight, bias, len(bias) // anchors)
    entry = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])
    graph = helper.make_graph(nodes, layout, [entry], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def _heads(layout: str, strides: tuple[int, ...]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, weights (C, 3) and bias (C,) of each output, in the order of the released files."""
    made = []
    for part in ("cls", "obj", "bbox", "kps") if layout == "yunet" else ("score", "bbox", "kps"):
        for stride in (8, 16, 32):
            seen = float(stride in strides)
            if layout == "yunet":
                red = np.array([[0.0, -1.0, 1.0]]) / 255 * seen
                box = np.concatenate([(LOW + HIGH) / 2, np.log(HIGH - LOW)])
                told = {"cls": (red, np.zeros(1)), "obj": (np.zeros((1, 3)), np.ones(1)),
                        "bbox": (np.zeros((4, 3)), box), "kps": (np.zeros((10, 3)), POINTS.ravel())}[part]  # fmt: skip
            else:
                # The second anchor never sees more than the first, and tells of another box.
                red = np.array([[128.0, -128.0, 0.0], [64.0, -64.0, 0.0]]) / 255 * seen
                box = np.concatenate([-LOW, HIGH])
                told = {"score": (red, np.zeros(2)), "bbox": (np.zeros((8, 3)), np.concatenate([box, box + 9])),
                        "kps": (np.zeros((20, 3)), np.concatenate([POINTS, POINTS + 9]).ravel())}[part]  # fmt: skip
            made.append((f"{part}_{stride}", *told))
    return made
