"""Inpainting and reference photos through the engine, with methods that need them and cost nothing."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import needy
import numpy as np
import pytest

import scenes
from likeness import methods
from likeness.web.ask import Ask, Wanted
from likeness.web.engine import Engine
from likeness.web.jobs import Job


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    for name, kind in (("fill", needy.Fill), ("relate", needy.Relate)):
        monkeypatch.setitem(sys.modules, f"needy_{name}", needy.module(kind))
        monkeypatch.setitem(methods.METHODS, name, f"needy_{name}")
    with Engine(scratch=tmp_path) as made:
        yield made


def ended(job: Job) -> Job:
    assert job.ended.wait(120)
    return job


def test_what_is_painted_is_filled_and_nothing_else(engine: Engine) -> None:
    original = scenes.portrait(512)
    photo = engine.take(io.BytesIO(scenes.encoded(original, "PNG")), "p.png")
    (face,) = [found for found in engine.find(photo) if found.number == 0]
    mask = np.zeros(original.shape, np.uint8)
    rows, columns = scenes.inside(face.box)
    mask[rows.start : rows.start + 20, columns.start : columns.start + 30] = 255
    painted = engine.take(io.BytesIO(scenes.encoded(mask, "PNG")), "mask.png")

    job = ended(engine.submit(Ask((photo,), (Wanted("fill"),), faces={photo.id: (0,)}, mask=painted)))

    assert job.state == "done", (job.problem, job.notes)
    restored = scenes.load_pixels(job.file(job.items[0]["files"]["restored"]))
    holes = mask[..., 0] > 0
    assert np.array_equal(restored[~holes], original[~holes])
    assert (np.abs(restored[holes].astype(int) - (0, 255, 0)).max(axis=1) < 3).mean() > 0.9
    assert "filled in" in " ".join(job.items[0]["words"][0]["detail"])


def test_references_reach_the_method_and_a_job_without_them_says_so(engine: Engine) -> None:
    photo = engine.take(io.BytesIO(scenes.encoded(scenes.portrait(512))), "p.jpg")
    other = engine.take(io.BytesIO(scenes.encoded(scenes.portrait(480))), "anna.jpg")
    ask = Ask((photo,), (Wanted("relate"),), faces={photo.id: (0,)}, references=(other,))
    job = ended(engine.submit(ask))
    assert job.state == "done", (job.problem, job.notes)
    assert job.items[0]["faces"][0]["status"] == "restored", job.items[0]
    assert "1 reference" in " ".join(job.items[0]["words"][0]["detail"])

    without = ended(engine.submit(Ask((photo,), (Wanted("relate"),))))
    assert without.state == "failed"
    assert "photographs of the same person" in str(without.problem)


def test_a_mask_of_another_size_is_said(engine: Engine) -> None:
    photo = engine.take(io.BytesIO(scenes.encoded(scenes.portrait(512))), "p.jpg")
    small = engine.take(io.BytesIO(scenes.encoded(scenes.portrait(256))), "mask.jpg")
    job = ended(engine.submit(Ask((photo,), (Wanted("fill"),), mask=small)))
    assert job.items[0]["status"] == "failed"
    assert "256x256" in job.items[0]["reason"]
    assert str(engine.folder) not in job.items[0]["reason"]
