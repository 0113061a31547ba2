"""Measure a folder of pictures: the way behind ``likeness measure``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from likeness import parts
from likeness.compute import pick_device
from likeness.measure.cache import Cache
from likeness.measure.cards import metric_card
from likeness.study.extractors import Extractors
from likeness.study.measuring import Ahead, Measurement, Progress, measure_items
from likeness.study.pairs import Item, find_items, find_set
from likeness.study.views import Views
from likeness.weights.store import home

CACHE = "measured.sqlite"


def measure_folder(
    folder: Path,
    metrics: Sequence[str],
    *,
    truth: Path | None = None,
    reference: Path | None = None,
    degraded: Path | None = None,
    aligned: bool = False,
    detector: str = "dlib",
    recognizer: str = "dlib",
    device: str = "auto",
    cache: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> Measurement:
    """Measure all pictures in ``folder``; pairs are matched by the path below the folder, whatever the suffix.

    ``truth``: a folder of true pictures; ``reference``: one of real pictures for FID and the like; ``degraded``: what
    ``likeness degrade`` wrote. Values are kept in ``cache`` (default: in the store's folder) by content. Raises
    PhotoError for folders, ValueError for unknown names, WeightsError for a detector that is not here.
    """
    wanted = _wanted(folder, metrics, truth, reference, degraded, aligned, detector, recognizer, device)
    with Cache(cache or home() / CACHE) as kept:
        return measure_items(wanted.items, metrics, wanted.views, wanted.extractors, kept, wanted.reference, progress)


def measure_ahead(
    cache: Cache,
    folder: Path,
    metrics: Sequence[str],
    *,
    truth: Path | None = None,
    reference: Path | None = None,
    degraded: Path | None = None,
    aligned: bool = False,
    detector: str = "dlib",
    recognizer: str = "dlib",
    device: str = "auto",
) -> Ahead:
    """The parts of ``measure_folder`` with the same arguments, whose values go into ``cache``. Raises the same."""
    wanted = _wanted(folder, metrics, truth, reference, degraded, aligned, detector, recognizer, device)
    return Ahead(wanted.items, metrics, wanted.views, wanted.extractors, cache, wanted.reference)


class _Wanted(NamedTuple):
    items: list[Item]
    reference: list[Path] | None
    views: Views
    extractors: Extractors


def _wanted(
    folder: Path,
    metrics: Sequence[str],
    truth: Path | None,
    reference: Path | None,
    degraded: Path | None,
    aligned: bool,
    detector: str,
    recognizer: str,
    device: str,
) -> _Wanted:
    for name in metrics:
        metric_card(name)
    items = find_items(folder, truth, degraded)
    others = find_set(reference) if reference is not None else None
    where = pick_device(device)
    views = Views(None if aligned else parts.find_detector(detector, where))
    return _Wanted(items, others, views, Extractors(recognizer, where))
