"""InstantRestore's five networks: SD-Turbo's U-Net and an image autoencoder, both with adapters; the same two as they
were, which look at the references; and the text encoder of the one prompt.

The U-Net (Rombach et al. 2022) and the autoencoder are those of the diffusers library.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from likeness.methods.instantrestore.attention import attend_everywhere
from likeness.methods.instantrestore.config import NetworkConfig
from likeness.methods.instantrestore.lora import adapt
from likeness.methods.instantrestore.text import TextEncoder
from likeness.weights.errors import WeightsError

SCALING = 0.18215  # of the autoencoder's latents
UNET_TARGETS = (
    "to_q", "to_k", "to_v", "to_out.0", "conv", "conv1", "conv2", "conv_shortcut", "conv_out", "proj_in", "proj_out",
    "ff.net.0.proj", "ff.net.2",
)  # fmt: skip
VAE_TARGETS = (
    "conv1", "conv2", "conv_in", "conv_shortcut", "conv", "conv_out", "to_q", "to_k", "to_v", "to_out.0",
)  # fmt: skip
FREEU = {"s1": 0.9, "s2": 0.2, "b1": 1.4, "b2": 1.6}


def library() -> Any:
    """The diffusers library. Raises WeightsError when it is not installed."""
    try:
        return importlib.import_module("diffusers")
    except ImportError as error:
        raise WeightsError(
            f"instantrestore needs the diffusers library: pip install 'likeness[diffusers]' ({error})"
        ) from error


def build_unet(config: NetworkConfig) -> nn.Module:
    """SD-Turbo's U-Net with FreeU (Si et al. 2024), which the authors leave switched on, and with our attention."""
    levels = len(config.unet_widths)
    unet = library().UNet2DConditionModel(
        in_channels=config.latent,
        out_channels=config.latent,
        down_block_types=("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (levels - 1),
        block_out_channels=config.unet_widths,
        layers_per_block=config.unet_depth,
        norm_num_groups=config.unet_groups,
        cross_attention_dim=config.text.dim,
        attention_head_dim=config.unet_heads,  # the library's name for the number of heads
        use_linear_projection=True,
    )
    unet.enable_freeu(**FREEU)
    attend_everywhere(unet)
    return unet  # type: ignore[no-any-return]


def build_vae(config: NetworkConfig) -> nn.Module:
    """The autoencoder: pictures in [-1, 1] to latents of an eighth of their size and back."""
    levels = len(config.vae_widths)
    return library().AutoencoderKL(  # type: ignore[no-any-return]
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.vae_widths,
        layers_per_block=config.vae_depth,
        latent_channels=config.latent,
        norm_num_groups=config.vae_groups,
        scaling_factor=SCALING,
    )


class Parts(nn.Module):
    """The five networks by the names they have in the released file."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.unet = build_unet(config)
        self.vae = build_vae(config)
        self.original_unet = build_unet(config)
        self.original_vae = build_vae(config)
        self.text_encoder = TextEncoder(config.text)
        adapt(self.unet, UNET_TARGETS, config.unet_rank, "default")
        adapt(self.vae, VAE_TARGETS, config.vae_rank, "vae_skip")


class InstantRestoreNet(nn.Module):
    """All that the released file holds, under ``net.``; what is done with it is in ``one_step``.

    It is built without memory, on the meta device: the released sizes are 2.3 billion numbers, 9.1 GB. Filling it
    takes over the given tensors themselves; ``to_empty`` gives it memory of its own.
    """

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        with torch.device("meta"):
            self.net = Parts(config or NetworkConfig())
        self.eval().requires_grad_(False)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As every module's; but a network without memory takes the tensors themselves, as with ``assign``."""
        bare = any(parameter.is_meta for parameter in self.parameters())
        return super().load_state_dict(state_dict, strict, assign or bare)
