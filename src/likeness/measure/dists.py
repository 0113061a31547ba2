"""DISTS: how different two pictures look when another sample of the same texture counts as alike."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from likeness.nets.dists import DISTS

LEAST = 16  # pixels a side: four halvings


def dists_distance(net: DISTS, restored: Tensor, truth: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1], twice -> (B,) DISTS.

    Range [0, 2), seldom above 1, with weights that are not negative. higher_is_better: no.
    The pictures are taken at the size they have; the paper's are reduced to 256 pixels at the shorter side, and scores
    at other sizes differ. Raises ValueError for shapes that differ or do not fit.

    Source: Ding, Ma, Wang, Simoncelli: Image Quality Assessment: Unifying Structure and Texture Similarity, TPAMI 2020.
    Written from the paper's definition: no released file of its weights could be tried here.
    """
    if restored.shape != truth.shape:
        raise ValueError(f"pictures differ in shape: {tuple(restored.shape)} and {tuple(truth.shape)}")
    if restored.ndim != 4 or restored.shape[1] != 3 or min(restored.shape[-2:]) < LEAST:
        raise ValueError(f"pictures must be (B, 3, H, W) of at least {LEAST}x{LEAST}, got {tuple(restored.shape)}")
    return net(restored, truth)  # type: ignore[no-any-return]


def dists_tensors(trunk: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """The tensors of ``DISTS`` from two released files; None when they are not of its kind.

    ``trunk``: torchvision's VGG16 (``features.N.weight``, ``features.N.bias``; the classifier is not used);
    ``weights``: DISTS' own ``weights.pt`` (``alpha``, ``beta``). A mapping of the whole network as ``trunk``, with
    empty ``weights``, passes.
    """
    if "trunk.features.0.weight" in trunk and not weights:
        return dict(trunk)
    with torch.device("meta"):  # only the keys and shapes are wanted
        want = DISTS().state_dict()
    found = {}
    for key, own in want.items():
        held = trunk if key.startswith("trunk.") else weights
        tensor = held.get(key.removeprefix("trunk."))
        if tensor is None or tensor.shape != own.shape:
            return None
        found[key] = tensor
    return found
