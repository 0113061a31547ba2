"""What is loaded once, and what it does to one photo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import numpy as np

from likeness import parts
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
from likeness.methods import OptionError, Restorer, card
from likeness.methods import load as load_method
from likeness.methods.resolve import named
from likeness.photo import Photo, PhotoError, read_photo
from likeness.pipeline.batches import restore_batches
from likeness.pipeline.settings import Settings
from likeness.pipeline.work import FaceWork, Finished, PhotoWork, one_line
from likeness.results import FaceResult, PhotoResult
from likeness.upscale import LanczosUpscaler

READERS = 4  # threads that decode and find faces, at most


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
            work.error = f"{source}: finding faces failed: {one_line(error)}"
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
        """Run the method on the faces' crops, once for each sample: ``batches.restore_batches``."""
        restore_batches(self, faces)

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
            work.error = f"{work.source}: pasting the faces failed: {one_line(error)}"
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
                work.error = f"{work.source}: enlarging the photo failed: {one_line(error)}"
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


def _enlarged_mask(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(H, W) bool at the size of ``pixels``, which may be a whole multiple."""
    factor = pixels.shape[0] // mask.shape[0]
    return mask if factor == 1 else np.repeat(np.repeat(mask, factor, axis=0), factor, axis=1)


def _eight_bit(pixels: np.ndarray) -> np.ndarray:
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
