"""From what a user gave to the conditions that a method needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from likeness.conditions.holes import BLACK, Holes
from likeness.conditions.landmarks import POINTS, Landmarks
from likeness.conditions.references import References
from likeness.conditions.types import Condition
from likeness.faces import Detector, load_detector
from likeness.methods import MethodCard, OptionError

HOW = {
    "landmarks": f"{POINTS} landmarks of each face: give them with --landmarks FILE.json",
    "references": "photographs of the same person: give them with --reference DIR (or a folder for each person in it)",
    "hole": f"to know which pixels to fill: give a mask (white = fill) with --hole FILE or DIR, or --hole {BLACK}",
}


def find_conditions(
    card: MethodCard, given: Mapping[str, Path | str | None], detector: Detector | None
) -> list[Condition]:
    """One condition for each of ``card.needs``, from the paths of ``given`` by the same names.

    ``detector`` finds the faces of reference photographs (None: the offline one). Raises OptionError when something
    needed is not given or something given is not needed, and ValueError when it cannot be read.
    """
    for name, path in given.items():
        if path is not None and name not in card.needs:
            raise OptionError(f"method {card.name} takes no {name}")
    for name in card.needs:
        if given.get(name) is None:
            raise OptionError(f"{card.name} needs {HOW[name]}")
    paths = {name: str(path) for name, path in given.items() if path is not None}
    found: list[Condition] = []
    if "landmarks" in paths:
        found.append(Landmarks(Path(paths["landmarks"])))
    if "references" in paths:
        found.append(References(Path(paths["references"]), detector or load_detector("dlib")))
    if "hole" in paths:
        found.append(Holes(paths["hole"]))
    return found
