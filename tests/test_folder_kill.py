"""kill -9 in the middle of a folder of thirty, then run again: a real process each time."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

import scenes

PHOTOS = 30

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


def finished(out: Path) -> dict[str, int]:
    """Outputs whose memory is complete, with the time they were written."""
    memories = [json.loads(path.read_text()) for path in (out / ".likeness").rglob("[!.]*.json")]
    names = [name for memory in memories if memory["record"] for name in memory["outputs"]]
    return {name: (out / name).stat().st_mtime_ns for name in names}


def run(*arguments: object) -> None:
    process = scenes.start(*arguments)
    _, err = process.communicate(timeout=580)
    assert process.returncode == 0, err.decode()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty small aligned faces, JPEG and PNG, no two the same."""
    source = tmp_path_factory.mktemp("kill") / "in"
    source.mkdir()
    face = np.rint(scenes.aligned_face()[::4, ::4] * 255).astype(np.uint8)
    for number in range(PHOTOS):
        rolled = np.roll(face, number, axis=1)
        format_ = ("JPEG", "PNG")[number % 2]
        name = f"{number:02}.{'jpg' if format_ == 'JPEG' else 'png'}"
        (source / name).write_bytes(scenes.encoded(rolled, format_))
    return source


@pytest.fixture(scope="module")
def whole(photos: Path) -> Path:
    """An uninterrupted run."""
    out = photos.parent / "whole"
    run("restore", photos, "-o", out, "--aligned", "--method", "pattern")
    return out


@pytest.mark.parametrize("outputs", [2, pytest.param(PHOTOS // 3, marks=pytest.mark.slow)])
def test_killed_and_run_again_is_as_never_killed(photos: Path, whole: Path, tmp_path: Path, outputs: int) -> None:
    out = tmp_path / "out"
    arguments = ("restore", photos, "-o", out, "--aligned", "--method", "pattern")
    process = scenes.start(*arguments)
    deadline = time.monotonic() + 500
    while len(list(out.glob("[!.]*.*g"))) < outputs:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL

    left = scenes.pictures(out)
    assert outputs <= len(left) < PHOTOS  # really in the middle
    assert not (out / "report.json").exists()
    expected = scenes.pictures(whole)
    assert len(expected) == PHOTOS
    assert left.items() <= expected.items()  # what is there is whole
    done = finished(out)
    assert len(left) - len(done) <= 1

    run(*arguments)
    assert scenes.pictures(out) == expected
    assert {name: (out / name).stat().st_mtime_ns for name in done} == done  # not done twice
    report, never_killed = scenes.read_report(out), scenes.read_report(whole)
    assert scenes.without_times(report) == scenes.without_times(never_killed)
    # photo/atomic.py: one hidden temporary file may stay behind after a kill
    assert len(list(out.rglob(".likeness-*"))) <= 1


@pytest.mark.slow
def test_killed_and_run_again_with_the_built_in_network(photos: Path, tmp_path: Path) -> None:
    arguments = ("restore", photos, "--aligned", "--steps", "1", "-o")
    run(*arguments, tmp_path / "whole")
    process = scenes.start(*arguments, tmp_path / "out")
    while len(list((tmp_path / "out").glob("[!.]*.*g"))) < PHOTOS // 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)
    run(*arguments, tmp_path / "out")
    assert scenes.pictures(tmp_path / "out") == scenes.pictures(tmp_path / "whole")


def test_ctrl_c_is_one_line(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = scenes.start("restore", photos, "-o", out, "--aligned", "--method", "pattern")
    while not list(out.glob("[!.]*.*g")):
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 130
    assert err.decode().splitlines() == ["likeness: stopped; run the same command again to go on"]
    assert not list(out.rglob(".likeness-*"))
