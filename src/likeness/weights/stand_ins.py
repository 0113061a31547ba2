"""What the names in a checkpoint stand for when it is read without trust: harmless things that only note what they get.

Nothing here can be changed by a file, and nothing calls what a file brings.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from likeness.weights.errors import WeightsError

_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # pickles of protocol 2, too, say so
_BAGS = ("argparse.Namespace", "types.SimpleNamespace", "easydict.EasyDict", "addict.addict.Dict", "typing.Any")
_BAG_FAMILIES = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.", "yacs.")
"""Options and bookkeeping of training programs: they become plain dicts, whatever the classes were."""


class RefusedError(WeightsError):
    """The file wants something that is not on the list; ``wanted`` is its name."""

    def __init__(self, wanted: str) -> None:
        super().__init__(f"it wants {wanted}")
        self.wanted = wanted


class Bag(dict[Any, Any]):
    """Stands for an object that is only a bag of options: keeps what is put into it.

    A file may hold the class itself, too; as the class has ``__setstate__``, a pickle cannot set attributes of it.
    """

    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.update(part)


class Call:
    """Stands for a function that a file may call; it has no attributes that a file could set."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError("this function stays as it is")

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


@dataclass(frozen=True)
class StorageNote:
    """Stands for a block of numbers in the file: its key there, their type and how many."""

    key: str
    dtype: torch.dtype
    numel: int
    start: int = 0  # a view in the older format begins here


@dataclass(frozen=True)
class TensorNote:
    """Stands for a tensor: where its numbers are."""

    storage: StorageNote
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class DtypeNote:
    """Stands for numpy.dtype; only plain numbers are known."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]

    def made(self) -> np.dtype[Any]:
        if self.code not in {f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)} | {"b1"}:
            raise RefusedError(f"a numpy array of type {self.code!r}")
        return np.dtype(self.code).newbyteorder(">" if self.order == ">" else "<")


class ArrayNote:
    """Stands for numpy.ndarray."""

    __slots__ = ("state",)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def made(self) -> np.ndarray:
        _, shape, dtype, fortran, raw = self.state
        return np.frombuffer(raw, dtype.made()).reshape(shape, order="F" if fortran else "C").copy()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise RefusedError(f"the encoding {encoding!r}")
    return text.encode("latin1")


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> TensorNote:
    return TensorNote(storage, offset, tuple(size), tuple(stride))


def _scalar(dtype: DtypeNote, raw: bytes) -> Any:
    return np.frombuffer(raw, dtype.made(), 1)[0].item()


def _bag_of(cls: Any, *_: Any) -> Bag:
    if cls is not Bag:
        raise pickle.UnpicklingError("an object of an unknown class")
    return Bag()


def _known() -> dict[str, Any]:
    first = Call(lambda data, *_: data)
    known: dict[str, Any] = {
        "collections.OrderedDict": OrderedDict,
        "collections.defaultdict": Call(lambda *_: {}),
        "builtins.set": set,
        "builtins.frozenset": frozenset,
        "builtins.complex": complex,
        "builtins.dict": "dict",  # named as the factory of a defaultdict
        "builtins.list": "list",
        "builtins.int": "int",
        "_codecs.encode": Call(_encode),
        "copyreg._reconstructor": Call(_bag_of),
        "torch._utils._rebuild_tensor": Call(_tensor),
        "torch._utils._rebuild_tensor_v2": Call(_tensor),
        "torch._utils._rebuild_parameter": first,
        "torch._utils._rebuild_parameter_with_state": first,
        "torch._tensor._rebuild_from_type_v2": Call(lambda function, _, args, *__: function(*args)),
        "torch.nn.parameter.Parameter": first,
        "torch.Tensor": "torch.Tensor",
        "torch.Size": Call(lambda sizes=(): tuple(sizes)),
        "torch.device": Call(lambda *parts: ":".join(str(part) for part in parts)),
        "numpy.ndarray": "numpy.ndarray",
        "numpy.dtype": Call(DtypeNote),
    }
    for core in ("numpy.core", "numpy._core"):
        known[f"{core}.multiarray._reconstruct"] = Call(lambda *_: ArrayNote())
        known[f"{core}.multiarray.scalar"] = Call(_scalar)
    for path in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"):
        known[f"pathlib.{path}"] = Call(lambda *parts: "/".join(str(part) for part in parts))
    for name, dtype in _STORAGES.items():
        known[f"torch.{name}"] = known[f"torch.cuda.{name}"] = dtype
        known[str(dtype)] = str(dtype)
    return known


_KNOWN = _known()


def stand_in(module: str, name: str) -> Any:
    """What stands for ``module.name``. Raises RefusedError when it is not on the list."""
    full = f"{_PYTHON_2.get(module, module)}.{name}"
    if full in _KNOWN:
        return _KNOWN[full]
    if full in _BAGS or full.startswith(_BAG_FAMILIES):
        return Bag
    raise RefusedError(full)
