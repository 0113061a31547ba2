"""What is compared: a method with its options, written ``likeness:steps=1`` or ``codeformer:fidelity=0.7``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from likeness.folder import restore_files
from likeness.methods import OptionError
from likeness.pipeline import Settings


@dataclass(frozen=True)
class Contender:
    """A method (or a name of the catalogue, or a file of weights) and the options it runs with."""

    name: str  # as the user wrote it: shown in tables
    method: str | None
    options: dict[str, float] = field(default_factory=dict)
    weights: Path | None = None

    @property
    def folder(self) -> str:
        """A folder name of its own: ``likeness_steps=1``."""
        return re.sub(r"[^A-Za-z0-9._+=-]+", "_", self.name).strip("._") or "method"


@dataclass(frozen=True)
class Outcome:
    """How a contender did: its report (what ``report.json`` holds), or why it could not run at all."""

    contender: Contender
    report: dict[str, Any] | None
    error: str | None = None


def parse_contender(text: str) -> Contender:
    """``METHOD``, ``ENTRY`` of the catalogue or ``FILE`` of weights, with ``:name=number,name=number`` behind it.

    Raises OptionError for text that is not of this form; whether the method exists is seen when it is loaded.
    """
    what, _, rest = text.partition(":") if not Path(text).is_file() else (text, "", "")
    options: dict[str, float] = {}
    for pair in filter(None, rest.split(",")):
        name, _, value = pair.partition("=")
        try:
            options[name] = float(value)
        except ValueError:
            raise OptionError(f"a method looks like likeness or likeness:steps=1, got {text!r}") from None
    if not what:
        raise OptionError(f"a method looks like likeness or likeness:steps=1, got {text!r}")
    if Path(what).is_file():
        shown = Path(what).name + (f":{rest}" if rest else "")
        return Contender(shown, None, options, Path(what))
    return Contender(text, what, options)


def parse_contenders(texts: Sequence[str]) -> list[Contender]:
    """All of them; raises OptionError when two would write to the same folder."""
    contenders = [parse_contender(text) for text in texts]
    folders = [one.folder.lower() for one in contenders]
    for one in contenders:
        if folders.count(one.folder.lower()) > 1:
            raise OptionError(f"{one.name} occurs twice")
    return contenders


def run_contender(
    contender: Contender,
    inputs: Sequence[str | Path],
    output: Path,
    settings: Settings,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Restore ``inputs`` into ``output/<folder>/``, with ``report.json``; what is done and intact is skipped.

    A contender that cannot run (no weights here, a wrong option, a need that ``settings`` does not give) is an Outcome
    with an error; the others go on.
    """
    mine = replace(settings, method=contender.method, options=contender.options, weights=contender.weights)
    try:
        folder = output / contender.folder
        report = restore_files(inputs, folder, mine, overwrite=overwrite, progress=lambda d, t, _: progress(d, t))
    except ValueError as error:  # OptionError, WeightsError, PhotoError, ComputeError
        return Outcome(contender, None, str(error))
    return Outcome(contender, report.as_dict())
