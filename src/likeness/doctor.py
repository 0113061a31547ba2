"""What is installed, what would be used, and proof that the built-in model restores a picture here."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from dataclasses import dataclass

import numpy as np

from likeness.backends.choose import BACKENDS, versions

EXTRAS = {
    "train": (("accelerate", "tensorboard"), "likeness train"),
    "metrics": (("scikit-image", "scipy"), "metrics beside our own"),
    "fast": (("openvino", "onnxruntime", "onnx", "onnxscript"), "faster back ends on CPUs"),
    "diffusers": (("diffusers",), "instantrestore, which is built on Stable Diffusion"),
    "web": (("gradio",), "the studio in the browser"),
    "scale": (("ray",), "many machines"),
    "video": (("av",), "films"),
}
CORE = ("torch", "numpy", "pillow", "pillow-heif", "opencv-python-headless", "dlib-bin", "safetensors")


@dataclass(frozen=True)
class Extra:
    """An optional group of packages: what it adds, and which of it are missing."""

    name: str
    adds: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Proof:
    """The built-in model on a picture it must improve. ``gain`` is in dB over the degraded picture."""

    gain: float
    seconds: float
    device: str
    precision: str
    backend: str = "torch"

    @property
    def good(self) -> bool:
        """Whether the picture came out clearly nearer to the clean one than it went in."""
        return self.gain > 0.5


def version(package: str) -> str | None:
    """The installed version, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def core_versions() -> dict[str, str | None]:
    """Python and the packages that everything needs."""
    return {"python": platform.python_version(), **{name: version(name) for name in CORE}}


def extras() -> list[Extra]:
    """The optional groups of packages."""
    return [
        Extra(name, adds, tuple(p for p in packages if version(p) is None)) for name, (packages, adds) in EXTRAS.items()
    ]


def backends() -> dict[str, dict[str, str | None]]:
    """What can compute a method: for each backend the packages that it needs, with their versions or None."""
    return {name: versions(name) for name in BACKENDS if name != "auto"}


def prove() -> Proof:
    """Degrade a drawn face-like picture, restore it, and compare. Raises WeightsError when the weights are damaged."""
    import torch

    from likeness.measure import psnr
    from likeness.methods import load

    restorer = load("likeness")
    clean = _drawing()
    degraded = _degraded(clean)
    batch = torch.from_numpy(degraded.transpose(2, 0, 1).copy())[None]
    restorer.restore(batch)
    began = time.perf_counter()
    out = restorer.restore(batch)
    seconds = time.perf_counter() - began
    restored = out[0].permute(1, 2, 0).cpu().numpy()
    gain = psnr(restored, clean) - psnr(degraded, clean)
    return Proof(
        gain,
        seconds,
        str(getattr(restorer, "device", "")),
        str(getattr(restorer, "dtype", "")).removeprefix("torch."),
        getattr(restorer, "backend", "torch"),
    )


def _drawing() -> np.ndarray:
    """Ellipses where a face has them, in the 512 frame: (512, 512, 3) float32 in [0, 1]."""
    import cv2

    image = np.full((512, 512, 3), (0.55, 0.6, 0.66), np.float32)
    skin, dark, lips, white = (0.82, 0.66, 0.56), (0.16, 0.12, 0.1), (0.7, 0.36, 0.34), (0.95, 0.95, 0.95)
    cv2.ellipse(image, (256, 300), (150, 200), 0, 0, 360, skin, -1, cv2.LINE_AA)
    cv2.ellipse(image, (256, 150), (165, 90), 0, 180, 360, dark, -1, cv2.LINE_AA)
    for x in (193, 319):
        cv2.ellipse(image, (x, 240), (28, 13), 0, 0, 360, white, -1, cv2.LINE_AA)
        cv2.circle(image, (x, 240), 12, dark, -1, cv2.LINE_AA)
        cv2.ellipse(image, (x, 212), (36, 7), 0, 180, 360, dark, -1, cv2.LINE_AA)
    cv2.line(image, (250, 250), (240, 318), (0.7, 0.54, 0.45), 3, cv2.LINE_AA)
    cv2.ellipse(image, (257, 372), (55, 14), 0, 0, 360, lips, -1, cv2.LINE_AA)
    return image


def _degraded(clean: np.ndarray) -> np.ndarray:
    from likeness.degrade import Step, apply_steps

    steps = (
        Step("gaussian_blur", {"sigma_x": 3.0}),
        Step("resize", {"height": 170, "width": 170, "kernel": "bilinear"}),
        Step("gaussian_noise", {"sigma": 10.0, "seed": 0}),
        Step("jpeg", {"quality": 70}),
        Step("resize", {"height": 512, "width": 512, "kernel": "bicubic"}),
    )
    return apply_steps(clean, steps)
