"""Shared-image attention: the face's queries on the keys and values of the references.

``Attend`` is the attention of both U-Nets. It keeps nothing: what is noted or shared comes with each call, through the
``cross_attention_kwargs`` of the U-Net, as ``noted`` or ``shared``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Noted = dict[int, tuple[Tensor, Tensor]]
"""By layer: keys and values (B, N, C) after their projections, before they are split into heads."""

EPS = 1e-5


@dataclass(frozen=True)
class Shared:
    """What the references gave: by layer, keys and values (B, R, N, C); and how they are used (``join``)."""

    layers: Mapping[int, tuple[Tensor, Tensor]]
    adain: bool = True
    own_keys: bool = False


def take_statistics(values: Tensor, own: Tensor) -> Tensor:
    """Adaptive instance normalisation: ``values`` (B, R, N, C) of each reference with the mean and deviation over
    tokens that ``own`` (B, N', C) has, channel by channel. Deviations are unbiased and have 1e-5 added.

    In float32: they divide by one another. A reference of zeros becomes the mean of ``own``.
    """
    std, mean = torch.std_mean(own.float()[:, None], dim=2, keepdim=True)
    its_std, its_mean = torch.std_mean(values.float(), dim=2, keepdim=True)
    return ((values - its_mean) / (its_std + EPS) * (std + EPS) + mean).to(values.dtype)


def join(key: Tensor, value: Tensor, layer: int, shared: Shared) -> tuple[Tensor, Tensor]:
    """Keys and values that the face's queries see, (B, M, C): its own (B, N, C), if they are wanted, then those of
    the references, one after the other."""
    keys, values = shared.layers[layer]
    if shared.adain:
        values = take_statistics(values, value)
    keys, values = keys.flatten(1, 2).to(key.dtype), values.flatten(1, 2).to(value.dtype)
    if shared.own_keys:
        keys, values = torch.cat([key, keys], dim=1), torch.cat([value, values], dim=1)
    return keys, values


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, N, C) -> (B, heads, N, C / heads)."""
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


class Attend:
    """An attention processor of diffusers. ``layer`` counts the self-attentions of the up blocks, which note or share;
    None for the other attentions, which only attend."""

    def __init__(self, layer: int | None = None) -> None:
        self.layer = layer

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: None = None,
        noted: Noted | None = None,
        shared: Shared | None = None,
    ) -> Tensor:
        """(B, N, C) -> the same. The argument names are those that diffusers calls with."""
        seen = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.to_q(hidden_states), attn.to_k(seen), attn.to_v(seen)
        if self.layer is not None and noted is not None:
            noted[self.layer] = key, value
        if self.layer is not None and shared is not None:
            key, value = join(key, value, self.layer, shared)
        query, key, value = (split_heads(x, attn.heads) for x in (query, key, value))
        mixed = F.scaled_dot_product_attention(query, key, value)
        return attn.to_out[0](mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def attend_everywhere(unet: nn.Module) -> None:
    """Give every attention of ``unet`` our processor; the self-attentions of its up blocks are counted in order."""
    count = 0
    for name, module in unet.named_modules():
        if name.startswith("up_blocks.") and name.endswith(".attn1"):
            _set(module, Attend(count))
            count += 1
        elif name.endswith((".attn1", ".attn2")):
            _set(module, Attend())


def _set(attention: Any, processor: Attend) -> None:
    attention.set_processor(processor)
