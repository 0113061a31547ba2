"""Crops to the device and restored faces back: through page-locked memory where a copy can run beside the processor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Transfer:
    """Between the host and ``device``. PyTorch keeps page-locked memory that was used once, so it is asked for once."""

    device: torch.device

    @property
    def pinned(self) -> bool:
        """Whether copies go through page-locked memory: on CUDA. Elsewhere there is none, or nothing to copy."""
        return self.device.type == "cuda"

    def there(self, batch: Tensor) -> Tensor:
        """A tensor of the host on the device; on CUDA the copy is queued before what computes with it."""
        if not self.pinned:
            return batch.to(self.device)
        return batch.pin_memory().to(self.device, non_blocking=True)

    def back(self, computed: Tensor) -> Tensor:
        """A tensor of the device on the host, complete when this returns."""
        if not self.pinned:
            return computed.to("cpu")
        landed = torch.empty(computed.shape, dtype=computed.dtype, pin_memory=True)
        landed.copy_(computed, non_blocking=True)
        torch.cuda.current_stream(self.device).synchronize()
        return landed
