"""Weights: strict loading, damaged files, dlib's format."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from likeness.faces.models import RECOGNITION, model_path
from likeness.weights.builtin import builtin_path
from likeness.weights.dlib_format import read_layers
from likeness.weights.load import WeightsError, fingerprint, load_strict, read_tensors, save_half


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some weights.safetensors"


def test_round_trip_in_half_precision(path: Path) -> None:
    torch.manual_seed(0)
    saved, loaded = network(), network()
    saved[1].num_batches_tracked.fill_(1000)  # type: ignore[union-attr,operator]
    save_half(saved.state_dict(), path, {"note": "test"})
    assert all(t.dtype == torch.float16 for t in read_tensors(path).values() if t.is_floating_point())
    load_strict(loaded, path)
    for key, value in loaded.state_dict().items():
        assert value.dtype == saved.state_dict()[key].dtype, key
        assert torch.equal(value, saved.state_dict()[key].half().to(value.dtype)), key


def test_save_half_does_not_touch_the_network(path: Path) -> None:
    saved = network()
    before = {k: v.clone() for k, v in saved.state_dict().items()}
    save_half(saved.state_dict(), path, {})
    assert all(torch.equal(v, before[k]) and v.dtype == before[k].dtype for k, v in saved.state_dict().items())


def test_missing_unexpected_and_misshapen_are_named(path: Path) -> None:
    state = {k: v.clone() for k, v in network().state_dict().items()}
    del state["0.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["2.weight"] = torch.zeros(2, 5)
    save_file(state, path)
    net = network()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_strict(net, path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for part in (
        str(path),
        "missing 0.bias",
        "unexpected extra.weight",
        "2.weight has shape (2, 5), not (2, 4)",
    ):
        assert part in message
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


@pytest.mark.parametrize("problem", ["missing", "unexpected", "shape"])
def test_one_problem_is_enough(path: Path, problem: str) -> None:
    state = {k: v.clone() for k, v in network().state_dict().items()}
    if problem == "missing":
        del state["2.bias"]
    elif problem == "unexpected":
        state["2.extra"] = torch.zeros(1)
    else:
        state["2.bias"] = torch.zeros(1)  # would broadcast
    save_file(state, path)
    with pytest.raises(WeightsError, match=r"2\.(bias|extra)"):
        load_strict(network(), path)


def test_many_problems_are_counted(path: Path) -> None:
    save_file({"other": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match=r"missing 0\.weight.* and 7 more$"):  # nine missing, one unexpected
        load_strict(network(), path)


@pytest.mark.parametrize("keep", [0, 4, 30, 0.5, -1])
def test_truncated_file(path: Path, keep: float) -> None:
    save_half(network().state_dict(), path, {})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)] if isinstance(keep, float) else data[: int(keep)])
    with pytest.raises(WeightsError, match=r"is not an intact \.safetensors file") as caught:
        load_strict(network(), path)
    assert len(str(caught.value).splitlines()) == 1


def test_not_weights_at_all(path: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="are not there"):
        load_strict(network(), path)
    path.write_text("<html>404</html>" * 20, encoding="utf-8")
    with pytest.raises(WeightsError, match="not an intact"):
        load_strict(network(), path)
    path.unlink()
    path.mkdir()
    with pytest.raises(WeightsError, match="some weights"):
        load_strict(network(), path)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".bin", ""])
def test_files_that_could_hold_code_are_refused(tmp_path: Path, suffix: str) -> None:
    other = tmp_path / f"weights{suffix}"
    torch.save(network().state_dict(), other)
    with pytest.raises(WeightsError, match=r"only \.safetensors"):
        load_strict(network(), other)


def test_fingerprint(path: Path, tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    path.write_bytes(data)
    assert fingerprint(path) == hashlib.sha256(data).hexdigest()
    with pytest.raises(WeightsError, match="cannot read weights"):
        fingerprint(tmp_path / "absent.safetensors")


def test_python_310_digest_is_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(bytes(range(256)) * 10_000)
    want = fingerprint(path)
    monkeypatch.delattr(hashlib, "file_digest", raising=False)
    assert fingerprint(path) == want


def test_builtin_path_is_in_the_package() -> None:
    path = builtin_path("likeness")
    assert path.name == "likeness.safetensors"
    assert path.parent.name == "files"


# dlib's format


def test_dlib_layers_are_the_documented_network() -> None:
    layers = read_layers(model_path(RECOGNITION))
    assert [kind for kind, _ in layers] == ["con", "affine"] * 29 + ["fc"]
    assert layers[0][1].size == 32 * 3 * 7 * 7 + 32
    assert layers[-1][1].size == 256 * 128
    assert all(values.dtype == np.float32 and np.isfinite(values).all() for _, values in layers)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"This is a text, no network.\n",
        b"about con_4",
        b"a text about con_4 layers\n",
        b"fc_2\x01\x80",
        b"affine_\x01\x02\x01\x20\x01\x01\x01\x01\x01\x01\x00\x00",
        b"con_4\x01\x02\x04\x01",
    ],
    ids=[
        "empty",
        "text",
        "ends in a tag",
        "tag in a text",
        "ends in sizes",
        "tensor too long",
        "ends in an integer",
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "readme.dat"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"readme\.dat: not a network file of dlib"):
        read_layers(path)


def test_truncated_network_is_refused(tmp_path: Path) -> None:
    """Wherever it ends: inside the first layer's header and inside its numbers."""
    data = model_path(RECOGNITION).read_bytes()
    start = data.index(b"con_4")
    path = tmp_path / "cut.dat"
    for end in [*range(start + 5, start + 16), start + 2000]:
        path.write_bytes(data[:end])
        with pytest.raises(ValueError, match="not a network file of dlib"):
            read_layers(path)
