"""Validation while training: a fixed set of degraded pictures, restored; scores and a sheet as PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from torch import nn

from likeness.degrade import degrade
from likeness.measure.functional import gradient_energy, psnr
from likeness.train.data import reduce_to
from likeness.train.identity import IdentityFeatures
from likeness.train.objectives import Objective
from likeness.train.pictures import SIDE, Pictures
from likeness.train.recipe import ValidationConfig

SHEET_ROWS = 4
BEST = 60.0  # dB: equal pictures count as this

Columns = dict[str, list[np.ndarray]]


class Validator:
    """Restores the same ``count`` pictures each time it runs; seeds are the pictures' numbers.

    ``size``: pixels to the side; pictures are degraded at 512 and then reduced.
    """

    def __init__(self, config: ValidationConfig, output: Path, size: int = SIDE) -> None:
        pictures = Pictures(config.sources)
        chosen = np.linspace(0, len(pictures) - 1, min(config.count, len(pictures))).astype(int)
        whole = np.stack([pictures[int(i)] for i in chosen]).astype(np.float32) / np.float32(255.0)
        pairs = [degrade(image, config.recipe, seed) for seed, image in enumerate(whole)]
        self.clean = [reduce_to(image, size) for image in whole]
        self.degraded = [reduce_to(image, size) for image, _ in pairs]
        self.config, self.folder = config, output / "samples"
        self.identity = IdentityFeatures() if config.identity else None

    def run(self, objective: Objective, network: nn.Module, step: int, accelerator: Accelerator) -> dict[str, float]:
        """Scores by name, means over the pictures. For the input, and for each way of restoring:

        ``psnr`` of the input in dB and ``gain`` over it; ``energy`` of gradients relative to the clean pictures';
        ``identity``, the distance of dlib's embeddings to the clean pictures'; ``clean`` and ``twice``, the PSNR of a
        clean picture restored against it and of it restored again against that (papers/001 eq. 2 and 3).
        """
        training = network.training
        network.eval()
        columns = self._restore(objective, network, self.degraded, accelerator)
        scores = {"input_psnr": _psnr(self.degraded, self.clean)}
        energy = float(np.mean([gradient_energy(b) for b in self.clean]))
        for name, images in columns.items():
            scores[f"{name}_gain"] = _psnr(images, self.clean) - scores["input_psnr"]
            scores[f"{name}_energy"] = float(np.mean([gradient_energy(a) for a in images])) / energy
        if self.identity is not None:
            for name, images in {"input": self.degraded, **columns}.items():
                scores[f"{name}_identity"] = self._distance(images)
        if self.config.authentic:
            once = self._restore(objective, network, self.clean, accelerator)
            for name, images in once.items():
                scores[f"{name}_clean"] = _psnr(images, self.clean)
                again = self._restore(objective, network, images, accelerator)[name]
                scores[f"{name}_twice"] = _psnr(again, images)
        network.train(training)
        self._sheet(columns, step)
        return scores

    def _restore(
        self, objective: Objective, network: nn.Module, images: list[np.ndarray], accelerator: Accelerator
    ) -> Columns:
        columns: Columns = {}
        for image in images:
            x = torch.from_numpy(image.transpose(2, 0, 1).copy())[None].to(accelerator.device) * 2 - 1
            with torch.no_grad(), accelerator.autocast():
                for name, y in objective.restore(network, x).items():
                    picture = y[0].float().clamp(-1, 1).add(1).div(2).cpu().numpy().transpose(1, 2, 0)
                    columns.setdefault(name, []).append(picture)
        return columns

    def _distance(self, images: list[np.ndarray]) -> float:
        """Mean distance of the embeddings to those of the clean pictures."""
        assert self.identity is not None
        pairs = torch.from_numpy(np.stack([*images, *self.clean]).transpose(0, 3, 1, 2).copy()) * 2 - 1
        with torch.no_grad():
            embeddings = torch.cat([self.identity(one[None])[-1].flatten(1) for one in pairs])
        restored, clean = embeddings.chunk(2)
        return float((restored - clean).norm(dim=1).mean())

    def _sheet(self, columns: Columns, step: int) -> None:
        rows = []
        for i in range(min(SHEET_ROWS, len(self.clean))):
            rows.append(np.concatenate([self.degraded[i], *(c[i] for c in columns.values()), self.clean[i]], axis=1))
        self.folder.mkdir(parents=True, exist_ok=True)
        sheet = np.rint(np.concatenate(rows, axis=0) * 255).astype(np.uint8)
        Image.fromarray(sheet).save(self.folder / f"{step:07d}.png")


def _psnr(images: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    return float(np.mean([min(psnr(a, b), BEST) for a, b in zip(images, wanted, strict=True)]))
