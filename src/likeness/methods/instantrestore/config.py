"""The sizes of InstantRestore's networks, read from keys and shapes; and its switches, which only the file's own
settings know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from likeness.weights.errors import WeightsError

HEAD_DIM = 64  # channels of an attention head, in the U-Nets and in the text encoder; shapes do not tell
GROUPS = 32  # of every group norm; shapes do not tell
UNSUPPORTED = {
    "condition_on_face_embeds": "faces as a condition (ArcFace)",
    "use_shortcuts": "shortcuts from the encoder to the decoder",
    "train_reference_networks": "adapters in the reference networks",
}


@dataclass(frozen=True)
class TextConfig:
    """The text encoder; the defaults are the released sizes."""

    words: int = 49408
    positions: int = 77
    dim: int = 1024
    feedforward: int = 4096
    layers: int = 23
    heads: int = 16


@dataclass(frozen=True)
class NetworkConfig:
    """The released sizes. Widths are channels from the full size down, halving at each step; ``*_depth`` the residual
    blocks at each size on the way down; ``*_rank`` the ranks of the adapters."""

    unet_widths: tuple[int, ...] = (320, 640, 1280, 1280)
    unet_depth: int = 2
    unet_heads: tuple[int, ...] = (5, 10, 20, 20)
    unet_groups: int = GROUPS
    unet_rank: int = 32
    vae_widths: tuple[int, ...] = (128, 256, 512, 512)
    vae_depth: int = 2
    vae_groups: int = GROUPS
    vae_rank: int = 32
    latent: int = 4
    text: TextConfig = TextConfig()


@dataclass(frozen=True)
class Switches:
    """How the weights were trained; the defaults are those of the released final model."""

    adain: bool = True
    own_keys: bool = False


def read_switches(checkpoint: Mapping[str, Any]) -> Switches:
    """The switches in ``cfg["model"]`` of the authors' file; one without is taken for the final model.

    Where the settings lack a field, the authors' default counts. Raises WeightsError for a variant that was never
    released and is not supported.
    """
    settings = checkpoint.get("cfg")
    model = settings.get("model") if isinstance(settings, Mapping) else None
    if not isinstance(model, Mapping):
        return Switches()
    for name, what in UNSUPPORTED.items():
        if model.get(name, False):
            raise WeightsError(f"these weights of instantrestore use {what} ({name}), which is not supported")
    if not model.get("use_shared_attention", True):
        raise WeightsError("these weights of instantrestore use no references (use_shared_attention is off)")
    return Switches(adain=bool(model.get("use_adain", False)), own_keys=bool(model.get("train_input", True)))


def read_config(tensors: Mapping[str, Tensor]) -> NetworkConfig | None:
    """The sizes of the networks of these tensors; None when they are of another method."""
    unet, vae, text = "net.original_unet.", "net.original_vae.encoder.", "net.text_encoder.text_model."
    words, positions = f"{text}embeddings.token_embedding.weight", f"{text}embeddings.position_embedding.weight"
    feedforward, first = f"{text}encoder.layers.0.mlp.fc1.weight", f"{unet}conv_in.weight"
    of_unet, of_vae = "net.unet.conv_out.lora_A.default.weight", "net.vae.encoder.conv_in.lora_A.vae_skip.weight"
    if any(key not in tensors for key in (words, positions, feedforward, first, of_unet, of_vae)):
        return None
    unet_widths, vae_widths = _widths(tensors, unet), _widths(tensors, vae)
    dim = tensors[words].shape[1]
    return NetworkConfig(
        unet_widths=unet_widths,
        unet_depth=_count(tensors, f"{unet}down_blocks.0.resnets."),
        unet_heads=tuple(max(1, width // HEAD_DIM) for width in unet_widths),
        unet_groups=math.gcd(GROUPS, *unet_widths),
        unet_rank=tensors[of_unet].shape[0],
        vae_widths=vae_widths,
        vae_depth=_count(tensors, f"{vae}down_blocks.0.resnets."),
        vae_groups=math.gcd(GROUPS, *vae_widths),
        vae_rank=tensors[of_vae].shape[0],
        latent=tensors[first].shape[1],
        text=TextConfig(
            words=tensors[words].shape[0],
            positions=tensors[positions].shape[0],
            dim=dim,
            feedforward=tensors[feedforward].shape[0],
            layers=_count(tensors, f"{text}encoder.layers."),
            heads=max(1, dim // HEAD_DIM),
        ),
    )


def _widths(tensors: Mapping[str, Tensor], prefix: str) -> tuple[int, ...]:
    keys = (f"{prefix}down_blocks.{i}.resnets.0.conv1.weight" for i in range(_count(tensors, f"{prefix}down_blocks.")))
    return tuple(tensors[key].shape[0] for key in keys if key in tensors)


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """How many modules there are in the list ``prefix``."""
    return len({key[len(prefix) :].split(".")[0] for key in tensors if key.startswith(prefix)})
