"""Faces through the method, a batch at a time; when the memory does not suffice, smaller ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from likeness.methods import OptionError
from likeness.pipeline.work import FaceWork, one_line

if TYPE_CHECKING:
    from likeness.pipeline.session import Session

# how torch's allocators, oneDNN and C++ say it
_NO_MEMORY = ("out of memory", "not enough memory", "can't allocate", "could not create a primitive", "bad_alloc")


def restore_batches(session: Session, faces: list[FaceWork]) -> None:
    """Run the method on up to a batch of crops, once for each sample.

    A batch always has its full size (the rest is padding), so that a face comes out the same to the last bit
    whichever faces share its batch. When the memory does not suffice for a batch, it is halved from then on.
    """
    began = time.perf_counter()
    waiting = [faces]
    while waiting:
        some = waiting.pop()
        if len(some) > session.batch:
            waiting += [some[session.batch :], some[: session.batch]]
        elif _lacks_memory(session, some) and session.batch > 1:
            _halve(session, some)
            waiting.append(some)
    for face in faces:
        face.seconds = (time.perf_counter() - began) / len(faces)


def _halve(session: Session, faces: list[FaceWork]) -> None:
    """Smaller batches from now on; these faces are as if they had not been tried, but for a note."""
    half = session.batch // 2
    for face in faces:
        face.samples.clear()
        face.error = None
        face.notes.append(f"out of memory with {session.batch} faces at once: {half} at a time")
    session.batch = half
    _free_memory()


def _lacks_memory(session: Session, faces: list[FaceWork]) -> bool:
    """Restore a batch; whether it failed for want of memory."""
    import torch

    from likeness.pipeline.transfer import Transfer

    restorer, options = session.restorer, {**faces[0].given, **session.options}
    if faces[0].fallback and session.fallback is not None:
        restorer, options = session.fallback, {}
    transfer = Transfer(torch.device(getattr(restorer, "device", "cpu")))
    for sample in range(session.settings.samples):
        try:
            crops = np.zeros((session.batch, *faces[0].crop.shape), np.float32)
            crops[: len(faces)] = [face.crop for face in faces]
            batch = transfer.there(torch.from_numpy(crops).permute(0, 3, 1, 2))
            out = transfer.back(restorer.restore(batch, seed=session.settings.seed + sample, **options))
            pictures = out.permute(0, 2, 3, 1).numpy()
        except (RuntimeError, MemoryError, OptionError) as error:  # out of memory, landmarks that do not fit
            for face in faces:
                face.error = f"{restorer.card.name} failed: {one_line(error)}"
            return _is_about_memory(error)
        for face, picture in zip(faces, pictures, strict=False):
            if not np.isfinite(picture).all():
                face.error = getattr(restorer, "not_finite", f"{restorer.card.name} gave values that are not finite")
            else:
                face.samples.append(np.ascontiguousarray(picture.clip(0, 1), np.float32))
    return False


def _is_about_memory(error: BaseException) -> bool:
    """Whether it says that memory could not be had: torch has a class for it on accelerators only."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _NO_MEMORY)


def _free_memory() -> None:
    """Give back what accelerators hold for later."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
