"""Which device and precision to compute with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


class ComputeError(ValueError):
    """A device or precision that this machine does not offer; the message says what to do."""


def pick_device(name: str = "auto") -> torch.device:
    """The torch device for ``name`` in DEVICES; auto prefers CUDA, then MPS, then the CPU."""
    import torch

    if name not in DEVICES:
        raise ComputeError(f"unknown device {name!r}; choose from {', '.join(DEVICES)}")
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    if (name == "cuda" and not cuda) or (name == "mps" and not mps):
        raise ComputeError(f"device {name} is not available here; use --device auto (likeness doctor says more)")
    return torch.device(name)


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype that networks compute in; auto is bfloat16 where the hardware multiplies it natively, else float32."""
    import torch

    if name not in PRECISIONS:
        raise ComputeError(f"unknown precision {name!r}; choose from {', '.join(PRECISIONS)}")
    if name == "auto":
        return torch.bfloat16 if native_bfloat16(device) else torch.float32
    if name == "fp16" and device.type == "cpu":
        raise ComputeError("fp16 is slower than fp32 on a CPU; use --precision auto, bf16 or fp32")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def native_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` has bfloat16 multipliers (AVX512-BF16 or AMX on a CPU, Ampere or newer on CUDA)."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
