"""Reading checkpoints: what authors save is read, and nothing that a file brings is ever run."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import struct
import sys
import types
import warnings
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from likeness.weights import checkpoint
from likeness.weights.checkpoint import fill_strict, read_checkpoint
from likeness.weights.load import WeightsError
from likeness.weights.unpickle import read_restricted

Save = Callable[..., Path]
OURS, TORCHS = read_restricted, read_checkpoint


@pytest.fixture(params=["archive", "old format"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Save:
    """``torch.save`` in both of its formats."""

    def write(held: Any, name: str = "net.pth", **how: Any) -> Path:
        path = tmp_path / name
        torch.save(held, path, _use_new_zipfile_serialization=request.param == "archive", **how)
        return path

    return write


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    return net.state_dict()


def same(a: Any, b: Any) -> bool:
    """Equal values and types, with tensors and arrays compared number by number."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a.detach(), b.detach())
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def test_safetensors_by_suffix_or_by_content(tmp_path: Path) -> None:
    for name in ("net.safetensors", "net.pth"):
        save_file(state(), tmp_path / name)
        assert same(read_checkpoint(tmp_path / name), dict(state()))


@pytest.mark.parametrize("read", [OURS, TORCHS])
def test_what_authors_save(save: Save, read: Callable[[Path], Any]) -> None:
    """Nesting, optimiser states, numbers, texts and every usual type of tensor, read by torch's reader and by ours."""
    shared = torch.arange(12.0).reshape(3, 4)
    held = {
        "params_ema": state(),
        "step": 5,
        "loss": 0.25,
        "flags": [True, None, "text", b"bytes", (1, 2)],
        "kinds": {str(kind): torch.ones(2).to(kind) for kind in (torch.float16, torch.bfloat16, torch.float64)},
        "counts": {str(kind): torch.tensor([1, 2]).to(kind) for kind in (torch.int8, torch.uint8, torch.int16)},
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 4),
        "shared": [shared, shared.T, shared[1:, 2:]],
        "parameter": nn.Parameter(torch.ones(2)),
        "size": list(torch.Size([1, 2])),
        "set": {1, 2},
        "big": 10**30,
    }
    found = read(save(held))
    held["params_ema"] = dict(state())
    assert same({**found, "params_ema": dict(found["params_ema"])}, held)
    assert found["shared"][0].data_ptr() == found["shared"][1].data_ptr(), "memory is shared as it was"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol(save: Save, protocol: int) -> None:
    held = {"state_dict": state(), "options": argparse.Namespace(size=512), "text": "ä" * 300}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing for people to read
        found = read_checkpoint(save(held, pickle_protocol=protocol))
    assert same(found, {"state_dict": dict(state()), "options": {"size": 512}, "text": "ä" * 300})


def test_plain_data_beyond_what_torch_allows(save: Save) -> None:
    held = {
        "opts": argparse.Namespace(size=1024, inner=argparse.Namespace(a=[1, 2]), path=Path("a/b")),
        "simple": types.SimpleNamespace(x=1),
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
        "big_endian": np.arange(3, dtype=">f8"),
        "bools": np.array([True, False]),
        "number": np.float64(0.5),
        "default": defaultdict(list, {"a": [1]}),
        "weights": state(),
    }
    found = read_checkpoint(save(held))
    assert found["opts"] == {"size": 1024, "inner": {"a": [1, 2]}, "path": "a/b"}
    assert found["simple"] == {"x": 1}
    assert (found["number"], found["default"]) == (0.5, {"a": [1]})
    for name in ("array", "fortran", "big_endian", "bools"):
        assert same(found[name], held[name]), name
    assert same(found["weights"], dict(state()))


def test_bookkeeping_of_lightning(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    """As version 1.0 saved it: the callback's class is a key, and the options are a dict of a class of its own."""
    names = "pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.utilities"
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    callback = type("ModelCheckpoint", (), {"__module__": names[1]})
    options = type("AttributeDict", (dict,), {"__module__": names[2]})
    sys.modules[names[1]].ModelCheckpoint = callback  # type: ignore[attr-defined]
    sys.modules[names[2]].AttributeDict = options  # type: ignore[attr-defined]
    held = {"state_dict": state(), "callbacks": {callback: {"best": 1}}, "hyper_parameters": options(lr=1e-4)}
    path = save(held, "RestoreFormer.ckpt")
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    found = read_checkpoint(path)
    assert same(found["state_dict"], dict(state()))
    assert found["hyper_parameters"] == {"lr": 1e-4}
    assert list(found["callbacks"].values()) == [{"best": 1}]
    assert not [name for name in sys.modules if name.startswith("pytorch_lightning")]


def test_what_python_2_wrote(tmp_path: Path) -> None:
    """Its texts are bytes, its modules have other names."""
    body = b"\x80\x02ccollections\nOrderedDict\n)Rc__builtin__\nset\n]U\x01a\x85R"
    path = tmp_path / "old.pth"
    rest = pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2)
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + rest + b"\x80\x02}U\x01kK\x05s." + pickle.dumps([], 2))
    assert read_checkpoint(path) == {"k": 5}
    assert body  # kept short: sets are tried above


# what must be refused


class Runs:
    """Pickled, it calls any function with any arguments."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def attacks(mark: Path) -> dict[str, tuple[Any, str]]:
    """Things that would make the file ``mark`` if they were run, and the name that is refused."""
    code = f"open({str(mark)!r}, 'w').close()"
    return {
        "system": (Runs(os.system, f"touch {mark}"), "posix.system"),
        "exec": (Runs(exec, code), "builtins.exec"),
        "eval": (Runs(eval, f"__import__('pathlib').Path({str(mark)!r}).touch()"), "builtins.eval"),
        "getattr": (Runs(getattr, "text", "upper"), "builtins.getattr"),
        "import": (Runs(__import__, "antigravity"), "builtins.__import__"),
        "open": (Runs(open, str(mark), "w"), "io.open"),
        "method": (Runs(Path.touch, mark), "builtins.getattr"),
        "torch.load": (Runs(torch.load, str(mark)), "torch.serialization.load"),
        "numpy.save": (Runs(np.save, str(mark), np.ones(1)), "numpy.save"),
        "pickle": (Runs(pickle.loads, pickle.dumps(Runs(exec, code))), "pickle.loads"),
        "codec": (Runs(pickle.codecs.encode, "a", "zlib"), "the encoding 'zlib'"),  # type: ignore[attr-defined]
        "whole module": (nn.Conv2d(3, 4, 3), "torch.nn.modules.conv.Conv2d"),
        "object array": (np.array([Runs(exec, code)], dtype=object), "builtins.exec"),
        "array of objects": (np.array([None, 1], dtype=object), "a numpy array of type 'O8'"),
        "array of records": (np.zeros(2, dtype=[("a", "f4")]), "a numpy array of type 'V4'"),
        "subclass": (OrderedDict.fromkeys([Runs(exec, code)]), "builtins.exec"),
    }


@pytest.mark.parametrize("kind", attacks(Path("mark")))
@pytest.mark.parametrize("nested", [False, True], ids=["bare", "beside tensors"])
def test_code_is_not_run_and_its_name_is_said(save: Save, tmp_path: Path, kind: str, nested: bool) -> None:
    mark = tmp_path / "mark"
    held, name = attacks(mark)[kind]
    path = save({"state_dict": state(), "evil": held} if nested else held, "evil.pth")
    loaded = set(sys.modules)
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert f"{path} is refused" in message
    assert name in message
    assert not mark.exists()
    imported = {name for name in set(sys.modules) - loaded if not name.startswith("encodings.")}
    assert imported == set()  # (torch's own reader looks codecs up)


def test_the_attacks_are_real(tmp_path: Path) -> None:
    """The control arm: pickle itself runs them."""
    mark = tmp_path / "mark"
    for kind in ("system", "exec", "eval", "open", "pickle", "object array"):
        pickle.loads(pickle.dumps(attacks(mark)[kind][0]))
        assert mark.exists(), kind
        mark.unlink()


@pytest.mark.parametrize(
    "program",
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n}U\x08__code__K\x01s\x86b.",  # set an attribute of a function
        b"ctorch._utils\n_rebuild_tensor_v2\nN}U\x08_functionK\x01s\x86b.",
        b"cargparse\nNamespace\nN}U\x0c__setstate__ccollections\nOrderedDict\ns\x86b.",  # of a class
        b"ccollections\nOrderedDict\nN}U\x06updateK\x01s\x86b.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00K\x05\x85K\x01\x85I00\n}tR.",  # a tensor of a number
        b"cnumpy\ndtype\nU\x02O8\x85R.",
        b"ctorch._tensor\n_rebuild_from_type_v2\n(cbuiltins\nset\nN(ltK\x01tR.",
    ],
)
def test_stand_ins_cannot_be_changed_or_misused(tmp_path: Path, program: bytes) -> None:
    from likeness.weights import stand_ins

    before = dict(vars(stand_ins.Bag)), stand_ins._KNOWN.copy(), dict(vars(OrderedDict))
    path = tmp_path / "crafted.pth"
    _archive(path, b"\x80\x02" + program)
    try:
        found = read_restricted(path)
        assert isinstance(found, str | dict | np.dtype | set)
    except WeightsError:
        pass
    assert (dict(vars(stand_ins.Bag)), stand_ins._KNOWN, dict(vars(OrderedDict))) == before


def _archive(path: Path, program: bytes, *more: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in [("net/data.pkl", program), *more]:
            archive.writestr(name, data)


def crafted(size: list[int], stride: list[int], offset: int, numel: int = 4, stored: int = 16) -> tuple[bytes, bytes]:
    """The pickle of one tensor with any numbers, and its storage."""

    class Note:
        def __reduce__(self) -> Any:
            return torch._utils._rebuild_tensor_v2, (STORAGE, offset, tuple(size), tuple(stride), False, OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, held: Any) -> Any:
            return ("storage", torch.FloatStorage, "0", "cpu", numel) if held is STORAGE else None

    stream = io.BytesIO()
    Pickler(stream, 2).dump({"weight": Note()})
    return stream.getvalue(), bytes(stored)


STORAGE = object()


@pytest.mark.parametrize(
    ("numbers", "good"),
    [
        (([2, 2], [2, 1], 0), True),
        (([2], [1], 2), True),
        (([2, 2], [2, 1], 1), False),
        (([5], [1], 0), False),
        (([2], [4], 0), False),
        (([2], [1], -1), False),
        (([-2], [1], 0), False),
        (([2], [-1], 1), False),
        (([2, 2], [1], 0), False),
        (([1 << 62, 4], [1, 1], 0), False),
        (([4], [1], 0, 4, 12), False),
        (([4], [1], 0, 1 << 40, 16), False),
    ],
)
def test_a_tensor_stays_within_its_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numbers: Any, good: bool
) -> None:
    """And it is not torch alone that says so."""
    program, stored = crafted(*numbers)
    path = tmp_path / "crafted.pth"
    _archive(path, program, ("net/data/0", stored), ("net/version", b"3\n"), ("net/byteorder", b"little"))
    if good:
        assert read_restricted(path)["weight"].shape == tuple(numbers[0])
        return
    asked: list[Any] = []
    monkeypatch.setattr(torch, "as_strided", lambda *numbers: asked.append(numbers))
    with pytest.raises(WeightsError, match="not an intact checkpoint"):
        read_restricted(path)
    assert asked == []


def test_a_program_of_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(path))
    with pytest.raises(WeightsError, match="TorchScript"):
        read_checkpoint(path)


def test_odd_archives_are_refused(tmp_path: Path) -> None:
    program = pickle.dumps({"a": argparse.Namespace()}, 2)
    path = tmp_path / "odd.pth"
    _archive(path, program)
    assert read_checkpoint(path) == {"a": {}}
    _archive(path, program, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="decompressed"):
        read_checkpoint(path)
    _archive(path, program, ("net/byteorder", b"big"))
    with pytest.raises(WeightsError, match="bytes"):
        read_restricted(path)
    _archive(path, program, ("other/data.pkl", program))
    with pytest.raises(WeightsError, match="not an intact"):
        read_checkpoint(path)


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    with pytest.raises(WeightsError, match=r"net\.pth are not there"):
        read_checkpoint(path)
    torch.save([1, 2], path)
    with pytest.raises(WeightsError, match="no tensors by key, but one list"):
        read_checkpoint(path)
    for data in (b"", b"\x80\x02.", b"<html>404</html>" * 9, pickle.dumps({"a": 1}), b"PK\x05\x06" + bytes(18)):
        path.write_bytes(data)
        with pytest.raises(WeightsError, match="not an intact checkpoint"):
            read_checkpoint(path)
    with pytest.raises(WeightsError, match="not there"):
        read_checkpoint(tmp_path)
    (tmp_path / "net.safetensors").write_bytes(b"rubbish")
    with pytest.raises(WeightsError, match=r"not an intact \.safetensors"):
        read_checkpoint(tmp_path / "net.safetensors")


def test_endless_nesting(tmp_path: Path) -> None:
    path = tmp_path / "deep.pth"
    for program in (b"}" + b"U\x01k}" * 60_000 + b"s" * 60_000 + b".", b"}q\x00U\x01kh\x00s."):
        _archive(path, b"\x80\x02" + program)
        with pytest.raises(WeightsError, match="not an intact"):
            read_restricted(path)


def test_every_cut_is_noticed(save: Save) -> None:
    path = save({"params": state(), "opts": argparse.Namespace(a=1)})
    data = path.read_bytes()
    for end in [*range(0, len(data) - 1, 97), len(data) - 1]:
        path.write_bytes(data[:end])
        with pytest.raises(WeightsError):
            read_checkpoint(path)


def test_flipped_bytes_raise_nothing_but_weights_errors(save: Save) -> None:
    """Whatever is flipped: the file is read, or there is one line. (Some bytes are padding or numbers.)"""
    path = save({"params": state(), "opts": argparse.Namespace(a=1), "array": np.arange(3)})
    data = path.read_bytes()
    rng, refused = np.random.default_rng(0), []
    for _ in range(200):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            broken[at] = rng.integers(256)
        path.write_bytes(broken)
        try:
            read_checkpoint(path)
        except WeightsError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert all(len(message.splitlines()) == 1 for message in refused)


def test_torchs_own_reader_is_asked_with_weights_only(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    load = torch.load

    def watched(*args: Any, **how: Any) -> Any:
        asked.append(how)
        return load(*args, **how)

    monkeypatch.setattr(checkpoint.torch, "load", watched)
    read_checkpoint(save(state()))
    with pytest.raises(WeightsError):
        read_checkpoint(save({"a": Runs(exec, "1")}))
    assert [how["weights_only"] for how in asked] == [True, True]


# filling a network


def test_fill_strict_is_the_one_of_load() -> None:
    from likeness.weights import load

    assert fill_strict is load.fill_strict


def test_fill_strict_names_what_is_wrong_and_whose() -> None:
    net = nn.Linear(2, 2)
    before = net.weight.clone()
    with pytest.raises(WeightsError, match=r"^the file does not fit this network: missing bias; unexpected b$"):
        fill_strict(net, {"weight": torch.ones(2, 2), "b": torch.ones(2)}, "the file")
    assert torch.equal(net.weight, before)
    fill_strict(net, {"weight": torch.ones(2, 2).half(), "bias": torch.ones(2).double()}, "the file")
    assert torch.equal(net.weight, torch.ones(2, 2))
    assert struct.calcsize("f") == net.weight.element_size()
