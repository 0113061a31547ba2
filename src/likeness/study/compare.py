"""Compare methods on the same photos: restore, measure, rank, and one page that shows all of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from likeness import parts
from likeness.compute import pick_device
from likeness.measure.cache import Cache
from likeness.measure.cards import metric_card
from likeness.memory import sha256
from likeness.methods import OptionError
from likeness.photo import (
    PhotoError,
    PhotoInput,
    add_suffix,
    assign_outputs,
    atomic_path,
    atomic_write_text,
    find_photos,
    sweep_leftovers,
)
from likeness.pipeline import Settings
from likeness.study.compare_document import Entry, Picture, make_document, text_table, values_csv
from likeness.study.contenders import Contender, Outcome, parse_contenders, run_contender
from likeness.study.extractors import Extractors
from likeness.study.folder import CACHE
from likeness.study.measuring import Measurement, measure_items
from likeness.study.page import page, table_fragment
from likeness.study.pairs import Item, find_items
from likeness.study.ranking import BASELINE, PREFERENCES
from likeness.study.views import Views
from likeness.weights.store import home

INPUTS, TRUTH = "inputs", "truth"  # folders beside the methods', with copies, so that DIR can be moved as a whole
WITH_TRUTH = ("psnr", "ssim", "identity-distance", "sharpness", "niqe-faces")
WITHOUT_TRUTH = ("niqe-faces",)
SHOWN = 60  # photos on the page; all are in the folders and in compare.json
_NEEDED = {"fidelity": ("psnr", "ssim"), "perception": ("niqe-faces",), "identity": ("identity-distance",), "speed": ()}

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Comparison:
    """What came out: ``document`` is what ``compare.json`` holds. In a notebook it shows its table."""

    output: Path
    document: dict[str, Any]

    @property
    def page(self) -> Path:
        """The page, one file that opens without a network."""
        return self.output / "index.html"

    @property
    def failures(self) -> list[str]:
        """What went wrong, one line each; empty when all is good."""
        return [f"{one['who']}: {one['what']}" if one["who"] else one["what"] for one in self.document["failures"]]

    @property
    def sentence(self) -> str:
        """The ranking for the chosen preference in words."""
        return str(self.document["rankings"][self.document["prefer"]]["sentence"])

    def table(self) -> str:
        """The methods and their metrics with intervals, as text of a fixed width."""
        return text_table(self.document)

    def _repr_html_(self) -> str:
        return table_fragment(self.document, self.page.as_posix())


def compare(
    paths: Sequence[str | Path] | str | Path,
    output: str | Path,
    methods: Sequence[str],
    *,
    truth: str | Path | None = None,
    metrics: Sequence[str] | None = None,
    prefer: str = "identity",
    overwrite: bool = False,
    shown: int = SHOWN,
    cache: Path | None = None,
    progress: Progress = lambda done, total, what: None,
    **settings: Any,
) -> Comparison:
    """Restore the photos at ``paths`` by each of ``methods`` (see ``parse_contender``) and compare the results.

    ``truth``: a folder of true pictures, of the photos' names; ``prefer``: one of ``ranking.PREFERENCES``; ``shown``:
    photos on the page; ``settings``: fields of ``pipeline.Settings`` that hold for all methods (aligned, seed, samples,
    reference, faces, device, ...). Writes below ``output``: ``<method>/`` with pictures and report.json, ``inputs/``,
    ``truth/``, index.html, compare.json, values.csv and measure.json. What is done and intact is not done again.

    A method that cannot run, or a picture that fails, is in ``failures``. Raises PhotoError for photos or folders that
    are not there, OptionError or ValueError for names and settings that are wrong.
    """
    folder = Path(output)
    contenders = _contenders(methods)
    if prefer not in PREFERENCES:
        raise ValueError(f"unknown preference {prefer!r}; choose from {', '.join(PREFERENCES)}")
    for name in metrics or ():
        metric_card(name)
    common = Settings(**settings)
    inputs, found = _inputs([paths] if isinstance(paths, (str, Path)) else paths, folder)
    pictures = _pictures(found, None if truth is None else Path(truth))
    wanted = _metrics(metrics, prefer, truth is not None)
    problems = _copy(pictures, folder)

    outcomes = []
    for contender in contenders:
        restoring = partial(_progress, progress, f"restoring: {contender.name}")
        outcomes.append(run_contender(contender, inputs, folder, common, overwrite=overwrite, progress=restoring))
    entries = _measured(pictures, outcomes, wanted, folder, common, cache, progress)
    document = make_document(pictures, entries, wanted, prefer, common, truth is not None, problems)
    sweep_leftovers(folder)
    atomic_write_text(folder / "compare.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    atomic_write_text(folder / "values.csv", values_csv(document))
    atomic_write_text(folder / "measure.json", json.dumps(_means(document), indent=1, ensure_ascii=False) + "\n")
    atomic_write_text(folder / "index.html", page(document, folder, shown))
    return Comparison(folder, document)


def _progress(progress: Progress, what: str, done: int, total: int) -> None:
    progress(done, total, what)


def split_methods(text: str) -> list[str]:
    """``a,b:x=1,y=2,c`` -> a, ``b:x=1,y=2``, c: a comma divides unless a bare ``name=number`` of an option follows.

    >>> split_methods("likeness,likeness:steps=1,fidelity=0.5,my.pth")
    ['likeness', 'likeness:steps=1,fidelity=0.5', 'my.pth']
    """
    found: list[str] = []
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if found and equals and ":" in found[-1] and name.isidentifier() and _is_number(value):
            found[-1] += f",{part}"
        else:
            found.append(part)
    return [part.strip() for part in found]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _contenders(methods: Sequence[str]) -> list[Contender]:
    if isinstance(methods, str):
        methods = split_methods(methods)
    if not methods:
        raise OptionError("name the methods to compare, such as --methods likeness,likeness:steps=1")
    contenders = parse_contenders(methods)
    for one in contenders:
        if one.folder.lower() in (INPUTS, TRUTH) or one.name == BASELINE:
            raise OptionError(f"a method cannot be called {one.name}: that is where the pictures go; rename the file")
    return contenders


def _metrics(asked: Sequence[str] | None, prefer: str, truth: bool) -> tuple[str, ...]:
    """The metrics asked for, and those that the preference goes by."""
    names = list(asked) if asked is not None else list(WITH_TRUTH if truth else WITHOUT_TRUTH)
    for name in _NEEDED[prefer]:
        if name not in names and (truth or not {"truth", "counterpart"} & set(metric_card(name).needs)):
            names.append(name)
    return tuple(dict.fromkeys(names))


def _inputs(paths: Sequence[str | Path], output: Path) -> tuple[list[str | Path], list[PhotoInput]]:
    """What is restored, as given and as single photos; what an earlier run wrote is not among them."""
    if output.exists() and not output.is_dir():
        raise PhotoError(f"{output} is a file, not a folder: choose another output folder")
    given: list[str | Path] = []
    for path in paths:
        if Path(path).exists() and not output.resolve().is_relative_to(Path(path).resolve()):
            given.append(path)
        else:  # a glob, or a folder that our own results lie in
            kept = [one.path for one in find_photos([path]) if not one.path.resolve().is_relative_to(output.resolve())]
            given += kept
    found = find_photos(given)
    if not found:
        raise PhotoError(f"no photos in {', '.join(map(str, paths))}")
    return given, found


def _pictures(found: Sequence[PhotoInput], truth: Path | None) -> list[Picture]:
    true = {} if truth is None else {item.name: item.path for item in find_items(truth)}
    pictures = [
        Picture(stem.as_posix(), one.path, true.get(one.relative.with_suffix("").as_posix()))
        for one, stem in zip(found, assign_outputs(found), strict=True)
    ]
    if truth is not None and not any(picture.truth for picture in pictures):
        raise PhotoError(f"no picture in {truth} has the name of a photo that is compared ({pictures[0].name}, ...)")
    return pictures


def _copy(pictures: Sequence[Picture], output: Path) -> list[str]:
    """Copies of inputs and truth below ``output``; a file that cannot be read is in the list returned."""
    problems = []
    for picture in pictures:
        for folder, source in ((INPUTS, picture.source), (TRUTH, picture.truth)):
            if source is None:
                continue
            target = output / folder / add_suffix(Path(picture.name), source.suffix)
            try:
                if not target.is_file() or sha256(target) != sha256(source):
                    with atomic_path(target) as partial:
                        shutil.copyfile(source, partial)
            except OSError as error:
                problems.append(f"{error.filename or source}: {error.strerror}")
                continue
            picture.copies[folder] = target.relative_to(output).as_posix()
    return problems


def _measured(
    pictures: Sequence[Picture],
    outcomes: Sequence[Outcome],
    metrics: Sequence[str],
    output: Path,
    settings: Settings,
    cache: Path | None,
    progress: Progress,
) -> list[Entry]:
    """The baseline and each contender with its values."""
    where = pick_device(settings.device)
    views = Views(None if settings.aligned else parts.find_detector(settings.detector, where))
    extractors = Extractors(device=where)
    with Cache(cache or home() / CACHE) as kept:

        def measure(items: list[Item], what: str) -> Measurement | None:
            if not items:
                return None
            return measure_items(items, metrics, views, extractors, kept, progress=partial(_progress, progress, what))

        inputs = [Item(p.name, output / p.copies[INPUTS], p.truth) for p in pictures if INPUTS in p.copies]
        entries = [Entry(None, None, measure(inputs, "measuring: input"))]
        for outcome in outcomes:
            records = {} if outcome.report is None else {one["input"]: one for one in outcome.report["photos"]}
            mine = {p.name: record for p in pictures if (record := records.get(str(p.source))) is not None}
            base = output / outcome.contender.folder
            items = [
                Item(p.name, base / mine[p.name]["output"], p.truth)
                for p in pictures
                if p.name in mine and mine[p.name]["output"]
            ]
            measurement = measure(items, f"measuring: {outcome.contender.name}")
            entries.append(Entry(outcome, mine, measurement))
    return entries


def _means(document: dict[str, Any]) -> dict[str, Any]:
    """For ``likeness study result``: methods by the names of their folders."""
    return {
        "metrics": {n: {"higher_is_better": facts["higher_is_better"]} for n, facts in document["metrics"].items()},
        "methods": {
            entry["name"] if entry["baseline"] else entry["folder"]: {
                name: score["value"]
                for name, score in entry["scores"].items()
                if isinstance(score.get("value"), float | int)
            }
            for entry in document["methods"]
            if entry["error"] is None
        },
    }
