"""Which method a checkpoint belongs to; clean copies; with two tiny methods in place of the real ones."""

from __future__ import annotations

import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from file_server import sha256
from likeness import methods
from likeness.methods.card import MethodCard
from likeness.methods.one_pass import OnePass, load_one_pass
from likeness.methods.recognise import convert_file, recognise_file
from likeness.weights import store
from likeness.weights.errors import WeightsError


def tiny_method(name: str, key: str, nesting: str | None = None) -> types.ModuleType:
    """A method whose network is one convolution called ``key``, of any width, adding 0.1 to the picture."""

    def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
        held = checkpoint.get(nesting, checkpoint) if nesting else checkpoint
        return {k: v for k, v in held.items() if isinstance(v, Tensor)}

    def recognise(tensors: Mapping[str, Tensor]) -> nn.Module | None:
        if f"{key}.weight" not in tensors:
            return None
        net = nn.Module()
        net.add_module(key, nn.Conv2d(3, tensors[f"{key}.weight"].shape[0], 1))
        return net

    card = MethodCard(name, name, "A Paper", "MIT", "one pass", False)
    module = types.ModuleType(f"methods_{name}")
    module.CARD = card  # type: ignore[attr-defined]
    module.method = lambda: OnePass(card, unpack, recognise, lambda net, x, options, seed: x + 0.1)  # type: ignore[attr-defined]
    return module


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The methods "first" (nested in params_ema), "second", and "third", which takes what the second takes."""
    monkeypatch.setattr(methods, "METHODS", registry := {})
    monkeypatch.setattr("likeness.methods.recognise.METHODS", registry)
    for name, key, nesting in (("first", "a", "params_ema"), ("second", "b", None), ("third", "b", None)):
        monkeypatch.setitem(sys.modules, f"methods_{name}", tiny_method(name, key, nesting))
        registry[name] = f"methods_{name}"


def tensors(key: str, width: int = 4) -> dict[str, Tensor]:
    return {f"{key}.weight": torch.rand(width, 3, 1, 1), f"{key}.bias": torch.rand(width)}


def saved(tmp_path: Path, held: Any, name: str = "net.pth") -> Path:
    torch.save(held, tmp_path / name)
    return tmp_path / name


def test_the_method_is_recognised(tmp_path: Path) -> None:
    assert recognise_file(saved(tmp_path, {"params_ema": tensors("a"), "step": 3})) == "first"
    assert recognise_file(saved(tmp_path, tensors("b", 7)), ["first", "second"]) == "second"


def test_none_fits(tmp_path: Path) -> None:
    path = saved(tmp_path, tensors("c"))
    with pytest.raises(WeightsError, match=r"net\.pth holds weights of no method .*first, second, third"):
        recognise_file(path)
    with pytest.raises(WeightsError, match="no method"):
        recognise_file(saved(tmp_path, tensors("b")), ["first"])


def test_several_fit(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"several methods \(second, third\).*--method"):
        recognise_file(saved(tmp_path, tensors("b")))


def test_a_method_of_one_configuration_is_known_by_its_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("methods_fixed")
    module.networks = lambda: {"net": nn.Linear(2, 3)}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "methods_fixed", module)
    methods.METHODS["fixed"] = "methods_fixed"
    assert recognise_file(saved(tmp_path, nn.Linear(2, 3).state_dict())) == "fixed"
    with pytest.raises(WeightsError, match="no method"):
        recognise_file(saved(tmp_path, nn.Linear(2, 4).state_dict()))


def test_what_an_unpack_does_not_know_is_not_its_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("methods_strict")

    def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
        raise WeightsError("no state_dict in it")

    module.method = lambda: types.SimpleNamespace(unpack=unpack)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "methods_strict", module)
    methods.METHODS["strict"] = "methods_strict"
    assert recognise_file(saved(tmp_path, {"params_ema": tensors("a")})) == "first"


def test_the_built_in_method_is_recognised(tmp_path: Path) -> None:
    from likeness.methods import likeness
    from likeness.weights.load import save_half

    methods.METHODS["likeness"] = "likeness.methods.likeness"
    save_half(likeness.networks()["net"].state_dict(), tmp_path / "mine.safetensors", {})
    assert recognise_file(tmp_path / "mine.safetensors") == "likeness"


def test_a_clean_copy(tmp_path: Path) -> None:
    shared = torch.rand(8, 3, 1, 1)
    held = {"params_ema": {"a.weight": shared[::2], "a.bias": shared[4:, 0, 0, 0]}, "step": 3}
    source, target = saved(tmp_path, held), tmp_path / "folder/clean.safetensors"
    metadata = convert_file(source, target)
    assert metadata == {"method": "first", "sha256": sha256(source.read_bytes())}
    found = load_file(target)
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in held["params_ema"].items()}
    with safe_open(target, "pt") as file:
        assert file.metadata() == metadata
    assert recognise_file(target) == "first"
    assert convert_file(target, tmp_path / "again.safetensors")["method"] == "first"


def test_a_clean_copy_names_the_catalogues_entry(tmp_path: Path, listed: Any) -> None:
    source = saved(tmp_path, {"params_ema": tensors("a")})
    store.add(listed("first-1", method="first"), source)
    assert convert_file(source, tmp_path / "clean.safetensors")["entry"] == "first-1"


@pytest.mark.parametrize("wrong", ["missing", "unexpected", "shape", "code"])
def test_nothing_is_left_of_a_copy_that_failed(tmp_path: Path, wrong: str) -> None:
    held = tensors("a")
    if wrong == "missing":
        del held["a.bias"]
    elif wrong == "unexpected":
        held["a.extra"] = torch.ones(1)
    elif wrong == "shape":
        held["a.bias"] = torch.ones(5)
    source = saved(tmp_path, nn.Conv2d(3, 4, 1) if wrong == "code" else {"params_ema": held})
    target = tmp_path / "clean.safetensors"
    target.write_bytes(b"as it was")
    says = {
        "missing": "missing a.bias",
        "unexpected": "unexpected a.extra",
        "shape": "a.bias has shape",
        "code": "Conv2d",
    }
    with pytest.raises(WeightsError, match=says[wrong]):
        convert_file(source, target)
    assert target.read_bytes() == b"as it was"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clean.safetensors", "net.pth"]


def test_from_the_store_to_pixels(tmp_path: Path, listed: Any) -> None:
    """``load_one_pass`` with the catalogue's file, a file of another method, and one with a key missing."""
    method = sys.modules["methods_first"].method()
    cpu, float32 = torch.device("cpu"), torch.float32
    entry = listed("first-1", method="first")
    with pytest.raises(WeightsError, match="likeness models pull first-1"):
        load_one_pass(method, cpu, float32)
    source = saved(tmp_path, {"params_ema": tensors("a")})
    store.add(entry, source)
    restorer = load_one_pass(method, cpu, float32)
    assert restorer.fingerprint == sha256(source.read_bytes())
    crops = torch.rand(2, 3, 512, 512) * 0.5
    assert torch.allclose(restorer.restore(crops), crops + 0.05, atol=1e-6)
    with pytest.raises(WeightsError, match="holds no weights of first"):
        load_one_pass(method, cpu, float32, saved(tmp_path, tensors("b")))
    broken = tensors("a")
    del broken["a.bias"]
    with pytest.raises(WeightsError, match=r"net\.pth does not fit this network: missing a\.bias$"):
        load_one_pass(method, cpu, float32, saved(tmp_path, {"params_ema": broken}))
