"""Pairs of degraded and clean pictures, made on the fly; sample number n is always the same sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from likeness.degrade import apply_steps, get_recipe
from likeness.degrade.damage import misalign
from likeness.train.augment import draw_ageing, lend_features, occlude_face, sharpen_picture, shift_tone, warp_face
from likeness.train.eyes import other_eyes
from likeness.train.pictures import SIDE, Pictures
from likeness.train.recipe import CLEAN, DataConfig
from likeness.train.targets import Targets

TONE = {"grey", "fade", "low_light", "colour_shift"}  # kept in the target: restoration does not recolour a photo
CELL = 4  # crops start on whole cells of the network
_T = TypeVar("_T")


class Pairs(Dataset[dict[str, Tensor]]):
    """``pairs[n]`` -> degraded (3, c, c), clean (3, c, c) in [-1, 1] and place (2, c/4, c/4) in the aligned frame.

    Degradations are those of a face of 512 pixels; with a smaller ``config.size`` both pictures are then reduced.
    With ``config.targets`` "clean" is the refined picture, where there is one, treated as the original is; the original
    is degraded. ``per_step``: how many samples a training step takes, of all processes.
    """

    def __init__(self, config: DataConfig, seed: int, per_step: int = 1) -> None:
        self.config, self.seed, self.per_step = config, seed, per_step
        self.pictures = Pictures(config.sources, config.cache)
        weights = np.array([self._weight(e.name) for e in self.pictures.entries], np.float64)
        self.cumulative = np.cumsum(weights / weights.sum())
        self.names = list(config.mixture)
        self.mixture = np.cumsum([config.mixture[n] for n in self.names]) / sum(config.mixture.values())
        self.targets = None if config.targets is None else Targets(config, self.pictures.entries, seed)

    def _weight(self, name: str) -> float:
        return next((w for prefix, w in self.config.weights.items() if name.startswith(prefix)), 1.0)

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, number])
        index = min(int(np.searchsorted(self.cumulative, rng.random())), len(self.pictures) - 1)
        pictures = [self.pictures[index]]
        target = None if self.targets is None else self.targets(index, number // self.per_step)
        if target is not None:
            pictures.append(target)
        pictures = self._other_people(pictures, np.random.default_rng([self.seed, number, 2]))
        extra = np.random.default_rng([self.seed, number, 1])  # of its own: the rest of sample n stays as it is
        if extra.random() < self.config.occlude:
            pictures = _alike(lambda one, draw: occlude_face(_unit(one), draw), pictures, extra)
        crops = _alike(self._crop, pictures, rng)
        images, (top, left) = [image for image, _, _ in crops], crops[0][1:]
        if self.config.tone:  # side by side: one curve, which depends on their mean
            images = np.split(shift_tone(np.concatenate(images, axis=1), extra, self.config.tone), len(images), axis=1)
        name = self.names[min(int(np.searchsorted(self.mixture, rng.random())), len(self.names) - 1)]
        degraded, clean = np.ascontiguousarray(images[0]), np.ascontiguousarray(images[-1])
        if name != CLEAN:
            steps = get_recipe(name).draw(rng, *clean.shape[:2])
            if extra.random() < self.config.age:
                steps = draw_ageing(extra) + steps
            degraded = apply_steps(degraded, steps)
            clean = apply_steps(clean, [s for s in steps if s.op in TONE])
        place = _place(top, left, self._side(), self.config.crop)
        return {"degraded": self._reduced(degraded), "clean": self._reduced(clean), "place": place}

    def _other_people(self, pictures: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
        """Another face's features, other proportions, another camera: none of them unless the recipe asks for it."""
        if rng.random() < self.config.lend:
            other = self.pictures[int(rng.integers(len(self.pictures)))]
            other = other[:, ::-1] if rng.random() < 0.5 else other
            pictures = _alike(lambda one, draw: lend_features(_unit(one), _unit(other), draw), pictures, rng)
        if rng.random() < self.config.eyes:
            pictures = _alike(lambda one, draw: other_eyes(_unit(one), draw), pictures, rng)
        if self.config.warp:
            pictures = _alike(lambda one, draw: warp_face(_unit(one), draw, self.config.warp), pictures, rng)
        if self.config.crisp:
            pictures = _alike(lambda one, draw: sharpen_picture(_unit(one), draw, self.config.crisp), pictures, rng)
        return pictures

    def _side(self) -> int:
        """Of the square that is cut out at 512 pixels to the face."""
        return self.config.crop * SIDE // self.config.size

    def _reduced(self, image: np.ndarray) -> Tensor:
        return _tensor(reduce_to(image, self.config.crop))

    def _crop(self, picture: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int, int]:
        """A crop in [0, 1], flipped, moved and tinted at random, and its top and left in the aligned frame."""
        if rng.random() < 0.5:
            picture = picture[:, ::-1]
        if rng.random() < self.config.misalign:
            shift = rng.normal(0, 6, 2)
            turn, scale = float(rng.normal(0, 2)), float(np.exp(rng.normal(0, 0.03)))
            whole = _unit(picture)
            picture = misalign(whole, float(shift[0]), float(shift[1]), turn, scale)
        crop = self._side()
        top, left = (int(rng.integers(0, (SIDE - crop) // CELL + 1)) * CELL for _ in range(2))
        image = _unit(picture[top : top + crop, left : left + crop])
        j = self.config.jitter
        if j:
            gain = np.exp(rng.normal(0, j)) * np.exp(rng.normal(0, j / 3, 3))
            image = np.clip(image * gain.astype(np.float32), 0.0, 1.0)
        return image, top, left


def _alike(
    change: Callable[[np.ndarray, np.random.Generator], _T], pictures: Sequence[np.ndarray], rng: np.random.Generator
) -> list[_T]:
    """``change`` of all the pictures by the same random numbers; the generator goes on as after one."""
    copies = [deepcopy(rng) for _ in pictures[1:]]
    return [change(picture, draw) for picture, draw in zip(pictures, [rng, *copies], strict=True)]


def _unit(picture: np.ndarray) -> np.ndarray:
    """uint8, or float32 in [0, 1] -> contiguous float32 in [0, 1]."""
    image = np.ascontiguousarray(picture)
    return image if image.dtype == np.float32 else image.astype(np.float32) / np.float32(255.0)


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).float().mul_(2).sub_(1)


def reduce_to(image: np.ndarray, side: int) -> np.ndarray:
    """(H, H, 3) averaged to (side, side, 3); as it is when it has that size."""
    return image if len(image) == side else cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def _place(top: int, left: int, side: int, crop: int) -> Tensor:
    """x and y in [-1, 1] of the network's cells in ``crop`` pixels, which show ``side`` of the aligned frame's."""
    cells = (np.arange(crop // CELL) * CELL + CELL / 2) * (side / crop)
    y = (top + cells) / SIDE * 2 - 1
    x = (left + cells) / SIDE * 2 - 1
    return torch.from_numpy(np.stack(np.meshgrid(x, y)).astype(np.float32))


class FromStep(Sampler[int]):
    """Sample numbers from ``first`` on, every ``world``-th beginning with ``rank``: a resumed run goes on exactly."""

    def __init__(self, first: int, rank: int = 0, world: int = 1) -> None:
        self.first, self.rank, self.world = first, rank, world

    def __iter__(self) -> Iterator[int]:
        number = self.first + self.rank
        while True:
            yield number
            number += self.world


def make_loader(config: DataConfig, seed: int, batch: int, step: int, rank: int, world: int) -> DataLoader:
    """Batches from training step ``step`` on, for one of ``world`` processes (``batch`` samples each)."""
    return DataLoader(
        Pairs(config, seed, batch * world),
        batch_size=batch,
        sampler=FromStep(step * batch * world, rank, world),
        num_workers=config.workers,
        worker_init_fn=_one_thread,
        prefetch_factor=6 if config.workers else None,
        multiprocessing_context="spawn" if config.workers else None,  # a fork would inherit locked thread pools
    )


def plainly(loader: DataLoader) -> Iterator[dict[str, Tensor]]:
    """Its batches. A ValueError of a worker, which arrives as a traceback in words, is raised with its last line."""
    try:
        yield from loader
    except ValueError as error:
        raise ValueError(str(error).rstrip().splitlines()[-1].removeprefix("ValueError: ")) from error


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
