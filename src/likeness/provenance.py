"""Provenance: a written picture says that faces in it were restored and how, so that it can be made again.

``describe`` gathers what is said, ``stamp`` puts it into the metadata, ``read_provenance`` reads it back for
``likeness restore --like``. No path, no name of a file or person and nothing that tells a face is among it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from likeness import __version__
from likeness.backends.choose import BACKENDS
from likeness.memory import sha256
from likeness.photo import Photo, Statement, add_statement, read_photo, read_statements

if TYPE_CHECKING:
    from likeness.pipeline import Session, Settings
    from likeness.results import FaceResult

NAMESPACE, PREFIX, PROPERTY = "http://likeness.invalid/ns/1.0/", "likeness", "restorations"
SENTENCE = (
    "Faces restored by Likeness: their detail is an estimate, not a record. "
    "Never take a restored face as evidence of who someone is."
)
# Fields of Settings that the pixels depend on, beside method, options, weights, precision and fallback.
SETTINGS = (
    *("seed", "blend", "faces", "min_face", "identity_limit", "aligned"),
    *("detector", "mask", "scale", "upscaler", "fallback"),
)
_WRITTEN_AS = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


class ProvenanceError(ValueError):
    """A picture that does not say how it was made, or cannot be made so here; the message is for people."""


def describe(session: Session, faces: Sequence[FaceResult], input_sha256: str | None) -> dict[str, str] | None:
    """What is to be said of a picture with these faces, name to text; None when none of them was restored.

    ``input_sha256``: of the file that it was made of; None when it was no file.
    """
    statuses = [face.status for face in faces]
    if "restored" not in statuses:
        return None
    restorer, settings = session.restorer, session.settings
    fallback = session.fallback
    facts: dict[str, Any] = {
        "statement": SENTENCE,
        "likeness": __version__,
        "method": restorer.card.name,
        "weights_sha256": restorer.fingerprint,
        "options": session.options,
        "samples": 1,
        **{name: getattr(settings, name) for name in SETTINGS},
        "fallback_sha256": fallback.fingerprint if fallback else None,
        "precision": _WRITTEN_AS.get(str(getattr(restorer, "dtype", "")).removeprefix("torch.")),
        "device": getattr(getattr(restorer, "device", None), "type", None),
        "backend": getattr(restorer, "backend", "torch"),
        "given": {one.name: _digest(one.describe()) for one in session.conditions} or None,
        "input_sha256": input_sha256,
        **{status: statuses.count(status) for status in ("restored", "kept", "skipped", "failed")},
    }
    return {
        name: fact if isinstance(fact, str) else json.dumps(fact, sort_keys=True)
        for name, fact in facts.items()
        if fact is not None
    }


def of_sample(facts: Mapping[str, str], sample: int) -> dict[str, str]:
    """What is to be said of the face of one sample, counted from 0: its seed makes a photo with that face."""
    return {**facts, "seed": str(int(facts["seed"]) + sample), "restored": "1"}


def of_mean(facts: Mapping[str, str], samples: int) -> dict[str, str]:
    """What is to be said of the mean face of the samples, which no single restoration gives."""
    return {**facts, "samples": str(samples), "restored": "1"}


def stamp(photo: Photo, facts: Mapping[str, str] | None, path: str | Path) -> tuple[Photo, str | None]:
    """``photo`` as it is to be written to ``path``, and what there is to say when the facts found no usual place."""
    if facts is None:
        return photo, None
    tool = f"Likeness {facts['likeness']}"
    return add_statement(photo, Statement(NAMESPACE, PREFIX, PROPERTY, facts, SENTENCE, tool), path)


@dataclass(frozen=True)
class Provenance:
    """How a picture was made, as its file says. What a file says may be wrong: all of it is checked.

    ``settings``: values for fields of ``Settings``; ``given``: digests of what was given beside the photo; ``times``:
    how often it was restored, this is the last; ``samples``: above 1 it is a mean face.
    """

    path: Path
    version: str
    method: str
    options: dict[str, int | float]
    weights_sha256: str
    settings: dict[str, Any] = field(default_factory=dict)
    fallback_sha256: str | None = None
    device: str | None = None
    backend: str = "torch"
    given: dict[str, str] = field(default_factory=dict)
    input_sha256: str | None = None
    samples: int = 1
    times: int = 1

    def apply(self, chosen: Settings, explicit: Collection[str] = ()) -> Settings:
        """``chosen`` with everything that the pixels depend on as it was for this picture.

        ``explicit``: the fields of ``chosen`` that the user has set on purpose. Raises ProvenanceError when one
        of them, or an option of the method, contradicts.
        """
        from likeness.methods.resolve import resolve
        from likeness.weights.store import name_of

        for name, value in chosen.options.items():
            self._agree(name, value, self.options.get(name))
        for name in set(explicit) & set(self.settings):
            if (name, chosen.precision) != ("precision", "auto"):
                self._agree(name, getattr(chosen, name), self.settings[name])
        method, weights = self.method, chosen.weights
        if chosen.method is not None:
            self._agree("method", resolve(chosen.method, chosen.weights)[0], self.method)
            method = chosen.method
        entry = name_of(self.weights_sha256)
        if method == self.method and weights is None and entry is not None and _is_network(entry, method):
            weights = entry
        backend = chosen.backend
        if backend == "auto" and self._computes_here(chosen.device):
            backend = self.backend
        changed = {"method": method, "weights": weights, "backend": backend, "options": dict(self.options)}
        return replace(chosen, **changed, **self.settings)  # type: ignore[arg-type]

    def _computes_here(self, device: str) -> bool:
        from likeness.backends.choose import FASTEST, missing
        from likeness.compute import pick_device

        return not missing(self.backend) and (self.backend not in FASTEST or pick_device(device).type == "cpu")

    def _agree(self, name: str, chosen: Any, recorded: Any) -> None:
        if chosen != recorded:
            said = f"has {name} {recorded}" if recorded is not None else f"has no {name}"
            raise ProvenanceError(f"{self.path} {said}, not {chosen}: omit it, or omit --like")

    def check(self, session: Session) -> list[str]:
        """What may make the pictures differ, in a line each. Raises ProvenanceError for other weights."""
        self._same_weights(self.method, self.weights_sha256, session.restorer.fingerprint, "--weights FILE")
        if session.fallback is not None:
            there = session.fallback.fingerprint
            self._same_weights(
                session.fallback.card.name, self.fallback_sha256 or "none", there, "likeness models pull"
            )
        notes = []
        if self.times > 1:
            notes.append(f"{self.path} was restored {self.times} times: this is the last, of what was there before it")
        if self.version != __version__:
            notes.append(f"{self.path} was made by likeness {self.version}, this is {__version__}: pixels may differ")
        device = getattr(getattr(session.restorer, "device", None), "type", None)
        if device != self.device:
            notes.append(f"{self.path} was made on {self.device}, this is {device}: the last bits may differ")
        backend = getattr(session.restorer, "backend", "torch")
        if backend != self.backend:
            notes.append(f"{self.path} was made by {self.backend}, this is {backend}: the last bits may differ")
        if session.options.get("seconds"):
            notes.append(f"{self.path} was made within a time limit for each face: another pace gives other pixels")
        notes += [
            f"{self.path} was made with other {one.name}: what is given now is not the same"
            for one in session.conditions
            if self.given.get(one.name) != _digest(one.describe())
        ]
        return notes

    def _same_weights(self, method: str, wanted: str, there: str, how: str) -> None:
        from likeness.weights.store import name_of

        if wanted != there:
            name = name_of(wanted)
            called = f" ({name}: likeness models pull {name})" if name else ""
            raise ProvenanceError(
                f"{self.path} was made with weights of {method} of sha256 {wanted}{called}, these are {there}: "
                f"give those with {how}"
            )

    def others(self, inputs: Sequence[str | Path]) -> list[str]:
        """A note on the inputs that are not the photo that this picture was made of. Raises nothing of files lost."""
        if self.input_sha256 is None:
            return [f"{self.path} does not say of which photo it was made"]
        others = [Path(one) for one in inputs if Path(one).is_file() and sha256(Path(one)) != self.input_sha256]
        if not others:
            return []
        said = f"{self.path} was made of (another sha256): restored in the same way, it is another picture"
        if len(others) == 1:
            return [f"{others[0]} is not the photo that {said}"]
        return [f"{len(others)} of {len(inputs)} inputs are not the photo that {said}"]


def read_provenance(path: str | Path) -> Provenance:
    """How the picture was made.

    Raises PhotoError when it cannot be read, ProvenanceError when it says nothing, or nothing that makes sense.
    """
    path = Path(path)
    found = read_statements(read_photo(path), NAMESPACE, PROPERTY)
    if not found:
        raise ProvenanceError(f"{path} does not say how it was made: give method and options yourself, without --like")
    facts = found[-1]
    try:
        made = _parsed(path, facts, len(found))
    except (KeyError, ValueError, RecursionError) as error:
        what = str(error.args[0]) if error.args else type(error).__name__
        raise ProvenanceError(f"{path} says how it was made, but not so that it makes sense: {_shown(what)}") from None
    if made.samples != 1:
        raise ProvenanceError(f"{path} is the mean of {made.samples} samples: take the photo that they belong to")
    return made


def _parsed(path: Path, facts: Mapping[str, str], times: int) -> Provenance:
    from likeness.methods import METHODS

    numbers = {name: json.loads(facts[name]) for name in ("options", "samples", "seed", "blend", "min_face", "scale")}
    numbers["aligned"] = json.loads(facts["aligned"])
    numbers["identity_limit"] = json.loads(facts.get("identity_limit", "null"))
    given = json.loads(facts.get("given", "{}"))
    options = numbers.pop("options")
    for name, value, kinds in (
        *((name, numbers[name], (int,)) for name in ("samples", "seed", "scale")),
        *((name, numbers[name], (int, float)) for name in ("blend", "min_face")),
        ("aligned", numbers["aligned"], (bool,)),
        ("identity_limit", numbers["identity_limit"], (int, float, type(None))),
        ("options", options, (dict,)),
        ("given", given, (dict,)),
    ):
        if type(value) not in kinds:
            raise ValueError(f"{name} is {value!r}")
    for name, value in options.items():
        if type(value) not in (int, float):
            raise ValueError(f"option {name} is {value!r}")
    if facts["method"] not in METHODS:
        raise ValueError(f"unknown method {facts['method']!r}")
    fallback = facts.get("fallback")
    if fallback is not None and re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", fallback) is None:
        raise ValueError(f"unknown method {fallback!r}")
    for name in ("weights_sha256", "fallback_sha256", "input_sha256"):
        if name in facts and re.fullmatch("[0-9a-f]{64}", facts[name]) is None:
            raise ValueError(f"{name} is {facts[name]!r}")
    samples = numbers.pop("samples")
    words = {name: _word(facts, name) for name in ("faces", "detector", "mask", "upscaler")}
    precision = facts.get("precision", "auto")
    if precision not in ("auto", *_WRITTEN_AS.values()):
        raise ValueError(f"precision is {precision!r}")
    backend = facts.get("backend", "torch")  # files of earlier versions do not say it
    if backend not in BACKENDS or backend == "auto":
        raise ValueError(f"backend is {backend!r}")
    return Provenance(
        path=path,
        version=_word(facts, "likeness"),
        method=facts["method"],
        options=options,
        weights_sha256=facts["weights_sha256"],
        settings={**numbers, **words, "precision": precision, "fallback": fallback},
        fallback_sha256=facts.get("fallback_sha256"),
        device=_word(facts, "device") if "device" in facts else None,
        backend=backend,
        given={str(name): str(value) for name, value in given.items()},
        input_sha256=facts.get("input_sha256"),
        samples=samples,
        times=times,
    )


def _word(facts: Mapping[str, str], name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9.+_-]{1,64}", facts[name]) is None:
        raise ValueError(f"{name} is {facts[name]!r}")
    return facts[name]


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def _digest(plain: Any) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def _is_network(entry: str, method: str) -> bool:
    from likeness.weights.catalogue import entry as catalogue_entry

    its = catalogue_entry(entry)
    return its.restores and its.method == method
