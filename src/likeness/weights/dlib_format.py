"""Read the parameters of a network file that dlib wrote (C++ serialisation, no code in it).

dlib writes, for each layer with parameters, a tag such as ``con_4`` or ``affine_`` and then the tensor: a version
number, four sizes, and little-endian float32 values. Integers are one byte (number of bytes, sign in the top bit)
and then the bytes, lowest first. Layers come in the order of the data, from the input to the output.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

KINDS = re.compile(b"con_4|con_5|affine_|fc_2")


def read_layers(path: Path) -> list[tuple[str, np.ndarray]]:
    """(kind, flat float32 parameters) of each layer with parameters; kind is "con", "affine" or "fc".

    Raises ValueError when the file is not such a network.
    """
    data = path.read_bytes()
    layers: list[tuple[str, np.ndarray]] = []
    position = 0
    while hit := KINDS.search(data, position):
        at, tag = hit.end(), hit.group()
        try:
            if tag.startswith(b"fc"):  # its numbers of outputs and inputs come first
                _, at = _integer(data, at)
                _, at = _integer(data, at)
            values, position = _tensor(data, at)
        except ValueError as error:
            raise ValueError(f"{path}: not a network file of dlib ({error})") from error
        layers.append((tag.split(b"_")[0].decode(), values))
    if not layers:
        raise ValueError(f"{path}: not a network file of dlib")
    return layers


def _integer(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise ValueError("it ends in a number")
    head = data[at]
    size, negative = head & 0x0F, head & 0x80
    if not 1 <= size <= 8:
        raise ValueError(f"byte {at} is no integer")
    if at + 1 + size > len(data):
        raise ValueError("it ends in a number")
    value = int.from_bytes(data[at + 1 : at + 1 + size], "little")
    return (-value if negative else value), at + 1 + size


def _tensor(data: bytes, at: int) -> tuple[np.ndarray, int]:
    version, at = _integer(data, at)
    if version != 2:
        raise ValueError(f"tensor version {version}")
    count = 1
    for _ in range(4):
        size, at = _integer(data, at)
        count *= size
    if count < 0 or at + 4 * count > len(data):
        raise ValueError("a tensor reaches past the end")
    return np.frombuffer(data, "<f4", count, at).copy(), at + 4 * count
