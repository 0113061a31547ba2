"""Recognisers that are networks of ours with released weights: ArcFace's IResNet, and AdaFace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from likeness.faces.recognizers import ADAFACE_SAME, ChipRecognizer, check_answer
from likeness.nets import adaface
from likeness.weights.checkpoint import fill_strict, read_checkpoint
from likeness.weights.digest import fingerprint as sha256_of
from likeness.weights.errors import WeightsError


class TorchRecognizer(ChipRecognizer):
    """``net`` as a recogniser; how many numbers it gives is found by asking it once.

    net: (B, 3, side, side) in [-1, 1], RGB, or BGR with ``bgr`` -> (B, D); from now on it is in evaluation mode and on
    ``device``. name: what users write. same_person: L2 of vectors of length 1 (``recognizers.distance_of``).
    fingerprint: says which weights these are. Raises ValueError when the net's answer is not (1, D) and finite.
    """

    def __init__(
        self,
        net: nn.Module,
        name: str,
        side: int,
        bgr: bool,
        same_person: float,
        fingerprint: str,
        device: torch.device | str = "cpu",
    ) -> None:
        net = net.eval().requires_grad_(False).to(device)

        @torch.inference_mode()
        def run(blob: np.ndarray) -> np.ndarray:
            return np.asarray(net(torch.from_numpy(blob).to(device)).float().cpu())

        try:
            answer = check_answer(run(np.zeros((1, 3, side, side), dtype=np.float32)), 1)
        except ValueError as error:
            raise ValueError(f"the recognizer {name}: {error}") from error
        super().__init__(run, name, answer.shape[1], same_person, side=side, bgr=bgr, fingerprint=fingerprint)


def load_adaface(path: Path, name: str = "adaface-ir50", device: torch.device | str = "cpu") -> TorchRecognizer:
    """AdaFace in ``path`` (adaface_ir50_ms1mv2.ckpt or a larger one), whose size is read from its keys.

    It takes BGR. Raises WeightsError when the file is not there, damaged or another network.
    """
    tensors = adaface.unpack(read_checkpoint(path))
    net = adaface.recognise(tensors)
    if net is None:
        raise WeightsError(f"{path} is not for the recognizer {name}: it has not the keys of AdaFace")
    fill_strict(net, tensors, str(path))
    try:
        return TorchRecognizer(net, name, net.side, True, ADAFACE_SAME, sha256_of(path), device)
    except ValueError as error:
        raise WeightsError(f"{path} is not intact: {error}") from error
