"""Measure a folder of pictures: the way behind ``likeness measure``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict, Unpack

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


class Options(TypedDict, total=False):
    """What may be said of a measurement.

    ``truth``: a folder of true pictures; ``reference``: one of real pictures for FID and the like; ``degraded``: what
    ``likeness degrade`` wrote; ``aligned``: the pictures are aligned crops; ``detector``, ``recognizer``, ``device``:
    names, as on the command line.
    """

    truth: Path | None
    reference: Path | None
    degraded: Path | None
    aligned: bool
    detector: str
    recognizer: str
    device: str


def measure_folder(
    folder: Path,
    metrics: Sequence[str],
    *,
    cache: Path | None = None,
    progress: Progress = lambda done, total: None,
    **options: Unpack[Options],
) -> Measurement:
    """Measure all pictures in ``folder``; pairs are matched by the path below the folder, whatever the suffix.

    Values are kept in ``cache`` (default: in the store's folder) by content. Raises PhotoError for folders, ValueError
    for unknown names, WeightsError for a detector that is not here.
    """
    wanted = _wanted(folder, metrics, **options)
    with Cache(cache or home() / CACHE) as kept:
        return measure_items(wanted.items, metrics, wanted.views, wanted.extractors, kept, wanted.reference, progress)


def measure_ahead(cache: Cache, folder: Path, metrics: Sequence[str], **options: Unpack[Options]) -> Ahead:
    """The parts of ``measure_folder`` with the same arguments, whose values go into ``cache``. Raises the same."""
    wanted = _wanted(folder, metrics, **options)
    return Ahead(wanted.items, metrics, wanted.views, wanted.extractors, cache, wanted.reference)


class _Wanted(NamedTuple):
    items: list[Item]
    reference: list[Path] | None
    views: Views
    extractors: Extractors


def _wanted(
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
) -> _Wanted:
    for name in metrics:
        metric_card(name)
    items = find_items(folder, truth, degraded)
    others = find_set(reference) if reference is not None else None
    where = pick_device(device)
    views = Views(None if aligned else parts.find_detector(detector, where))
    return _Wanted(items, others, views, Extractors(recognizer, where))
