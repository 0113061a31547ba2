"""From PULSE's files and a batch of crops to pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from likeness.diffusion import seeded_noise
from likeness.methods.card import OptionError
from likeness.methods.progress import tell
from likeness.methods.pulse import synthesis
from likeness.methods.pulse.card import CARD
from likeness.methods.pulse.gaussian import GaussianFit, computed_fit, read_fit
from likeness.methods.pulse.objective import Weights
from likeness.methods.pulse.optimise import Search, count_numbers, first_state, run
from likeness.methods.pulse.synthesis import Synthesis, SynthesisConfig
from likeness.methods.released import Released
from likeness.nets.stylegan2 import length
from likeness.nets.upfirdn import bicubic_down, to_size

SIZE = 512
FIT, MAPPING = "gaussian_fit.pt", "mapping.pt"


class PulseRestorer:
    """Searches a face of the generator for each crop. ``fingerprint`` is a sha256 over the weights and the fit."""

    card = CARD

    def __init__(
        self, net: Synthesis, fit: GaussianFit, device: torch.device, dtype: torch.dtype, fingerprint: str
    ) -> None:
        self.device, self.dtype, self.fingerprint = device, dtype, fingerprint
        self.net = net.eval().requires_grad_(False).to(device)
        self.fit = fit.to(device)

    def restore(self, crops: Tensor, *, seed: int = 0, **options: Any) -> Tensor:
        """(B, 3, 512, 512) float32 RGB in [0, 1] -> the same, restored one by one, each from the same ``seed``.

        A face whose search never came within ``eps`` is NaN throughout, unless ``strict`` is 0. Raises OptionError,
        or ValueError for another shape.
        """
        chosen = self.card.choose(options)
        check_options(chosen, self.net.config)
        if crops.ndim != 4 or crops.shape[1:] != (3, SIZE, SIZE):
            raise ValueError(f"expected (B, 3, {SIZE}, {SIZE}), got {tuple(crops.shape)}")
        with torch.inference_mode(False), torch.enable_grad():
            faces = torch.split(crops.detach().clone().to(self.device, torch.float32), 1)
            found = [self._search(face, chosen, seed, number, len(faces)) for number, face in enumerate(faces)]
            return to_size(torch.cat(found).clamp(0, 1), SIZE).to(crops)

    def _search(self, crop: Tensor, chosen: Mapping[str, int | float], seed: int, number: int, faces: int) -> Tensor:
        """(1, 3, 512, 512) -> (1, 3, size, size), not clipped."""
        config, steps, quiet = self.net.config, int(chosen["steps"]), int(chosen["quiet_layer"])
        numbers = seeded_noise((count_numbers(config, quiet),), [seed], self.device)()[0]
        search = Search(
            self._generate,
            self.fit,
            reduced(crop, int(chosen["reference"])),
            first_state(config, numbers, quiet),
            Weights(*(float(chosen[name]) for name in ("l1", "l2", "geocross", "eps"))),
            [layer for layer in range(min(int(chosen["noise_layers"]), config.layers)) if layer != quiet],
            steps,
            float(chosen["learning_rate"]),
            int(chosen["schedule"]),
        )
        found = run(
            search,
            float(chosen["seconds"]),
            int(chosen["patience"]),
            lambda done: tell(number * steps + done, faces * steps),
        )
        if not chosen["strict"]:
            return found.best
        return found.last if found.reached else torch.full_like(found.last, float("nan"))

    def _generate(self, latents: Tensor, noises: Sequence[Tensor]) -> Tensor:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            image = self.net(latents, noises)
        return image.float()  # type: ignore[no-any-return]


def check_options(chosen: Mapping[str, int | float], config: SynthesisConfig) -> None:
    """What ranges do not say. Raises OptionError."""
    reference = int(chosen["reference"])
    if reference & (reference - 1) or reference > config.size:
        raise OptionError(f"reference must be a power of two up to {min(config.size, SIZE)}, got {reference}")


def reduced(crop: Tensor, side: int) -> Tensor:
    """(1, 3, H, H) in [0, 1] -> (1, 3, side, side), as the authors' script makes it: bicubic, clipped, 8 bits."""
    small = crop if crop.shape[-1] == side else bicubic_down(crop, crop.shape[-1] // side)
    return (small.clamp(0, 1) * 255).floor() / 255


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """All files are bare."""
    return {key: value for key, value in checkpoint.items() if isinstance(value, Tensor)}


def recognise(tensors: Mapping[str, Tensor]) -> Synthesis | None:
    """The generator of these tensors, from the widths of its blocks."""
    if "blocks.4x4.const" not in tensors or "torgb.weight" not in tensors:
        return None
    widths = [length(tensors, "blocks.4x4.const", 1, 512)]
    while (key := "blocks.{0}x{0}.conv1.weight".format(4 << len(widths))) in tensors:
        widths.append(tensors[key].shape[0])
    return Synthesis(SynthesisConfig(tuple(widths), length(tensors, "blocks.4x4.epi1.style_mod.lin.weight", 1, 512)))


METHOD = Released(CARD, unpack, recognise)


def load_pulse(device: torch.device, dtype: torch.dtype, weights: Path | None) -> PulseRestorer:
    """See ``likeness.methods.pulse.load``."""
    from likeness.weights.load import WeightsError, fingerprint

    net, sha256 = METHOD.load(weights)
    assert isinstance(net, Synthesis)
    path = _fit_file(weights)
    fit = _fit(path, net.config.latent)
    if fit.mean.shape != (net.config.latent,):
        raise WeightsError(f"{path} is for latent vectors of {len(fit.mean)} numbers, not {net.config.latent}")
    digest = hashlib.sha256((sha256 + fingerprint(path)).encode()).hexdigest()
    return PulseRestorer(net, fit, device, dtype, digest)


def _fit(path: Path, width: int) -> GaussianFit:
    """Read from ``path``, or computed when that is the mapping network. Raises WeightsError."""
    from likeness.weights.checkpoint import fill_strict, read_checkpoint
    from likeness.weights.load import WeightsError

    held = read_checkpoint(path)
    fit = read_fit(held)
    if fit is not None:
        return fit
    if "dense0.weight" not in held:
        raise WeightsError(f"{path} holds neither PULSE's Gaussian fit nor its mapping network")
    mapping = synthesis.Mapping(width)
    fill_strict(mapping, unpack(held), str(path))
    return computed_fit(mapping, width)


def _fit_file(weights: Path | None) -> Path:
    """The released fit, or else the mapping network that it can be computed from. Raises WeightsError."""
    from likeness.weights.catalogue import find
    from likeness.weights.load import WeightsError
    from likeness.weights.store import is_here, locate

    if weights is None:
        alone = is_here(find("pulse-mapping")) and not is_here(find("pulse-gaussian-fit"))
        return locate("pulse-mapping" if alone else "pulse-gaussian-fit")
    for name in (FIT, MAPPING):
        if (path := weights.with_name(name)).is_file():
            return path
    raise WeightsError(f"PULSE needs its Gaussian fit too: expected {FIT} (or {MAPPING}) in {weights.parent}")
