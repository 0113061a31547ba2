"""The networks whose vectors metrics compare, with their weights from the store, and what they are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from likeness.measure import frechet
from likeness.measure.identity import deg_input
from likeness.measure.released import recognise, unpack
from likeness.nets.fan import FAN, find_landmarks
from likeness.nets.inception import FIDInception
from likeness.nets.resnet_face import ResNetFace18
from likeness.weights.checkpoint import fill_strict, read_checkpoint
from likeness.weights.digest import fingerprint
from likeness.weights.errors import WeightsError
from likeness.weights.store import locate

SIDE = 512  # pixels: landmark distances are those of pictures of this size


@dataclass(frozen=True)
class NetworkExtractor:
    """A network behind the picture that it takes. ``function``: (B, 3, H, W) RGB in [0, 1] -> (B, D)."""

    name: str
    version: str
    function: Callable[[Tensor], Tensor]
    device: torch.device | str = "cpu"
    faces: bool = False

    @torch.inference_mode()
    def extract(self, pictures: Tensor) -> np.ndarray:
        """See ``metric.Extractor``."""
        return self.function(pictures.to(self.device)).flatten(1).double().cpu().numpy()


def gradient_energies(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] -> (B, 1) float64 of ``functional.gradient_energy``."""
    luma = (pictures.double() * pictures.new_tensor([0.299, 0.587, 0.114]).double().view(1, 3, 1, 1)).sum(1)
    down, across = luma.diff(dim=1).square().mean((1, 2)), luma.diff(dim=2).square().mean((1, 2))
    return (down + across)[:, None]


def load_network(entry: str, kind: type[nn.Module], device: torch.device | str) -> tuple[nn.Module, str]:
    """The filled network of a metric's entry of the catalogue, and the sha256 of its file.

    Raises WeightsError that says what to type when it is not here, or that its file holds another network.
    """
    path = locate(entry)
    return fill(path, kind, device), fingerprint(path)


def fill(path: Path, kind: type[nn.Module], device: torch.device | str) -> nn.Module:
    """The network of class ``kind`` that the file holds. Raises WeightsError."""
    tensors = unpack(read_checkpoint(path))
    net = recognise(tensors)
    if not isinstance(net, kind):
        raise WeightsError(f"{path} holds no weights of {kind.__name__}")
    fill_strict(net, tensors, str(path))
    return net.eval().requires_grad_(False).to(device)


def find_extractor(name: str, device: torch.device | str = "cpu") -> NetworkExtractor:
    """The extractor called ``name``: gradient-energy, inception, inception-torch-fidelity, inception-basicsr, deg, fan.

    Raises ValueError for another name, WeightsError when weights are missing.
    """
    if name == "gradient-energy":
        return NetworkExtractor(name, "1", gradient_energies, device)
    if name in _INCEPTION:
        net, version = load_network("fid-inception", FIDInception, device)
        prepare = _INCEPTION[name]
        return NetworkExtractor(name, version, lambda x: net(prepare(x)), device)
    if name == "deg":
        net, version = load_network("deg-resnet18", ResNetFace18, device)
        return NetworkExtractor(name, version, lambda x: net(deg_input(x)), device)
    if name == "fan":
        fan, version = load_network("lmd-fan", FAN, device)
        assert isinstance(fan, FAN)
        return NetworkExtractor(name, version, lambda x: find_landmarks(fan, x) * (SIDE / x.shape[-1]), device)
    raise ValueError(f"unknown extractor {name!r}")


_INCEPTION: dict[str, Callable[[Tensor], Tensor]] = {
    "inception": frechet.pytorch_fid_input,
    "inception-torch-fidelity": frechet.torch_fidelity_input,
    "inception-basicsr": lambda x: frechet.basicsr_input(2 * x - 1),
}
