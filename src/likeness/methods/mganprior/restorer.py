"""From mGANprior's files and a batch of crops to pixels."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from likeness.diffusion import seeded_noise
from likeness.methods.card import OptionError
from likeness.methods.mganprior.card import CARD
from likeness.methods.mganprior.objective import Objective, Weights
from likeness.methods.mganprior.optimise import Search
from likeness.methods.mganprior.pggan import PGGAN, PGGANConfig
from likeness.methods.progress import tell
from likeness.methods.released import Released
from likeness.nets.upfirdn import to_size
from likeness.nets.vgg import VGGFeatures

SIZE = 512
PERCEPTUAL_FILE = "vgg16-397923af.pth"


class MGANPriorRestorer:
    """Searches a face of the generator for each crop. ``fingerprint`` is a sha256 over the weights."""

    card = CARD

    def __init__(
        self, net: PGGAN, vgg: VGGFeatures | None, device: torch.device, dtype: torch.dtype, fingerprint: str
    ) -> None:
        """``vgg``: None when its file is not here; then ``perceptual`` must be 0."""
        self.device, self.dtype, self.fingerprint = device, dtype, fingerprint
        self.net = net.eval().requires_grad_(False).to(device)
        self.vgg = None if vgg is None else vgg.eval().requires_grad_(False).to(device)

    def restore(self, crops: Tensor, *, seed: int = 0, **options: Any) -> Tensor:
        """(B, 3, 512, 512) float32 RGB in [0, 1] -> the same, restored one by one, each from the same ``seed``.

        The crop is enlarged to the generator's size and reduced by ``factor`` together with the estimate: with the
        face's real size in the photo for 1024 / ``factor``, what is compared is the photo as it was taken. Raises
        OptionError, also when VGG16 is asked for and not here; ValueError for another shape.
        """
        chosen = self.card.choose(options)
        if chosen["layer"] > self.net.config.layers:
            raise OptionError(f"layer must be in [1, {self.net.config.layers}], got {chosen['layer']}")
        if chosen["perceptual"] and self.vgg is None:
            raise OptionError(
                f"mganprior compares features of VGG16, whose file {PERCEPTUAL_FILE} is not here: type likeness models "
                "pull vgg16, put the file beside the generator's, or do without it (perceptual 0)"
            )
        if crops.ndim != 4 or crops.shape[1:] != (3, SIZE, SIZE):
            raise ValueError(f"expected (B, 3, {SIZE}, {SIZE}), got {tuple(crops.shape)}")
        with torch.inference_mode(False), torch.enable_grad():
            faces = torch.split(crops.detach().clone().to(self.device, torch.float32) * 2 - 1, 1)
            found = [self._search(face, chosen, seed, number, len(faces)) for number, face in enumerate(faces)]
            return to_size((torch.cat(found) * 0.5 + 0.5).clamp(0, 1), SIZE).to(crops)

    def _search(self, crop: Tensor, chosen: Mapping[str, int | float], seed: int, number: int, faces: int) -> Tensor:
        """(1, 3, 512, 512) in [-1, 1] -> (1, 3, size, size), not clipped: the picture of the last codes."""
        began, config = time.monotonic(), self.net.config
        steps, layer = int(chosen["steps"]), int(chosen["layer"])
        terms = ("l1", "l2", "perceptual", "perceptual_l2", "perceptual_layer", "perceptual_size")
        weights = Weights(**{name: type(getattr(Weights, name))(chosen[name]) for name in terms})
        objective = Objective(to_size(crop, config.size), int(chosen["factor"]), weights, self.vgg, self.dtype)

        def generate(z: Tensor, alpha: Tensor) -> Tensor:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                image = self.net.after(self.net.mix(z, alpha, layer), layer)
            return image.float()

        z = seeded_noise((int(chosen["codes"]), config.latent), [seed], self.device)()[0]
        channels, kind = config.width(layer), int(chosen["optimiser"])
        search = Search(generate, objective, z, channels, kind, float(chosen["learning_rate"]))
        best, best_at = float("inf"), 0
        for index in range(steps):
            total = float(search.step().total)
            tell(number * steps + index + 1, faces * steps)
            if total < best:
                best, best_at = total, index
            if 0 < chosen["seconds"] <= time.monotonic() - began:
                break
            if 0 < chosen["patience"] <= index - best_at:
                break
        return search.picture()


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The file is a bare state dict."""
    return {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def recognise(tensors: Mapping[str, Tensor]) -> PGGAN | None:
    """The generator of these tensors, from the widths of its layers."""
    first = tensors.get("layer0.conv.weight")
    if first is None or first.ndim != 4 or "lod" not in tensors:
        return None
    widths: list[int] = []
    while (key := f"layer{2 * len(widths)}.conv.weight") in tensors:
        widths.append(tensors[key].shape[0])
    return PGGAN(PGGANConfig(tuple(widths), first.shape[1]))


METHOD = Released(CARD, unpack, recognise)


def load_mganprior(device: torch.device, dtype: torch.dtype, weights: Path | None) -> MGANPriorRestorer:
    """See ``likeness.methods.mganprior.load``."""
    from likeness.weights.load import fingerprint

    net, sha256 = METHOD.load(weights)
    assert isinstance(net, PGGAN)
    path = _perceptual_file(weights)
    if path is None:
        return MGANPriorRestorer(net, None, device, dtype, sha256)
    digest = hashlib.sha256((sha256 + fingerprint(path)).encode()).hexdigest()
    return MGANPriorRestorer(net, read_vgg(path), device, dtype, digest)


def read_vgg(path: Path) -> VGGFeatures:
    """VGG16's features from torchvision's file; its classifier is left. Raises WeightsError."""
    from likeness.weights.checkpoint import fill_strict, read_checkpoint

    vgg = VGGFeatures(16)
    tensors = unpack(read_checkpoint(path))
    fill_strict(vgg, {key: value for key, value in tensors.items() if not key.startswith("classifier.")}, str(path))
    return vgg


def _perceptual_file(weights: Path | None) -> Path | None:
    """VGG16's, beside the generator's or in the store; None when it is in neither place. Raises WeightsError."""
    from likeness.weights.catalogue import find
    from likeness.weights.store import locate, place

    if weights is not None and (beside := weights.with_name(PERCEPTUAL_FILE)).is_file():
        return beside
    return locate("vgg16") if place(find("vgg16")).exists() else None
