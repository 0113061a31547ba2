"""How different two pictures look."""

from __future__ import annotations

from torch import Tensor

from likeness.nets.lpips import LPIPS


def lpips_distance(net: LPIPS, restored: Tensor, truth: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1], twice -> (B,) LPIPS, version 0.1, of the trunk of ``net``.

    Range [0, inf), seldom above 1. higher_is_better: no. ``net`` must be in evaluation mode. The papers on faces report
    the VGG trunk at 512 x 512. Raises ValueError for shapes that differ. Source: Zhang et al., CVPR 2018, eq. 1.
    """
    if restored.shape != truth.shape:
        raise ValueError(f"pictures differ in shape: {tuple(restored.shape)} and {tuple(truth.shape)}")
    if net.training:
        raise ValueError("LPIPS is defined in evaluation mode: call net.eval()")
    return net(2 * restored - 1, 2 * truth - 1).flatten()  # type: ignore[no-any-return]
