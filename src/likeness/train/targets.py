"""Which refined picture is whose target: extrinsic iterative learning (papers/001, section 3.3, eq. 10)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from likeness.train.pictures import Entry, Pictures
from likeness.train.recipe import DataConfig, RecipeError


class Targets:
    """``targets(index, step)``: the refined picture that picture ``index`` has as its target at a training step.

    papers/001 keeps d(x) as the input of x and changes the distribution of the targets alone. Of ``config.replace`` of
    the pictures the target is the refined one; over the first ``config.coupling`` steps they change theirs one by one,
    in an order that the seed decides ("Coupling two DDMs": the pool is gradually replaced).
    """

    def __init__(self, config: DataConfig, entries: Sequence[Entry], seed: int) -> None:
        assert config.targets is not None
        folder, names = _read_manifest(config.targets)
        cache = None if config.cache is None else config.cache.with_name(f"{config.cache.stem}-targets.npy")
        self.pictures = Pictures([str(folder)], cache)
        self.whose = match_targets(entries, self.pictures.entries, names, config.targets)
        self.turns = np.random.default_rng([seed, 2]).random(len(entries))  # when each picture's comes
        self.replace, self.coupling = config.replace, config.coupling

    def share(self, step: int) -> float:
        """Of the pictures whose target is refined at ``step``."""
        return self.replace * (min(1.0, (step + 1) / self.coupling) if self.coupling else 1.0)

    def __call__(self, index: int, step: int) -> np.ndarray | None:
        """(512, 512, 3) uint8; None when the picture is its own target."""
        target = self.whose.get(index)
        return None if target is None or self.turns[index] >= self.share(step) else self.pictures[target]


def match_targets(
    entries: Sequence[Entry], refined: Sequence[Entry], names: dict[tuple[str, str], str], where: Path
) -> dict[int, int]:
    """From the indices of pictures to those of their refined ones: by the manifest's ``names``, else by file name.

    ``names``: (folder or shard, name) of a picture -> file name of its refined one. Suffixes do not count. Raises
    RecipeError when several refined pictures, or several pictures of one, have the name, or when none has any.
    """
    places = {Path(entry.name).stem: index for index, entry in enumerate(refined)}
    if len(places) < len(refined):
        twice = Counter(Path(entry.name).stem for entry in refined).most_common(1)[0][0]
        raise RecipeError(f"data.targets: several pictures in {where} are called {twice}")
    found: dict[int, int] = {}
    for index, entry in enumerate(entries):
        stem = Path(names.get((_container(entry).name, entry.name), entry.name)).stem
        if stem in places:
            found[index] = places[stem]
    shared = [target for target, count in Counter(found.values()).items() if count > 1]
    if shared:
        raise RecipeError(
            f"data.targets: {refined[shared[0]].name} in {where} may belong to several pictures of data.sources: name "
            "the folder that dataset refine wrote, whose manifest tells them apart"
        )
    if not found:
        raise RecipeError(f"data.targets: no picture in {where} has the name of one of data.sources")
    return found


def _container(entry: Entry) -> Path:
    """The shard or the folder that a picture is in, as the manifest of ``dataset refine`` names it."""
    return entry.path if entry.offset >= 0 else entry.path.parent


def _read_manifest(targets: Path) -> tuple[Path, dict[tuple[str, str], str]]:
    """The refined pictures of ``targets``, the output of ``dataset refine`` or the set in it, and the manifest's names.

    Two pictures that are alike in folder and name are told apart by nothing, and left out.
    """
    from likeness.train.refine import MANIFEST, SET

    inner = targets / SET
    folder = inner if inner.is_dir() else targets
    manifest = folder.parent / MANIFEST
    if folder.name != SET or not manifest.is_file():
        return folder, {}
    lines = manifest.read_text(encoding="utf-8").splitlines()
    records = [record for record in map(json.loads, lines) if record["output"] is not None]
    keys = [(Path(record["source"]).name, record["name"]) for record in records]
    uses = Counter(keys)
    pairs = zip(keys, records, strict=True)
    return folder, {key: Path(record["output"]).name for key, record in pairs if uses[key] == 1}
