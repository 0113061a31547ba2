"""Measure pictures: each value once, kept by the content that it depends on; what cannot be had says why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from likeness.measure.build import build
from likeness.measure.cache import Cache, key
from likeness.measure.cards import metric_card
from likeness.measure.metric import EmbeddingMetric, Extractor, Metric, MetricCard, PictureMetric, SetMetric
from likeness.photo import PhotoError
from likeness.study.consistency import consistency, consistency_key
from likeness.study.extractors import Extractors
from likeness.study.pairs import Item, without_draw
from likeness.study.statistics import Estimate, grouped
from likeness.study.views import NoFaceError, Views
from likeness.weights.errors import WeightsError

Progress = Callable[[int, int], None]
_SAVE_EVERY = 20  # pictures: so much is lost when the process is killed


@dataclass(frozen=True)
class Score:
    """A metric over all pictures: its estimate, or why there is none.

    ``count``: pictures that it is made of; ``left_out``: pictures without a finite value (equal ones have no PSNR).
    """

    card: MetricCard
    estimate: Estimate | None
    count: int = 0
    left_out: int = 0
    unavailable: str | None = None


@dataclass
class Row:
    """A picture's values by metric, and what went wrong with it."""

    name: str
    values: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Measurement:
    """All values of a folder of pictures."""

    scores: dict[str, Score]
    rows: list[Row]

    @property
    def problems(self) -> list[str]:
        """Everything that went wrong with a picture, one line each."""
        return [problem for row in self.rows for problem in row.problems]


def measure_items(
    items: Sequence[Item],
    metrics: Sequence[str],
    views: Views,
    extractors: Extractors,
    cache: Cache,
    reference: Sequence[Path] | None = None,
    progress: Progress = lambda done, total: None,
) -> Measurement:
    """Measure ``items`` by ``metrics``; ``reference``: a set of real pictures for FID and the like (else the truth).

    A metric that cannot be had (weights that are not here, no truth given) is a Score with its reason. A picture that
    cannot be measured has its problem in its row, and the others go on. Raises ValueError for an unknown metric.
    """
    run, missing = _begin(items, metrics, views, extractors, cache, reference)
    rows = []
    others = run.others(reference)
    total = len(items) + len(others)
    for done, item in enumerate(items, 1):
        rows.append(run.row(item))
        progress(done, total)
    for done, path in enumerate(others, len(items) + 1):
        run.reference(path)
        progress(done, total)
    run.save()
    scores = {}
    for name in dict.fromkeys(metrics):
        if name in missing:
            scores[name] = Score(metric_card(name), None, unavailable=missing[name])
        else:
            scores[name] = run.score(name, items, rows, others)
    return Measurement(scores, rows)


class Ahead:
    """The values of some pictures, computed where they are kept elsewhere: for workers that share out a folder.

    Arguments as for ``measure_items``, whose parts are the items, and then the pictures of the reference set that the
    metrics ask for. ``cache`` is where what is computed goes.
    """

    def __init__(
        self,
        items: Sequence[Item],
        metrics: Sequence[str],
        views: Views,
        extractors: Extractors,
        cache: Cache,
        reference: Sequence[Path] | None = None,
    ) -> None:
        self._run, _ = _begin(items, metrics, views, extractors, cache, reference)
        self.parts: list[Item | Path] = [*items, *self._run.others(reference)]

    def measure(self, numbers: Sequence[int]) -> None:
        """Compute what is not kept of the parts of these numbers; what cannot be measured is left to be told."""
        for part in (self.parts[number] for number in numbers):
            if isinstance(part, Item):
                self._run.row(part)
            else:
                with suppress(PhotoError):
                    self._run.reference(part)
        self._run.save()


def _begin(
    items: Sequence[Item],
    metrics: Sequence[str],
    views: Views,
    extractors: Extractors,
    cache: Cache,
    reference: Sequence[Path] | None,
) -> tuple[_Run, dict[str, str]]:
    """A run of the metrics that can be had, and why the others cannot."""
    loaded: dict[str, Metric | None] = {}
    missing: dict[str, str] = {}
    has = _offered(items, reference)
    for name in dict.fromkeys(metrics):
        lacking = [need for need in metric_card(name).needs if need not in has]
        try:
            if lacking:
                missing[name] = _NEEDS[lacking[0]]
            else:
                loaded[name] = None if name == "consistency" else build(name, extractors.find, extractors.device)
        except WeightsError as error:
            missing[name] = str(error)
    return _Run(views, cache, loaded), missing


_NEEDS = {
    "truth": "needs the true pictures: --truth DIR",
    "counterpart": "needs the true pictures, or else the degraded ones: --truth DIR or --degraded DIR",
    "reference": "needs a set of real pictures: --reference DIR, or --truth DIR",
    "degraded": "needs the degraded pictures with their manifest: --degraded DIR",
}


def _offered(items: Sequence[Item], reference: Sequence[Path] | None) -> set[str]:
    truth = any(item.truth for item in items)
    has = {"truth", "counterpart"} if truth else set()
    has |= {"counterpart"} if any(item.degraded for item in items) else set()
    has |= {"reference"} if truth or reference else set()
    return has | ({"degraded"} if any(item.degraded and item.steps for item in items) else set())


class _Run:
    """The values of one run: looked up in the cache, else computed, and kept there."""

    def __init__(self, views: Views, cache: Cache, metrics: dict[str, Metric | None]) -> None:
        self.views, self.cache, self.metrics = views, cache, metrics
        self.vectors: dict[str, dict[Path, np.ndarray]] = {}  # extractor -> file -> vector
        self._new: dict[str, np.ndarray] = {}

    def others(self, reference: Sequence[Path] | None) -> list[Path]:
        """Pictures of the reference set that the metrics ask for."""
        asked = any(isinstance(metric, SetMetric) and not metric.paired for metric in self.metrics.values())
        return sorted(set(reference or ())) if asked else []

    def row(self, item: Item) -> Row:
        """All values of one picture that are its own."""
        row = Row(item.name)
        for name, metric in self.metrics.items():
            try:
                value = self._value(item, name, metric)
            except (PhotoError, NoFaceError) as error:
                if str(error) not in row.problems:
                    row.problems.append(str(error))
                continue
            if value is not None:
                row.values[name] = value
        if len(self._new) > _SAVE_EVERY * max(1, len(self.metrics)):
            self.save()
        return row

    def _value(self, item: Item, name: str, metric: Metric | None) -> float | None:
        needs, counterpart = metric_card(name).needs, item.truth or item.degraded
        if ("truth" in needs and item.truth is None) or ("counterpart" in needs and counterpart is None):
            raise PhotoError(f"{item.path} has no true picture of the same name")
        if metric is None:
            return self._consistency(item)
        if isinstance(metric, PictureMetric):
            return self._pixels(item.path, item.truth if "truth" in needs else None, metric)
        mine = self._vector(item.path, counterpart or item.path, metric.extractor)
        if counterpart is None:
            return None
        other = self._vector(counterpart, counterpart, metric.extractor)
        return float(metric.function(_row(mine), _row(other))[0]) if isinstance(metric, EmbeddingMetric) else None

    def reference(self, path: Path) -> None:
        """The vectors of a picture of the reference set. Raises PhotoError: a set with holes is another set."""
        for metric in self.metrics.values():
            if isinstance(metric, SetMetric) and not metric.paired:
                self._vector(path, path, metric.extractor)

    def _pixels(self, path: Path, truth: Path | None, metric: PictureMetric) -> float:
        shas = [self.views.sha(p) for p in (path, truth) if p is not None]

        def compute() -> np.ndarray:
            restored = self.views.photo(path)
            true = None if truth is None else self.views.photo(truth)
            if true is not None and true.shape != restored.shape:
                raise PhotoError(f"{path} and {truth} differ in size")
            try:
                with torch.inference_mode():
                    return np.array(metric.function(restored, true).double().cpu().numpy())
            except ValueError as error:  # too small for the metric
                raise PhotoError(f"{path}: {metric.card.title}: {error}") from error

        return float(self._kept(key("picture", metric.card.name, metric.version, *shas), compute)[0])

    def _vector(self, path: Path, frame: Path, extractor: Extractor) -> np.ndarray:
        known = self.vectors.setdefault(extractor.name, {})
        if path not in known:
            seen = self.views.seen_as(path, frame) if extractor.faces else "photo"

            def compute() -> np.ndarray:
                view = self.views.face(path, frame) if extractor.faces else self.views.photo(path)
                # a copy: small tensors that are kept lie between large ones that are freed, and the heap grows
                return np.array(extractor.extract(view)[0], np.float64)

            made = key("vector", extractor.name, extractor.version, seen, self.views.sha(path))
            known[path] = self._kept(made, compute)
        return known[path]

    def _consistency(self, item: Item) -> float | None:
        if item.degraded is None or not item.steps:
            raise PhotoError(f"{item.path} has no degraded picture of the same name in the manifest")
        degraded, steps = item.degraded, item.steps
        made = consistency_key(self.views.sha(item.path), self.views.sha(degraded), steps)

        def compute() -> np.ndarray:
            restored, given = self.views.photo(item.path), self.views.photo(degraded)
            return np.asarray([consistency(restored, given, steps)])

        return float(self._kept(made, compute)[0])

    def _kept(self, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        if name in self._new:
            return self._new[name]
        found = self.cache.get([name])
        if name not in found:
            found[name] = self._new[name] = compute()
        return found[name]

    def save(self) -> None:
        """Keep what was computed since the last time."""
        if self._new:
            self.cache.put(self._new)
            self._new = {}

    def score(self, name: str, items: Sequence[Item], rows: Sequence[Row], reference: Sequence[Path]) -> Score:
        """The metric over all pictures."""
        metric, card = self.metrics[name], metric_card(name)
        if isinstance(metric, SetMetric):
            return self._set_score(metric, items, reference)
        measured = [row for row in rows if name in row.values]
        values = np.array([row.values[name] for row in measured])
        finite = np.isfinite(values)
        groups = [without_draw(row.name) for row, one in zip(measured, finite, strict=True) if one]
        if not finite.any():
            why = "all pictures equal the truth" if len(values) else "no picture could be measured"
            return Score(card, None, 0, int((~finite).sum()), why)
        left_out = int((~finite).sum())
        if isinstance(metric, EmbeddingMetric) and metric.whole is not None:
            whole, known = metric.whole, self.vectors[metric.extractor.name]
            pairs = [
                (known[i.path], known[i.truth])
                for i, r in zip(items, rows, strict=True)
                if i.truth and name in r.values
            ]
            stacked = np.stack([np.stack(pair) for pair in pairs])[finite]

            def statistic(chosen: np.ndarray) -> float:
                return whole(torch.from_numpy(chosen[:, 0]), torch.from_numpy(chosen[:, 1]))

            return Score(card, grouped(stacked, groups, statistic), int(finite.sum()), left_out)
        return Score(card, grouped(values[finite], groups), int(finite.sum()), left_out)

    def _set_score(self, metric: SetMetric, items: Sequence[Item], reference: Sequence[Path]) -> Score:
        known = self.vectors.get(metric.extractor.name, {})
        measured = [item for item in items if item.path in known]
        if metric.paired or not reference:
            measured = [item for item in measured if item.truth in known]
            other = [known[item.truth] for item in measured if item.truth]
        else:
            other = [known[path] for path in reference]
        if not measured or not other:
            return Score(metric.card, None, unavailable="no picture could be measured")
        mine = torch.from_numpy(np.stack([known[item.path] for item in measured]))
        try:
            value = metric.function(mine, torch.from_numpy(np.stack(other)))
        except ValueError as error:  # too few pictures
            return Score(metric.card, None, len(measured), unavailable=str(error))
        return Score(metric.card, Estimate(value, float("nan"), float("nan")), len(measured))


def _row(vector: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(vector))[None]
