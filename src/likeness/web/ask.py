"""What a client asks for, validated before it is queued."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from likeness import parts
from likeness.methods import METHODS, OptionError, card
from likeness.pipeline import Settings
from likeness.web.limits import Limits
from likeness.web.refusal import Refused
from likeness.web.uploads import Upload


@dataclass(frozen=True)
class Wanted:
    """A method (or an entry of the catalogue) and its options."""

    method: str
    options: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As tables and folders show it: ``likeness``, ``codeformer fidelity=0.7``."""
        return " ".join([self.method, *(f"{name}={value:g}" for name, value in sorted(self.options.items()))])


@dataclass(frozen=True)
class Ask:
    """One job. ``faces``: for an upload's id the numbers of the faces to restore, counted from 0 as ``Engine.find``
    shows them; an upload that is not named has all of its faces restored. ``references``: photos of the person;
    ``mask``: white is to fill. The rest is as in ``Settings``.
    """

    photos: tuple[Upload, ...]
    methods: tuple[Wanted, ...] = (Wanted("likeness"),)
    faces: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    references: tuple[Upload, ...] = ()
    mask: Upload | None = None
    seed: int = 0
    samples: int = 1
    blend: float = 1.0
    scale: int = 1
    upscaler: str = "lanczos"
    detector: str = "dlib"
    face_mask: str = "feathered"
    aligned: bool = False
    identity_limit: float | None = None

    def check(self, limits: Limits) -> None:
        """Raises Refused (400, or 413 for too many) saying what is wrong."""
        _at_most("photos", len(self.photos) + len(self.references), limits.photos)
        _at_most("methods", len(self.methods), limits.methods)
        _at_most("samples", self.samples, limits.samples)
        if not self.photos:
            raise Refused(400, "no photo: upload one first")
        if not self.methods or len({one.name for one in self.methods}) < len(self.methods):
            raise Refused(400, "choose at least one method, and none of them twice with the same options")
        if self.mask is not None and len(self.photos) > 1:
            raise Refused(400, "a mask belongs to one photo: ask for one photo at a time")
        for what, value, offered in (
            ("detector", self.detector, parts.DETECTORS),
            ("mask", self.face_mask, parts.MASKS),
            ("upscaler", self.upscaler, parts.UPSCALERS),
        ):
            if value not in offered:
                raise Refused(400, f"{what} must be one of {', '.join(offered)}, got {value!r}")
        for wanted in self.methods:
            _check_options(wanted)
        try:
            self.settings(self.methods[0])
        except ValueError as error:
            raise Refused(400, str(error)) from None

    def settings(self, wanted: Wanted, given: Mapping[str, Any] | None = None) -> Settings:
        """Of the pipeline, for one of the methods; ``given``: paths of references and mask. Raises ValueError."""
        return Settings(
            method=wanted.method,
            options=dict(wanted.options),
            seed=self.seed,
            samples=self.samples,
            blend=self.blend,
            scale=self.scale,
            upscaler=self.upscaler,
            detector=self.detector,
            mask=self.face_mask,
            aligned=self.aligned,
            identity_limit=self.identity_limit,
            **(given or {}),
        )


def offered() -> dict[str, str]:
    """What a client may name as a method, and the method it is: METHODS and the catalogue's networks of them."""
    from likeness.weights.catalogue import entries

    named = {name: name for name in METHODS}
    named.update({one.name: one.method for one in entries() if one.restores and one.method in METHODS})
    return named


def _check_options(wanted: Wanted) -> None:
    """By name and value, before anything is loaded. Nothing here takes a path: a method is one of ``offered``."""
    names = offered()
    if wanted.method not in names:
        raise Refused(400, f"unknown method {wanted.method!r}; choose from {', '.join(METHODS)}")
    if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in wanted.options.values()):
        raise Refused(400, f"options of {wanted.method} must be numbers, got {dict(wanted.options)!r}")
    try:
        card(names[wanted.method]).choose(wanted.options)
    except OptionError as error:
        raise Refused(400, str(error)) from None


def _at_most(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise Refused(413, f"{count} {what} are more than the limit of {limit}")


def parse_wanted(texts: Sequence[str]) -> tuple[Wanted, ...]:
    """``likeness``, ``codeformer:fidelity=0.7,...`` -> what is wanted. Raises Refused (400)."""
    found = []
    for text in texts:
        method, _, rest = text.partition(":")
        options = {}
        for pair in filter(None, rest.split(",")):
            name, _, value = pair.partition("=")
            try:
                options[name.strip()] = float(value)
            except ValueError:
                raise Refused(400, f"a method looks like likeness or likeness:steps=1, got {text!r}") from None
        found.append(Wanted(method.strip(), options))
    return tuple(found)
