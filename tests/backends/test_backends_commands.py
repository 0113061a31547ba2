"""``--backend`` and ``likeness export``: what is recorded, what is done again, and what is wrong use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_likeness import crops, needed, small_net, small_restorer

import scenes
from likeness.backends.check import psnr
from likeness.methods.likeness.network import LikenessNet
from likeness.photo import read_photo, read_statements
from likeness.provenance import NAMESPACE, PROPERTY
from likeness.weights.load import save_clean

Command = Callable[..., scenes.Ended]
BLOCKED = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None  # as if it were not installed
sys.argv = ["likeness", *sys.argv[2:]]
from likeness.cli import main
main()
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the small network."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_clean(small_net().state_dict(), path, {})
    return path


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("likeness.methods.likeness.network.LikenessNet", small_net)
    assert LikenessNet is not small_net


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "face.png"
    path.write_bytes(scenes.encoded(np.rint(scenes.aligned_face() * 255).astype(np.uint8), "PNG"))
    return path


def without(packages: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The command line as a process in which those packages cannot be imported."""
    command = [sys.executable, "-c", BLOCKED, packages, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=scenes.environment())


@pytest.mark.slow
def test_the_backend_is_recorded_and_results_of_another_are_not_taken(
    command: Command, photo: Path, weights: Path, tmp_path: Path
) -> None:
    needed("openvino")
    out = tmp_path / "out"

    def restore(*options: object) -> tuple[dict[str, Any], int, str]:
        arguments = ("--aligned", "--method", "likeness", "--weights", weights, *options)
        ended = command("restore", photo, "-o", out, *arguments)
        assert ended.status == 0, ended.err
        return scenes.read_report(out)["settings"], (out / "face.png").stat().st_mtime_ns, ended.err

    settings, first, _ = restore("--backend", "openvino")
    assert settings["backend"] == "openvino"
    (facts,) = read_statements(read_photo(out / "face.png"), NAMESPACE, PROPERTY)
    assert facts["backend"] == "openvino"
    assert restore("--backend", "openvino")[1] == first  # done and intact
    kept = tmp_path / "kept.png"
    kept.write_bytes((out / "face.png").read_bytes())
    settings, second, _ = restore("--backend", "torch")
    assert settings["backend"] == "torch"
    assert second > first
    settings, _, err = restore("--like", kept)
    assert settings["backend"] == "openvino"
    assert (out / "face.png").read_bytes() == kept.read_bytes()
    settings, _, err = restore("--like", kept, "--backend", "torch")
    assert settings["backend"] == "torch"
    assert f"{kept} was made by openvino, this is torch: the last bits may differ" in err


def test_a_backend_that_is_not_installed_is_one_line(photo: Path, tmp_path: Path) -> None:
    for backend, package in (("openvino", "openvino"), ("onnx", "onnxruntime")):
        done = without(package, "restore", photo, "-o", tmp_path / "out", "--backend", backend)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"likeness: backend {backend} needs ")
        assert package in line
        assert line.endswith("pip install 'likeness[fast]'")
    assert not (tmp_path / "out").exists()
    done = without("onnxscript", "export", "likeness", "-o", tmp_path / "x.onnx", "--format", "onnx")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "the format onnx needs" in line


def test_without_packages_auto_is_torch(photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIKENESS_BACKEND")
    done = without(
        "openvino,onnxruntime", "restore", photo, "-o", tmp_path / "out", "--aligned", "--steps", 1, "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["settings"]["backend"] == "torch"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--backend", "fast"], ["backend", "fast", "auto, torch, compile, onnx, openvino"]),
        (["--backend", "compile", "--method", "pattern"], ["pattern computes by torch only", "--backend compile"]),
    ],
    ids=["unknown", "method"],
)
def test_wrong_use_is_one_line(
    command: Command, photo: Path, tmp_path: Path, pattern: str, options: list[str], words: list[str]
) -> None:
    ended = command("restore", photo, "-o", tmp_path / "out", *options)
    assert (ended.status, len(ended.lines)) == (2, 1), ended.err
    assert all(word in ended.lines[0] for word in words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_exported_files_give_the_pixels_in_other_programs(
    command: Command, weights: Path, tmp_path: Path, kind: str
) -> None:
    needed(kind)
    suffix = {"onnx": ".onnx", "openvino": ".xml"}[kind]
    out = tmp_path / "new" / f"face{suffix}"
    arguments = ("--weights", weights, "--format", kind, "--batch", 2, "--part", "sharpener", "--json")
    ended = command("export", "likeness", "-o", out, *arguments)
    assert ended.status == 0, ended.err
    (network,) = json.loads(ended.out)["networks"]
    assert (network["part"], network["output"]) == ("sharpener", [2, 3, 512, 512])
    shapes = {"degraded": [2, 3, 512, 512], "estimate": [2, 3, 512, 512], "grain": [2, 1, 512, 512], "amount": [2]}
    assert network["inputs"] == shapes
    assert network["psnr"] > 100
    assert sorted(map(str, out.parent.iterdir())) == sorted(network["files"])
    degraded, estimate = crops(2) * 2 - 1, crops(4)[2:] * 2 - 1
    grain = torch.randn(2, 1, 512, 512, generator=torch.Generator().manual_seed(1))
    amount = torch.tensor([1.0, 0.4])
    names = ("degraded", "estimate", "grain", "amount")
    given = {name: x.numpy() for name, x in zip(names, (degraded, estimate, grain, amount), strict=True)}
    if kind == "onnx":
        import onnxruntime

        (got,) = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"]).run(["restored"], given)
    else:
        import openvino

        got = openvino.Core().compile_model(str(out), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(given)["restored"]
    wanted = small_restorer().net.sharpener(degraded, estimate, grain, amount)
    assert psnr(torch.from_numpy(np.asarray(got)), wanted) > 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["likeness", "-o", "x.xml", "--format", "onnx"], ["x.xml", ".onnx"]),
        (["likeness", "-o", "x.onnx", "--format", "tflite"], ["tflite", "onnx, openvino"]),
        (["likeness", "-o", "x.onnx", "--format", "onnx", "--batch", "0"], ["batch", "0"]),
        (["likeness", "-o", "x.onnx", "--format", "onnx", "--part", "nose"], ["nose", "denoiser, sharpener"]),
        (["pattern", "-o", "x.onnx", "--format", "onnx"], ["pattern", "cannot be exported"]),
        (["nonsense", "-o", "x.onnx", "--format", "onnx"], ["nonsense", "likeness"]),
    ],
    ids=["suffix", "format", "batch", "part", "method", "name"],
)
def test_wrong_use_of_export(
    command: Command, weights: Path, tmp_path: Path, pattern: str, arguments: list[str], words: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    needed("onnx")
    monkeypatch.chdir(tmp_path)
    more = ["--weights", str(weights)] if arguments[0] == "likeness" else []
    ended = command("export", *arguments, *more)
    assert (ended.status, ended.out, len(ended.lines)) == (2, "", 1), ended.err
    assert all(word in ended.lines[0] for word in words)
    assert list(tmp_path.iterdir()) == []
