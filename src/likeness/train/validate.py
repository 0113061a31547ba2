"""Validation while training: a fixed set of degraded pictures, restored; scores and a sheet as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import Tensor, nn

from likeness.degrade import degrade
from likeness.measure.functional import gradient_energy, psnr
from likeness.train.objectives import Objective
from likeness.train.pictures import Pictures
from likeness.train.recipe import ValidationConfig

SHEET_ROWS = 4


class Validator:
    """Restores the same ``count`` pictures each time it runs; seeds are the pictures' numbers."""

    def __init__(self, config: ValidationConfig, output: Path) -> None:
        pictures = Pictures(config.sources)
        chosen = np.linspace(0, len(pictures) - 1, min(config.count, len(pictures))).astype(int)
        self.clean = np.stack([pictures[int(i)] for i in chosen]).astype(np.float32) / np.float32(255.0)
        pairs = [degrade(image, config.recipe, seed) for seed, image in enumerate(self.clean)]
        self.degraded = np.stack([image for image, _ in pairs])
        self.folder = output / "samples"

    def run(self, objective: Objective, network: nn.Module, step: int, accelerator: Accelerator) -> dict[str, float]:
        """Scores by name: PSNR gain over the input in dB and gradient energy relative to the clean pictures."""
        training = network.training
        network.eval()
        columns: dict[str, list[np.ndarray]] = {}
        for image in self.degraded:
            x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].to(accelerator.device) * 2 - 1
            with accelerator.autocast():
                for name, y in objective.restore(network, x).items():
                    columns.setdefault(name, []).append(_picture(y))
        network.train(training)
        base = float(np.mean([psnr(a, b) for a, b in zip(self.degraded, self.clean, strict=True)]))
        energy = float(np.mean([gradient_energy(b) for b in self.clean]))
        scores = {"input_psnr": base}
        for name, images in columns.items():
            scores[f"{name}_gain"] = (
                float(np.mean([psnr(a, b) for a, b in zip(images, self.clean, strict=True)])) - base
            )
            scores[f"{name}_energy"] = float(np.mean([gradient_energy(a) for a in images])) / energy
        self._sheet(columns, step)
        return scores

    def _sheet(self, columns: dict[str, list[np.ndarray]], step: int) -> None:
        rows = []
        for i in range(min(SHEET_ROWS, len(self.clean))):
            rows.append(np.concatenate([self.degraded[i], *(c[i] for c in columns.values()), self.clean[i]], axis=1))
        self.folder.mkdir(parents=True, exist_ok=True)
        sheet = np.rint(np.concatenate(rows, axis=0) * 255).astype(np.uint8)
        Image.fromarray(sheet).save(self.folder / f"{step:07d}.png")


def _picture(batch: Tensor) -> np.ndarray:
    return batch[0].float().clamp(-1, 1).add(1).div(2).cpu().numpy().transpose(1, 2, 0)
