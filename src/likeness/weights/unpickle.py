"""A reader of torch's checkpoints that knows data and nothing else: no name in a file is ever looked up or imported.

A pickle is a small program that names functions and calls them. Here each name on a short list stands for a harmless
thing of ours that only notes what it is given; every other name is refused. The tensors are made afterwards, from the
notes, with every number checked. Both of torch's formats are read: the archive (.zip, since 1.6) and the older one.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import torch
from torch import Tensor

from likeness.weights.errors import WeightsError
from likeness.weights.stand_ins import ArrayNote, Call, DtypeNote, RefusedError, StorageNote, TensorNote, stand_in

DAMAGED = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    SyntaxError,
    TokenError,
    RuntimeError,  # RecursionError and what torch says of a broken archive
    MemoryError,
)
"""What reading a damaged file may raise, here, in ``torch.load`` and in ``numpy.load``."""

MAGIC = 0x1950A86A20F9469CFC6C  # the older format begins with it, pickled


def read_restricted(path: Path) -> Any:
    """What the checkpoint holds, in plain containers, tensors, numpy arrays, numbers and texts. Raises WeightsError."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _read_archive(archive)
        with path.open("rb") as file:
            return _read_old(file, path.stat().st_size)
    except RefusedError as error:
        raise WeightsError(
            f"{path} is refused: {error}, which is not on the list of harmless things (nothing of it was run)"
        ) from error
    except DAMAGED as error:
        raise WeightsError(f"{path} is not an intact checkpoint") from error


class _Unpickler(pickle.Unpickler):
    """Reads one pickle; ``storages`` are those that it spoke of."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")  # for what Python 2 wrote
        self.storages: dict[str, StorageNote] = {}

    def find_class(self, module: str, name: str) -> Any:
        return stand_in(module, name)

    def persistent_load(self, pid: Any) -> StorageNote:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise RefusedError("a whole pickled module")
        _, dtype, key, _, numel, *view = pid
        if not isinstance(dtype, torch.dtype) or type(numel) is not int or numel < 0:
            raise RefusedError(f"a storage of type {dtype!r}")
        start = 0
        if view and view[0] is not None:
            _, start, _ = view[0]
        known = self.storages.setdefault(str(key), StorageNote(str(key), dtype, numel))
        return StorageNote(known.key, known.dtype, known.numel, start)


def _read_archive(archive: zipfile.ZipFile) -> Any:
    names = set(archive.namelist())
    roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl") or name == "data.pkl"]
    if len(roots) != 1:
        raise pickle.UnpicklingError("no data.pkl")
    root = roots[0]
    if f"{root}constants.pkl" in names:
        raise RefusedError("to run as a program (TorchScript)")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise RefusedError("a machine that counts bytes from the other end")
    if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise RefusedError("to be decompressed, which torch never needs")
    unpickler = _Unpickler(io.BytesIO(archive.read(f"{root}data.pkl")))
    held = unpickler.load()
    raw = {key: bytearray(archive.read(f"{root}data/{key}")) for key in unpickler.storages}
    return _Maker({key: _flat(raw[key], storage) for key, storage in unpickler.storages.items()}).plain(held)


def _read_old(file: IO[bytes], size: int) -> Any:
    if _Unpickler(file).load() != MAGIC or _Unpickler(file).load() != 1001:
        raise pickle.UnpicklingError("another format")
    if not _Unpickler(file).load()["little_endian"]:
        raise RefusedError("a machine that counts bytes from the other end")
    unpickler = _Unpickler(file)
    held = unpickler.load()
    flat = {}
    for key in _Unpickler(file).load():
        storage = unpickler.storages[str(key)]
        (numel,) = struct.unpack("<q", file.read(8))
        length = numel * storage.dtype.itemsize
        if numel != storage.numel or length > size:
            raise pickle.UnpicklingError("a storage of another length")
        flat[str(key)] = _flat(bytearray(file.read(length)), storage)
    return _Maker(flat).plain(held)


def _flat(raw: bytearray, storage: StorageNote) -> Tensor:
    if len(raw) != storage.numel * storage.dtype.itemsize:
        raise pickle.UnpicklingError("a storage of another length")
    return torch.frombuffer(raw, dtype=storage.dtype) if raw else torch.empty(0, dtype=storage.dtype)


class _Maker:
    """Makes real things of the notes; tensors that shared memory share it again."""

    def __init__(self, flat: dict[str, Tensor]) -> None:
        self.flat = flat

    def plain(self, held: Any) -> Any:
        """``held`` in plain containers."""
        if isinstance(held, dict):
            return {self._key(key): self.plain(value) for key, value in dict.items(held)}
        if isinstance(held, list | tuple | set | frozenset):
            return type(held)(self.plain(value) for value in held)
        if isinstance(held, TensorNote):
            return self._tensor(held)
        if isinstance(held, ArrayNote | DtypeNote):
            return held.made()
        if isinstance(held, StorageNote):
            return self.flat[held.key]
        if isinstance(held, type | Call | torch.dtype):
            return getattr(held, "__name__", str(held))
        return held

    def _key(self, key: Any) -> Any:
        return key if isinstance(key, str | int | float | bool | tuple | None) else getattr(key, "__name__", str(key))

    def _tensor(self, note: TensorNote) -> Tensor:
        flat, offset = self.flat[note.storage.key], note.storage.start + note.offset
        # torch checks this too; but memory is at stake, and versions differ.
        numbers = (offset, *note.size, *note.stride)
        if len(note.size) != len(note.stride) or any(type(n) is not int or n < 0 for n in numbers):
            raise pickle.UnpicklingError("a tensor of impossible size")
        last = offset + sum((n - 1) * step for n, step in zip(note.size, note.stride, strict=True))
        if 0 not in note.size and last >= len(flat):
            raise pickle.UnpicklingError("a tensor that reaches past its storage")
        return torch.as_strided(flat, note.size, note.stride, offset if 0 not in note.size else 0)
