"""The component dictionaries: features of good eyes, noses and mouths, and the entry that fits a face best."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.methods.dfdnet.landmarks import PARTS, SIZE

FOLDER = "DictionaryCenter512"
BASE = {"left_eye": 80, "right_eye": 80, "nose": 50, "mouth": 110}  # pixels of an entry's side in the 512 crop
SCALES = (256, 128, 64, 32)  # sides of the feature maps
EPS = 1e-5


def entry_side(part: str, size: int) -> int:
    """Height and width of an entry of ``part`` for feature maps of ``size`` x ``size``."""
    return BASE[part] // (SIZE // size)


def dictionary_files(folder: Path) -> list[Path]:
    """The files of a whole dictionary, scale by scale."""
    return [folder / f"{part}_{size}_center.npy" for size in SCALES for part in PARTS]


class Dictionary:
    """Entries (K, C, h, h) for every part and scale, each channel of each normalised to mean 0 and deviation 1.

    ``entries``: by (part, scale), as the authors give them; they are normalised in place.
    """

    def __init__(self, entries: Mapping[tuple[str, int], Tensor]) -> None:
        self.entries = {key: _normalise(value) for key, value in entries.items()}

    def to(self, device: torch.device) -> Dictionary:
        """Move to ``device``; returns itself."""
        self.entries = {key: value.to(device) for key, value in self.entries.items()}
        return self

    def scores(self, part: str, size: int, crop: Tensor) -> Tensor:
        """How well each entry fits ``crop`` (C, h, w): (K,).

        The paper's score is the sum of the products of the crop, resized to the entries, and the entry with the crop's
        mean and deviation (AdaIN). The means contribute the same to all entries and are left out, which also leaves
        the digits to what tells the entries apart.
        """
        return self._match(part, size, crop)[0]

    def swap(self, part: str, size: int, crop: Tensor) -> Tensor:
        """The entry that fits best, with the means and deviations of ``crop`` (C, h, w), in its size."""
        scores, mean, deviation = self._match(part, size, crop)
        best = self.entries[part, size][scores.argmax()]
        return F.interpolate((best * deviation + mean)[None], size=crop.shape[1:])[0]

    def _match(self, part: str, size: int, crop: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        entries = self.entries[part, size]
        small = F.interpolate(crop[None].float(), size=entries.shape[2:], mode="bilinear", align_corners=False)[0]
        mean, deviation = _moments(small)
        with torch.autocast(crop.device.type, enabled=False):
            scores = entries.flatten(1) @ ((small - mean) * deviation).flatten()
        return scores, mean, deviation


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation over the last two axes."""
    variance, mean = torch.var_mean(x, dim=(-2, -1), keepdim=True)
    return mean, (variance + EPS).sqrt()


def _normalise(entries: Tensor) -> Tensor:
    mean, deviation = _moments(entries)
    return entries.sub_(mean).div_(deviation)


def read_dictionary(folder: Path, width: int = 64) -> Dictionary:
    """The dictionaries of ``folder``, for a network of that ``width``. Raises WeightsError.

    The files are read without running code (``allow_pickle=False``); their first axis is the number of entries.
    """
    from likeness.weights.load import WeightsError
    from likeness.weights.unpickle import DAMAGED

    entries = {}
    for path, (size, part) in zip(dictionary_files(folder), product(SCALES, PARTS), strict=True):
        channels, side = width * min(SIZE // size, 8), entry_side(part, size)
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, *DAMAGED) as error:
            raise WeightsError(f"cannot read the dictionary {path}: {error}") from error
        numbers = channels * side * side
        if array.ndim < 2 or len(array) == 0 or array[0].size != numbers:
            raise WeightsError(f"the dictionary {path} has shape {array.shape}, not (K, {numbers})")
        flat = torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
        entries[part, size] = flat.reshape(len(array), channels, side, side)
    return Dictionary(entries)
