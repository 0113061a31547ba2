"""Measure a folder of pictures: the way behind ``likeness measure``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from likeness import parts
from likeness.compute import pick_device
from likeness.measure.cache import Cache
from likeness.measure.cards import metric_card
from likeness.study.extractors import Extractors
from likeness.study.measuring import Measurement, Progress, measure_items
from likeness.study.pairs import find_items, find_set
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
    for name in metrics:
        metric_card(name)
    items = find_items(folder, truth, degraded)
    others = find_set(reference) if reference is not None else None
    where = pick_device(device)
    views = Views(None if aligned else parts.find_detector(detector, where))
    with Cache(cache or home() / CACHE) as kept:
        return measure_items(items, metrics, views, Extractors(recognizer, where), kept, others, progress)
