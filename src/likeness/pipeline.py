"""photo -> faces -> method -> photo: the only place where the wings meet.

``Session`` holds what is loaded once (detector, method, recogniser); ``prepare`` turns a photo into crops, ``restore``
sends a batch through the method, ``settle`` gathers the evidence for a face and pastes it back, and ``finish`` ends
the photo. ``stream`` runs them for many photos: decoding and detecting (on several threads, since dlib's detector takes
longer than our network), restoring, and pasting and encoding overlap, faces of several photos share a batch, and at
most a few photos are in memory.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from likeness import parts
from likeness.backends.choose import BACKENDS
from likeness.conditions import Condition, Given, find_conditions
from likeness.faces import (
    Detector,
    DlibDetector,
    Face,
    MaskSource,
    Recognizer,
    crop_face,
    enlarged,
    identity_distance,
    load_recognizer,
    paste_face,
    replace_pixels,
    select_faces,
)
from likeness.heap import trim
from likeness.methods import OptionError, Restorer, card
from likeness.methods import load as load_method
from likeness.methods.resolve import named
from likeness.photo import Photo, PhotoError, read_photo
from likeness.results import FaceResult, PhotoResult
from likeness.upscale import LanczosUpscaler
from likeness.work import FaceWork, Finished, PhotoWork

# how torch's allocators, oneDNN and C++ say it
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate", "could not create a primitive", "bad_alloc")
READERS = 4  # threads that decode and find faces, at most
MIN_FACE = 32.0  # pixels; below this a face holds too little to restore honestly


@dataclass(frozen=True)
class Settings:
    """What to do with every photo; validated where it is made."""

    method: str | None = None  # the one that `weights` belong to, or the built-in
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    samples: int = 1
    blend: float = 1.0
    faces: Literal["all", "largest"] = "all"
    min_face: float = MIN_FACE
    identity_limit: float | None = None
    aligned: bool = False
    detector: str = "dlib"
    mask: str = "feathered"
    scale: int = 1
    upscaler: str = "lanczos"
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"  # what computes the method, see `likeness.methods.load`
    batch: int = 0  # 0: chosen by the device
    weights: str | Path | None = None  # a file, or a name in the catalogue
    landmarks: Path | None = None  # these three: what some methods need, see `likeness.conditions`
    reference: Path | None = None
    hole: str | None = None
    fallback: str | None = None  # the method for faces that lack what `method` needs
    provenance: bool = True  # written pictures say how they were made

    def __post_init__(self) -> None:
        for name, good, want in (
            ("samples", 1 <= self.samples <= 64, "in [1, 64]"),
            ("blend", 0.0 <= self.blend <= 1.0, "in [0, 1]"),
            ("faces", self.faces in ("all", "largest"), "all or largest"),
            ("min_face", self.min_face >= 0, "at least 0"),
            ("seed", 0 <= self.seed < 2**63 - 64, "in [0, 2^63 - 64)"),
            ("backend", self.backend in BACKENDS, f"one of {', '.join(BACKENDS)}"),
            ("batch", 0 <= self.batch <= 256, "in [0, 256]"),
            ("scale", self.scale in parts.SCALES, f"one of {parts.SCALES}"),
            ("identity_limit", self.identity_limit is None or self.identity_limit >= 0, "at least 0"),
        ):
            if not good:
                raise ValueError(f"{name} must be {want}, got {getattr(self, name)!r}")


class Session:
    """Everything that is loaded once. Raises OptionError, ComputeError or WeightsError when it cannot be."""

    def __init__(self, settings: Settings | None = None, restorer: Restorer | None = None) -> None:
        s = self.settings = settings or Settings()
        if restorer is None and (name := named(s.method, s.weights)) is not None:
            card(name).choose(s.options)  # a mistyped option is said before weights are asked for
        self.restorer = restorer or load_method(
            s.method, device=s.device, precision=s.precision, weights=s.weights, backend=s.backend
        )
        self.options = self.restorer.card.choose(s.options)
        device = getattr(self.restorer, "device", "cpu")
        self.detector: Detector | None = None if s.aligned else parts.find_detector(s.detector, device)
        self.recognizer: Recognizer = load_recognizer("dlib")
        self.mask: MaskSource = parts.find_mask(s.mask, device)
        self.upscaler = parts.find_upscaler(s.upscaler, s.scale, device)
        self.batch = s.batch or (1 if getattr(device, "type", "cpu") == "cpu" else 8)
        if s.samples > 1 and not self.restorer.card.stochastic:
            raise OptionError(f"{self.restorer.card.name} gives the same face every time: omit --samples")
        given = {"landmarks": s.landmarks, "references": s.reference, "hole": s.hole}
        self.conditions: list[Condition] = find_conditions(self.restorer.card, given, self.detector)
        self.fallback = self._load_fallback(s)
        if self.conditions or self.restorer.card.kind == "optimisation":
            self.batch = 1  # a face with bad ones fails alone; padding would be searched for, too
        self.readers = self._count_readers()

    def _count_readers(self) -> int:
        """How many photos ``stream`` prepares at once: neural detectors have the cores to themselves, and what finds
        the conditions is for one thread."""
        import torch

        several = isinstance(self.detector, DlibDetector) and not self.conditions
        return min(READERS, torch.get_num_threads()) if several else 1

    def _load_fallback(self, s: Settings) -> Restorer | None:
        if s.fallback is None:
            return None
        if not self.conditions:
            raise OptionError(f"{self.restorer.card.name} needs nothing that could be missing: omit --fallback")
        fallback = load_method(
            s.fallback,
            device=s.device,
            precision=s.precision,
            backend="torch" if s.backend == "torch" else "auto",  # another method may not have that backend
        )
        if fallback.card.needs:
            raise OptionError(f"{s.fallback} cannot be the fallback: it needs {' and '.join(fallback.card.needs)}")
        return fallback

    def prepare(self, source: str, photo: Photo | Path) -> PhotoWork:
        """Read if it is a path, find faces, cut crops. A photo that cannot be read is work with an error."""
        import cv2

        work = PhotoWork(source, None, time.perf_counter())
        try:
            photo = read_photo(photo) if isinstance(photo, Path) else photo
            work.faces = self._find(photo, Path(source).name)
            work.photo = photo
        except PhotoError as error:
            work.error = str(error)
        except (RuntimeError, MemoryError, cv2.error) as error:  # of dlib, numpy and OpenCV
            work.error = f"{source}: finding faces failed: {_one_line(error)}"
        return work

    def _find(self, photo: Photo, name: str) -> list[FaceWork | FaceResult]:
        if self.detector is not None:
            found = self.detector.detect(_eight_bit(photo.pixels))
            chosen = select_faces(found, self.settings.faces, self.settings.min_face)
        elif photo.height == photo.width:
            chosen = [(Face.aligned(photo.height, photo.width), None)]
        else:
            size = f"{photo.width}x{photo.height}"
            raise PhotoError(f"{photo.source}: an aligned face must be square, this is {size}; omit --aligned")
        works = [
            FaceWork(face, crop_face(photo.pixels, face.transform))
            if reason is None
            else FaceResult(face.box, face.score, "skipped", reason)
            for face, reason in chosen
        ]
        return self._provided(photo, name, works)

    def _provided(self, photo: Photo, file: str, faces: list[FaceWork | FaceResult]) -> list[FaceWork | FaceResult]:
        """With what the method needs beside the crops; a face that lacks it goes to the fallback or gets a record."""
        for condition in self.conditions:
            cut = [i for i, face in enumerate(faces) if isinstance(face, FaceWork) and not face.fallback]
            works = [face for i in cut if isinstance(face := faces[i], FaceWork)]
            found = condition.of(photo, file, [(work.face, work.crop) for work in works])
            for i, work, one in zip(cut, works, found, strict=True):
                if isinstance(one, Given):
                    work.given[condition.name], work.replace = one.value, one.replace
                    work.notes += [one.note] if one.note else []
                elif self.fallback is not None:
                    work.given, work.replace, work.fallback = {}, None, True
                    work.notes = [f"restored by {self.fallback.card.name}: {one.reason}"]
                else:
                    faces[i] = FaceResult(work.face.box, work.face.score, one.status, one.reason)
        return faces

    def restore(self, faces: list[FaceWork]) -> None:
        """Run the method on up to a batch of crops, once for each sample.

        A batch always has its full size (the rest is padding), so that a face comes out the same to the last bit
        whichever faces share its batch. When the memory does not suffice for a batch, it is halved from then on.
        """
        began = time.perf_counter()
        waiting = [faces]
        while waiting:
            some = waiting.pop()
            if len(some) > self.batch:
                waiting += [some[self.batch :], some[: self.batch]]
            elif self._lacks_memory(some) and self.batch > 1:
                self._halve(some)
                waiting.append(some)
        for face in faces:
            face.seconds = (time.perf_counter() - began) / len(faces)

    def _halve(self, faces: list[FaceWork]) -> None:
        """Smaller batches from now on; these faces are as if they had not been tried, but for a note."""
        half = self.batch // 2
        for face in faces:
            face.samples.clear()
            face.error = None
            face.notes.append(f"out of memory with {self.batch} faces at once: {half} at a time")
        self.batch = half
        _free_memory()

    def _lacks_memory(self, faces: list[FaceWork]) -> bool:
        """Restore a batch; whether it failed for want of memory."""
        import torch

        from likeness.transfer import Transfer

        restorer, options = self.restorer, {**faces[0].given, **self.options}
        if faces[0].fallback and self.fallback is not None:
            restorer, options = self.fallback, {}
        transfer = Transfer(torch.device(getattr(restorer, "device", "cpu")))
        for sample in range(self.settings.samples):
            try:
                crops = np.zeros((self.batch, *faces[0].crop.shape), np.float32)
                crops[: len(faces)] = [face.crop for face in faces]
                batch = transfer.there(torch.from_numpy(crops).permute(0, 3, 1, 2))
                out = transfer.back(restorer.restore(batch, seed=self.settings.seed + sample, **options))
                pictures = out.permute(0, 2, 3, 1).numpy()
            except (RuntimeError, MemoryError, OptionError) as error:  # out of memory, landmarks that do not fit
                for face in faces:
                    face.error = f"{restorer.card.name} failed: {_one_line(error)}"
                return _is_about_memory(error)
            for face, picture in zip(faces, pictures, strict=False):
                if not np.isfinite(picture).all():
                    face.error = getattr(
                        restorer, "not_finite", f"{restorer.card.name} gave values that are not finite"
                    )
                else:
                    face.samples.append(np.ascontiguousarray(picture.clip(0, 1), np.float32))
        return False

    def settle(self, work: PhotoWork, face: FaceWork, keep: bool = True) -> None:
        """Evidence for a face that went through the method, and the face into its photo.

        Faces of a photo are settled in their order, since they may overlap. Without ``keep`` the face's pictures are
        let go of: of the faces that wait a photo holds the crops, of those that are done nothing.
        """
        import cv2

        if work.error is not None or work.photo is None:
            return
        try:
            face.record = self._judge(face)
            if face.record.status == "restored":
                self._paste(work, work.photo, face)
        except (RuntimeError, MemoryError, cv2.error) as error:  # of dlib, numpy and OpenCV
            work.error = f"{work.source}: pasting the faces failed: {_one_line(error)}"
        if not keep:
            face.release()

    def finish(self, work: PhotoWork, keep: bool = True) -> Finished:
        """The photo with its faces, of which those that are not settled yet are settled now, and all the records."""
        import cv2

        for face in work.chosen:
            if face.record is None:
                self.settle(work, face, keep)
        if work.error is None and work.photo is not None:
            try:
                photo, pixels = self._base(work, work.photo)
            except (RuntimeError, MemoryError, cv2.error) as error:  # of the up-sampler
                work.error = f"{work.source}: enlarging the photo failed: {_one_line(error)}"
            else:
                return self._finished(work, photo.with_pixels(pixels), keep)
        seconds = time.perf_counter() - work.began
        return Finished(None, PhotoResult(work.source, None, "failed", work.error, seconds=seconds))

    def _finished(self, work: PhotoWork, photo: Photo, keep: bool) -> Finished:
        records = [face if isinstance(face, FaceResult) else face.record for face in work.faces]
        known = [record for record in records if record is not None]
        status, reason = _photo_status(known)
        result = PhotoResult(
            work.source,
            None,
            status,
            reason,
            tuple(known),
            seconds=time.perf_counter() - work.began,
            notes=tuple(photo.extras.get("notes", ())),
        )
        restored = [face for face in work.chosen if face.record is not None and face.record.status == "restored"]
        return Finished(photo, result, tuple(restored) if keep else (), self.upscaler is not None)

    def _base(self, work: PhotoWork, photo: Photo) -> tuple[Photo, np.ndarray]:
        """The photo at its final size, and its pixels to paste into."""
        if work.base is None or work.pixels is None:
            work.base = self._enlarge(photo)
            work.pixels = work.base.pixels.copy()
        return work.base, work.pixels

    def _paste(self, work: PhotoWork, photo: Photo, face: FaceWork) -> None:
        base, pixels = self._base(work, photo)
        transform, before = face.face.transform, face.crop
        if self.upscaler is not None:
            transform = enlarged(transform, self.upscaler.scale)
            before = crop_face(base.pixels, transform)
        if face.replace is None:
            strength, mask = self.settings.blend, self._mask(face)
            paste_face(pixels, before, face.samples[0], transform, mask, strength=strength)
        else:
            replace_pixels(pixels, face.samples[0], transform, _enlarged_mask(face.replace, pixels))

    def _enlarge(self, photo: Photo) -> Photo:
        if self.upscaler is None:
            return photo
        alpha = None
        if photo.alpha is not None:  # by the plain kernel: no network knows what transparency looks like
            alpha = LanczosUpscaler(self.upscaler.scale).upscale(np.repeat(photo.alpha[..., None], 3, axis=2))[..., 0]
        return photo.resized(self.upscaler.upscale(photo.pixels), alpha)

    def _mask(self, face: FaceWork) -> np.ndarray:
        if self.settings.aligned:
            return np.ones(face.crop.shape[:2], np.float32)
        return self.mask.mask(face.samples[0])

    def _judge(self, work: FaceWork) -> FaceResult:
        box, score = work.face.box, work.face.score
        if work.error is not None:
            return FaceResult(box, score, "failed", work.error, seconds=work.seconds)
        blended = work.crop + np.float32(self.settings.blend) * (work.samples[0] - work.crop)
        before, after = self.recognizer.embed(np.stack([work.crop, blended]))
        distance = float(identity_distance(before, after))
        evidence: dict[str, Any] = {
            "identity_distance": distance,
            "same_person": distance <= self.recognizer.same_person,
            "recognizer": self.recognizer.name,
            "uncertainty": float(spread(work.samples).mean()) if len(work.samples) > 1 else None,
            "identity_spread": self._identity_spread(work.samples),
            "note": "; ".join(work.notes) or None,
            "seconds": work.seconds,
        }
        limit = self.settings.identity_limit
        if limit is not None and distance > limit:
            reason = f"identity distance {distance:.2f} is above the limit of {limit:.2f}"
            return FaceResult(box, score, "kept", reason, **evidence)
        return FaceResult(box, score, "restored", **evidence)

    def _identity_spread(self, samples: list[np.ndarray]) -> float | None:
        """Mean identity distance between two samples; None for one sample."""
        if len(samples) < 2:
            return None
        vectors = self.recognizer.embed(np.stack(samples))
        distances = np.asarray(identity_distance(vectors[:, None], vectors[None]))
        return float(distances.sum() / (len(samples) * (len(samples) - 1)))


def spread(samples: list[np.ndarray]) -> np.ndarray:
    """Per-pixel standard deviation of samples ((512, 512, 3) in [0, 1]), averaged over channels: (512, 512)."""
    return np.asarray(np.std(np.stack(samples), axis=0).mean(axis=-1))


def _photo_status(records: list[FaceResult]) -> tuple[Literal["restored", "kept"], str | None]:
    if any(r.status == "restored" for r in records):
        return "restored", None
    if not records:
        return "kept", "no face found"
    return "kept", "no face was restored: " + "; ".join(sorted({r.reason or r.status for r in records}))


def _is_about_memory(error: BaseException) -> bool:
    """Whether it says that memory could not be had: torch has a class for it on accelerators only."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


def _free_memory() -> None:
    """Give back what accelerators hold for later."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _one_line(error: BaseException) -> str:
    lines = str(error).split("\n")
    return lines[0].strip()[:200] or type(error).__name__


def _enlarged_mask(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(H, W) bool at the size of ``pixels``, which may be a whole multiple."""
    factor = pixels.shape[0] // mask.shape[0]
    return mask if factor == 1 else np.repeat(np.repeat(mask, factor, axis=0), factor, axis=1)


def _eight_bit(pixels: np.ndarray) -> np.ndarray:
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


Job = tuple[str, Photo | Path]
T = TypeVar("T")


def stream(session: Session, jobs: Iterable[Job], write: Callable[[Finished], T], *, keep: bool = True) -> Iterator[T]:
    """Restore many photos; yields what ``write`` returns for each, in the order of the jobs.

    ``write`` runs on a thread of its own, one call at a time, which pastes each face as soon as it is restored. At most
    ``session.batch + session.readers`` + 4 photos are held. Without ``keep`` the faces' pictures go when they are
    pasted, and ``write`` gets none in ``restored``.
    """
    ahead = session.batch + 1 + session.readers
    source = iter(jobs)
    reading: deque[Future[PhotoWork]] = deque()
    waiting: deque[PhotoWork] = deque()  # prepared, some of their faces not restored yet
    pending: deque[tuple[PhotoWork, FaceWork]] = deque()  # faces of `waiting` that are not restored yet, in order
    settling: deque[Future[None]] = deque()
    writing: deque[Future[T]] = deque()

    with ThreadPoolExecutor(session.readers, "prepare") as reader, ThreadPoolExecutor(1, "finish") as writer:

        def finish(work: PhotoWork) -> T:
            try:
                return write(session.finish(work, keep))
            finally:
                trim()

        def read_ahead() -> None:
            while len(reading) + len(waiting) < ahead:
                job = next(source, None)
                if job is None:
                    return
                reading.append(reader.submit(session.prepare, *job))

        def restore_some() -> None:
            some = [pending.popleft() for _ in range(min(session.batch, len(pending)))]
            if some:
                session.restore([face for _, face in some])
                settling.extend(writer.submit(session.settle, work, face, keep) for work, face in some)
            while len(settling) > session.batch + 2:  # a slow writer holds the method back
                settling.popleft().result()
            unfinished = {id(work) for work, _ in pending}
            while waiting and id(waiting[0]) not in unfinished:
                writing.append(writer.submit(finish, waiting.popleft()))

        read_ahead()
        while reading or waiting:
            while reading and len(pending) < session.batch:
                work = reading.popleft().result()
                waiting.append(work)
                pending.extend((work, face) for face in work.chosen)
            restore_some()
            while writing and (writing[0].done() or len(writing) > 2):
                yield writing.popleft().result()
            read_ahead()
        while writing:
            yield writing.popleft().result()


def restore_photo(session: Session, photo: Photo | Path, source: str = "") -> Finished:
    """Restore one photo. Raises PhotoError when it cannot be read."""
    if isinstance(photo, Path):
        source, photo = source or str(photo), read_photo(photo)
    return next(iter(stream(session, [(source, photo)], lambda finished: finished)))
