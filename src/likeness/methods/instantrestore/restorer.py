"""InstantRestore as it is used: the released file, the memory it takes, and the person's photographs.

Memory with the released weights: the text encoder and half of the reference autoencoder leave once they are not needed,
and the adapters are merged. That leaves 1.85 billion numbers: 7.4 GB in float32, 3.7 GB in half precision, and what one
face at a time needs. While loading, the file's own size is needed (9.1 GB and the optimiser's).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from likeness.diffusion import seeded_noise
from likeness.methods.card import MethodCard, OptionError
from likeness.methods.instantrestore.card import CARD
from likeness.methods.instantrestore.config import Switches, read_config, read_switches
from likeness.methods.instantrestore.lora import merge
from likeness.methods.instantrestore.network import InstantRestoreNet
from likeness.methods.instantrestore.one_step import OneStep, References
from likeness.methods.instantrestore.text import PROMPT
from likeness.methods.progress import tell
from likeness.methods.released import Released
from likeness.weights.checkpoint import fill_strict, read_checkpoint
from likeness.weights.digest import fingerprint
from likeness.weights.errors import WeightsError
from likeness.weights.store import locate

MOST_REFERENCES = 4
SHRINKING = 8  # of the autoencoder


def unpack(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The networks' tensors: under "state_dict" in the released file, perhaps with ".module." in their names; a flat
    mapping passes."""
    nested = checkpoint.get("state_dict")
    held = nested if isinstance(nested, Mapping) else checkpoint
    return {str(key).replace(".module.", "."): value for key, value in held.items() if isinstance(value, Tensor)}


def recognise(tensors: Mapping[str, Tensor]) -> nn.Module | None:
    """The networks of these tensors, without memory, in the precision of the file. Raises WeightsError when they are
    of InstantRestore and the diffusers library is not installed."""
    config = read_config(tensors)
    if config is None:
        return None
    return InstantRestoreNet(config).to(tensors["net.original_unet.conv_in.weight"].dtype)


def facts(path: Path, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """What a clean copy of the file must say: the switches, nested and named as in the authors' ``cfg``.

    Raises WeightsError for a variant that is not supported.
    """
    switches = _switches(path, checkpoint)
    return {"model": {"use_adain": switches.adain, "train_input": switches.own_keys}}


METHOD = Released(CARD, unpack, recognise, facts=facts)


class InstantRestoreRestorer:
    """Restores crops, each with photographs of its person. ``fingerprint`` is the sha256 of the weights.

    It takes ``net`` over: what is not needed again leaves, adapters are merged, layers go to ``device`` and ``dtype``.
    ``prompt`` and ``size`` (of the crops in pixels, a multiple of 64) are other than the defaults for small networks
    only. What the references of the last call gave is kept, for the next faces of the same people.
    """

    def __init__(
        self,
        net: InstantRestoreNet,
        device: torch.device,
        dtype: torch.dtype,
        fingerprint: str,
        switches: Switches | None = None,
        prompt: tuple[int, ...] = PROMPT,
        size: int = 512,
    ) -> None:
        self.switches, self.size = switches or Switches(), size
        self.card = trained_card(self.switches)
        self.device, self.dtype, self.fingerprint = device, dtype, fingerprint
        parts = net.eval().requires_grad_(False).net
        with torch.inference_mode():
            text = parts.text_encoder.float()(prompt)
        del parts.text_encoder, parts.original_vae.decoder, parts.original_vae.post_quant_conv
        for part in (parts.unet, parts.vae, parts.original_unet, parts.original_vae):
            _settle(part, device, dtype)
        self.one_step = OneStep(parts.unet, parts.vae, parts.original_unet, parts.original_vae, text.to(device), dtype)
        self._seen: dict[str, References] = {}

    @torch.inference_mode()
    def restore(
        self, crops: Tensor, *, seed: int = 0, references: Sequence[Tensor | np.ndarray] | None = None, **options: Any
    ) -> Tensor:
        """(B, 3, 512, 512) float32 RGB in [0, 1] -> the same, restored.

        ``references``: for each crop its person's photographs (R, 3, 512, 512) in [0, 1], framed like the crop;
        R from 1 to 4. Raises OptionError, or ValueError for shapes. Faces are restored one after the other, each with
        the same noise: a batch gives what its faces give alone.
        """
        chosen = self.card.choose(options)
        photos = self._check(crops, references)
        seen: dict[str, References] = {}
        restored = []
        for done, (crop, its) in enumerate(zip(crops, photos, strict=True)):
            key, draw = _key(its, seed), self._noise(seed)
            sampling, known = draw(1), seen.get(key) or self._seen.get(key)
            of_references, noise_of_references = draw(len(its)), draw(len(its))  # drawn if known too: what follows is
            seen[key] = known or self.one_step.look_at(self._signed(its), of_references, noise_of_references)
            x = self.one_step.restore(
                self._signed(crop[None]),
                seen[key],
                sampling,
                draw(1),
                timestep=int(chosen["timestep"]),
                adain=bool(chosen["adain"]),
                own_keys=bool(chosen["own_keys"]),
            )
            restored.append(x.add(1).div(2))
            tell(done + 1, len(crops))
        self._seen = seen
        return torch.cat(restored).to(crops) if restored else crops.clone()

    def _check(self, crops: Tensor, references: Sequence[Tensor | np.ndarray] | None) -> list[Tensor]:
        frame = (3, self.size, self.size)
        if crops.ndim != 4 or crops.shape[1:] != frame:
            raise ValueError(f"expected (B, {', '.join(map(str, frame))}), got {tuple(crops.shape)}")
        if references is None:
            raise OptionError("instantrestore needs references: 1 to 4 photographs of the same person for each face")
        if len(references) != len(crops):
            raise ValueError(f"expected references for {len(crops)} faces, got them for {len(references)}")
        for photos in references:
            if photos.ndim != 4 or photos.shape[1:] != frame:
                raise ValueError(f"references must be (R, {', '.join(map(str, frame))}), got {tuple(photos.shape)}")
            if not 1 <= len(photos) <= MOST_REFERENCES:
                raise OptionError(
                    f"instantrestore takes 1 to {MOST_REFERENCES} references for a face, got {len(photos)}"
                )
        return [torch.as_tensor(photos) for photos in references]

    def _signed(self, pictures: Tensor) -> Tensor:
        """From [0, 1] to [-1, 1], where the networks are."""
        return pictures.to(self.device, torch.float32) * 2 - 1

    def _noise(self, seed: int) -> Callable[[int], Tensor]:
        """Noise of one face in latents: ``draw(rows)``."""
        side = self.size // SHRINKING
        source = seeded_noise((self.one_step.unet.conv_in.in_channels, side, side), [seed], self.device)
        return lambda rows: torch.cat([source() for _ in range(rows)])


def trained_card(switches: Switches) -> MethodCard:
    """The card of weights that were trained with ``switches``, which are then its defaults."""
    trained = {"adain": int(switches.adain), "own_keys": int(switches.own_keys)}
    options = (replace(option, default=trained.get(option.name, option.default)) for option in CARD.options)
    return replace(CARD, options=tuple(options))


def _key(photos: Tensor, seed: int) -> str:
    """What the networks see in these photographs with this seed depends on nothing else."""
    raw = photos.detach().to("cpu", torch.float32).contiguous().numpy()
    return f"{seed} {tuple(photos.shape)} {hashlib.sha256(raw.data).hexdigest()}"


def _settle(part: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Merge the adapters and move to ``device``, convolutions and linear layers in ``dtype``, the rest in float32.

    Under autocast this computes what weights in float32 do: it would round them so at every call.
    """
    merge(part)
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(device, dtype)
        elif isinstance(module, nn.GroupNorm | nn.LayerNorm):
            module.to(device, torch.float32)


def load_released(device: torch.device, dtype: torch.dtype, weights: Path | None = None) -> InstantRestoreRestorer:
    """The restorer with the weights of ``weights``, or of the catalogue's file. Raises WeightsError."""
    path = weights or locate(CARD.name)
    net, switches = _read(path)
    return InstantRestoreRestorer(net, device, dtype, fingerprint(path), switches)


def _read(path: Path) -> tuple[InstantRestoreNet, Switches]:
    checkpoint = read_checkpoint(path)
    tensors = unpack(checkpoint)
    net = recognise(tensors)
    if not isinstance(net, InstantRestoreNet):
        raise WeightsError(f"{path} holds no weights of {CARD.name}")
    switches = _switches(path, checkpoint)
    fill_strict(net, tensors, str(path))
    return net, switches


def _switches(path: Path, checkpoint: Mapping[str, Any]) -> Switches:
    """Those of the authors' file, or of a clean copy's metadata; a flat file without either is the final model."""
    return read_switches(checkpoint if "cfg" in checkpoint else {"cfg": _of_metadata(path)})


def _of_metadata(path: Path) -> Any:
    """The config in the metadata of a .safetensors file; None when there is none, or the file is of another format."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError:
        return None
    try:
        return json.loads(metadata.get("config", "null"))
    except ValueError as error:
        raise WeightsError(f"{path}: the config in its metadata is damaged") from error
