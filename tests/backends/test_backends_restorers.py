"""Restorers whose networks another backend computes: the pixels of torch, for every option, batch and seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small_likeness import crops, needed, small_restorer
from torch import nn

from likeness.backends import BackendError, installed, missing
from likeness.backends.cache import say_on_standard_error
from likeness.backends.check import LIMIT, psnr
from likeness.backends.choose import check_name, meant
from likeness.backends.graph import Part
from likeness.backends.server import Server
from likeness.methods import gfpgan, load, pmrf, psp
from likeness.methods.gfpgan.clean import GFPGANClean
from likeness.methods.one_pass import OnePassRestorer
from likeness.methods.serving import example_picture, with_backend
from methods.small_stylegan import SMALL, awake

CPU = torch.device("cpu")


def served(backend: str, **more: Any) -> Any:
    return with_backend(small_restorer(**more), backend, "auto", fast=True)


def decibels(picture: torch.Tensor, reference: torch.Tensor) -> float:
    return psnr(picture * 2 - 1, reference * 2 - 1)


@pytest.mark.parametrize("number", [0, 1], ids=["denoiser", "sharpener"])
def test_each_part_passes_the_acceptance_test(backend: str, number: int) -> None:
    restorer = small_restorer()
    server = Server(backend, CPU, torch.float32, method="likeness", weights=restorer.fingerprint)
    part = restorer.parts()[number]
    assert server.prepare(part) > 100
    wanted = part.module(*part.arguments)
    assert wanted.std() > 0.1
    assert psnr(server(part.name, part.module, *part.arguments), wanted) > 100


@pytest.mark.parametrize(
    "options",
    [{}, {"steps": 1}, {"steps": 1, "ensemble": 1}, {"steps": 3, "fidelity": 0.3}, {"texture": 1.4}],
    ids=["shipped", "mean", "ensemble", "three steps", "texture"],
)
def test_every_option_gives_the_pixels_of_torch(backend: str, options: dict[str, Any]) -> None:
    restorer = served(backend)
    assert restorer.backend == backend
    assert (
        decibels(restorer.restore(crops(1), seed=4, **options), small_restorer().restore(crops(1), seed=4, **options))
        > 90
    )


def test_same_seed_same_pixels_whatever_the_batch(backend: str) -> None:
    restorer, three = served(backend), crops(3)
    whole = restorer.restore(three, seed=5)
    assert whole.shape == three.shape
    assert torch.equal(restorer.restore(three[1:2], seed=5), whole[1:2])
    assert torch.equal(restorer.restore(three, seed=5), whole)
    assert not torch.allclose(restorer.restore(three[:1], seed=6), whole[:1], atol=1e-3)


def test_other_sizes_are_exported_when_they_come(backend: str, capfd: pytest.CaptureFixture[str]) -> None:
    restorer, small = served(backend), crops(1)[..., :64, :96]
    assert decibels(restorer.restore(small, steps=1), small_restorer().restore(small, steps=1)) > 90
    assert "likeness-denoiser: exported" in capfd.readouterr().err


def test_loading_again_exports_nothing(backend: str, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    served(backend)
    before = sorted(home.rglob("*"))
    capfd.readouterr()
    served(backend)
    assert capfd.readouterr().err == ""
    assert sorted(home.rglob("*")) == before


INTERRUPTED = """
import ctypes, faulthandler, gc, os, signal, sys
sys.path.insert(0, sys.argv[1])
from small_likeness import crops, small_restorer
from likeness.methods.serving import with_backend

class Stack(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

def for_signals():
    stack = Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    return stack.address, stack.size

faulthandler.enable()
restorer = with_backend(small_restorer(), "openvino", "auto", fast=True)
restorer.restore(crops(1))
loaded = for_signals()
del restorer
gc.collect()
assert for_signals() == loaded, "signals are delivered to a stack that went with the networks"
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sigaltstack by ctypes")
def test_a_signal_finds_its_stack_when_the_networks_are_gone(home: Path) -> None:
    """OpenVINO gives the thread a stack for signals; with that freed, Ctrl-C would end the process without a word."""
    needed("openvino")
    command = [sys.executable, "-c", INTERRUPTED, str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def test_auto_is_the_fastest_for_the_built_in_method_and_torch_for_published_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LIKENESS_BACKEND")
    first = next((name for name in ("openvino", "onnx") if not missing(name)), "torch")
    assert served("auto").backend == first
    assert with_backend(small_restorer(), "auto", "auto", fast=False).backend == "torch"
    monkeypatch.setenv("LIKENESS_BACKEND", "torch")
    assert served("auto").backend == "torch"
    monkeypatch.setenv("LIKENESS_BACKEND", "fast")
    with pytest.raises(BackendError, match="LIKENESS_BACKEND is 'fast'; choose from auto, torch"):
        meant("auto")


class Dicing(nn.Module):
    """Draws inside, which a graph repeats otherwise than torch does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W) -> the same with other noise each time."""
        return x + torch.randn_like(x)


def test_a_graph_with_other_pixels_is_refused_and_auto_goes_on_without(
    backend: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LIKENESS_BACKEND")
    restorer = small_restorer("b" * 64)
    monkeypatch.setattr(restorer, "parts", lambda: [Part("dicing", Dicing(), (torch.zeros(1, 3, 32, 32),))])
    with pytest.raises(
        BackendError, match=rf"{backend} gives other pixels here: dicing is .* dB .*; use --backend torch"
    ):
        with_backend(restorer, backend, "auto", fast=True)
    assert restorer.backend == "torch"
    capfd.readouterr()
    monkeypatch.setattr("likeness.backends.choose.FASTEST", (backend,))
    assert with_backend(restorer, "auto", "auto", fast=True).backend == "torch"  # type: ignore[attr-defined]
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"backend {backend} is not used: likeness: {backend} gives other pixels")


@pytest.mark.parametrize("backend", ["openvino", pytest.param("onnx", marks=pytest.mark.slow)], indirect=True)
def test_noise_of_a_published_method_is_an_input_of_the_graph(backend: str) -> None:
    net = awake(GFPGANClean(**SMALL))
    for name, tensor in net.named_parameters():
        if "to_rgb" in name and "modulation" not in name:
            tensor.mul_(5e-4)  # or nearly every pixel would be black or white
    plain = OnePassRestorer(gfpgan.method(), net, CPU, torch.float32, "c" * 64)
    restorer: Any = with_backend(
        OnePassRestorer(gfpgan.method(), net, CPU, torch.float32, "c" * 64), backend, "auto", fast=False
    )
    assert restorer.backend == backend
    two = crops(2)
    assert (plain.restore(two, seed=1) % 1 > 0).float().mean() > 0.5
    for seed in (1, 2):
        assert decibels(restorer.restore(two, seed=seed), plain.restore(two, seed=seed)) > 80
    assert not torch.allclose(restorer.restore(two, seed=1), restorer.restore(two, seed=2), atol=1e-3)
    assert torch.equal(restorer.restore(two[1:], seed=1), restorer.restore(two, seed=1)[1:])
    assert "forward" not in net.__dict__


@pytest.mark.parametrize("method", [psp.method(), pmrf.method()], ids=["psp", "pmrf"])
def test_methods_of_more_than_one_call_compute_by_torch(method: Any) -> None:
    restorer = OnePassRestorer(method, nn.Identity(), CPU, torch.float32, "")
    name = method.card.name
    with pytest.raises(BackendError, match=f"^{name} computes by torch only: omit --backend compile$"):
        with_backend(restorer, "compile", "auto", fast=False)
    assert with_backend(restorer, "auto", "auto", fast=False).backend == "torch"  # type: ignore[attr-defined]


def test_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match="unknown backend 'fast'; choose from auto, torch, compile, onnx, openvino"):
        load("likeness", backend="fast")
    assert {"torch", "compile"} <= set(installed())
    assert check_name("auto") == "auto"
    if not missing("onnx"):
        with pytest.raises(BackendError, match="onnx computes in fp32: use --precision fp32"):
            load("likeness", device="cpu", precision="bf16", backend="onnx")
        with pytest.raises(BackendError, match="onnx computes on the processor: use --device cpu"):
            Server("onnx", torch.device("cuda"), torch.float32, method="m", weights="w")


def test_psnr_knows_broken_pictures() -> None:
    picture = example_picture(32)
    assert psnr(picture, picture) == float("inf")
    assert psnr(picture / 0, picture) == -float("inf")
    assert psnr(picture[:, :1], picture) == -float("inf")
    assert psnr((picture + 0.02).clamp(-1, 1), picture) == pytest.approx(40, abs=0.5)
    assert LIMIT == 45
    assert say_on_standard_error("") is None  # type: ignore[func-returns-value]


@pytest.mark.slow
def test_the_compiler_gives_the_pixels_of_torch() -> None:
    restorer = served("compile")
    three = crops(3)
    whole = restorer.restore(three, seed=5)
    assert decibels(whole, small_restorer().restore(three, seed=5)) > 80
    assert torch.allclose(restorer.restore(three[:1], seed=5), whole[:1], atol=1e-4)


@pytest.mark.slow
def test_the_compiler_takes_one_network_after_the_other() -> None:
    """As ``with_backend`` does before any face: the sharpener's example is the same picture twice."""
    restorer = small_restorer()
    server = Server("compile", torch.device("cpu"), torch.float32, method="likeness", weights="w")
    assert [server.prepare(part) > 80 for part in restorer.parts()] == [True, True]


@pytest.mark.slow
def test_the_built_in_model_keeps_pixels_and_person(backend: str) -> None:
    """The acceptance test on a real face with the built-in weights, and what "auto" means."""
    import cv2
    import numpy as np

    from likeness.faces import identity_distance, load_recognizer

    data = pytest.importorskip("skimage.data", reason="scikit-image has the portrait")
    face = cv2.resize(data.astronaut()[:260, 95:355], (128, 128), interpolation=cv2.INTER_AREA)
    face = cv2.resize(face, (512, 512), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    crop = torch.from_numpy(face.transpose(2, 0, 1).copy())[None]
    wanted = load("likeness", device="cpu", precision="fp32", backend="torch").restore(crop, seed=1)
    got = load("likeness", device="cpu", precision="fp32", backend=backend).restore(crop, seed=1)
    assert decibels(got, wanted) >= LIMIT
    pictures = np.stack([p[0].permute(1, 2, 0).numpy() for p in (wanted, got)])
    assert float(identity_distance(*load_recognizer("dlib").embed(pictures))) <= 0.02
