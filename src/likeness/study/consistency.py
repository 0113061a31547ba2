"""Re-degradation consistency: a restored picture, degraded as the truth was, should give the input again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from likeness.degrade import apply_steps
from likeness.degrade.steps import Step
from likeness.measure import psnr
from likeness.measure.cache import key
from likeness.photo import PhotoError


def consistency(restored: Tensor, degraded: Tensor, steps: Sequence[dict[str, Any]]) -> float:
    """PSNR in dB between ``degraded`` (1, 3, H, W) in [0, 1] and ``restored`` (of that shape) after the same ``steps``.

    Range [0, inf]. higher_is_better: yes, though noise that is drawn again limits it for the truth, too. It needs no
    truth, and cannot tell one plausible face from another: only that the input does not contradict this one.
    Raises PhotoError when the shapes differ.
    """
    if restored.shape != degraded.shape:
        raise PhotoError(f"restored and degraded picture differ in size: {restored.shape} and {degraded.shape}")
    pixels = apply_steps(_pixels(restored), [Step.from_dict(step) for step in steps])
    again = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.float32) / np.float32(255)
    return psnr(again, _pixels(degraded))


def consistency_key(restored: str, degraded: str, steps: Sequence[dict[str, Any]]) -> str:
    """What the value depends on: the sha256 of both files and the steps."""
    return key("consistency", "1", restored, degraded, json.dumps(list(steps), sort_keys=True))


def _pixels(picture: Tensor) -> np.ndarray:
    return np.ascontiguousarray(picture[0].permute(1, 2, 0).numpy())
