"""Faults, injected for real: a full disk, a read-only folder, files that vanish, no permission, no memory, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import scenes


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory, of its own; skips where this user may not mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip(f"may not mount a file system here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight aligned faces of about 90 kB as PNG, no two the same."""
    source = tmp_path / "in"
    source.mkdir()
    face = np.rint(scenes.aligned_face()[::2, ::2] * 255).astype(np.uint8)
    for number in range(8):
        (source / f"{number}.png").write_bytes(scenes.encoded(np.roll(face, 9 * number, axis=1), "PNG"))
    return source


def restore(source: Path, out: Path, *more: object) -> tuple[int, list[str]]:
    """A real process; its status and its lines on standard error."""
    process = scenes.start("restore", source, "-o", out, "--aligned", "--method", "pattern", *more)
    _, err = process.communicate(timeout=300)
    assert b"Traceback" not in err, err.decode()
    return process.returncode, err.decode().splitlines()


def partial(folder: Path) -> list[str]:
    """Files that are not whole."""
    return [path.name for path in folder.rglob(".likeness-*")]


def test_a_disk_that_fills_up(photos: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=400k") as disk:
        status, lines = restore(photos, disk / "out")
        assert status == 1
        assert any("No space left on device" in line for line in lines)
        assert partial(disk) == []
        for path in (disk / "out").glob("*.png"):
            assert scenes.load_pixels(path).shape == (256, 256, 3)  # what is there is whole
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        status, lines = restore(photos, disk / "out")
        assert (status, len(list((disk / "out").glob("*.png")))) == (0, 8), lines


def test_a_folder_that_cannot_be_written(photos: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=4m,ro") as disk:
        for out in (disk, disk / "new"):
            status, lines = restore(photos, out)
            assert status == 1
            assert len(lines) == 1
            assert "Read-only file system" in lines[0]


def test_a_folder_that_becomes_read_only(photos: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=40m") as disk:
        assert restore(photos, disk / "out")[0] == 0
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        status, lines = restore(photos, disk / "out", "--seed", 1)
        assert status == 1
        assert "Read-only file system" in lines[0]
        assert partial(disk) == []


def wait_for(out: Path, count: int = 1) -> None:
    """Until so many pictures are there."""
    until = time.monotonic() + 120
    while len(list(out.glob("*.png"))) < count and time.monotonic() < until:
        time.sleep(0.005)


@pytest.mark.slow
def test_photos_that_vanish_while_others_are_restored(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number in range(8, 60):
        (photos / f"{number}.png").write_bytes((photos / "0.png").read_bytes())
    process = scenes.start("restore", photos, "-o", out, "--aligned", "--method", "pattern")
    wait_for(out)
    last = sorted(photos.iterdir())[-3:]
    for path in last:
        path.unlink()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 1, err.decode()
    failed = [p for p in scenes.read_report(out)["photos"] if p["status"] == "failed"]
    assert {Path(p["input"]) for p in failed} == set(last)
    assert all("there is no such file" in p["reason"] for p in failed)


def as_nobody(*command: object) -> subprocess.CompletedProcess[str]:
    """A command as a user without rights."""
    environment = {**scenes.environment(), "HOME": "/nonexistent", "LIKENESS_HOME": "/nonexistent", "TMPDIR": "/tmp"}
    return subprocess.run(
        [*map(str, command)],
        user="nobody",
        capture_output=True,
        env=environment,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become somebody else")
def test_files_that_may_not_be_read_or_written(photos: Path, tmp_path: Path) -> None:
    try:
        readable = as_nobody(sys.executable, "-c", "import likeness").returncode == 0
    except PermissionError:
        readable = False
    if not readable:
        pytest.skip("a user without rights cannot read this installation")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(Path("/tmp")) and folder != Path("/tmp"):
            folder.chmod(0o755)
    open_, closed = tmp_path / "open", tmp_path / "closed"
    open_.mkdir()
    open_.chmod(0o777)
    closed.mkdir(0o755)
    (photos / "3.png").chmod(0o000)
    command = (sys.executable, scenes.TESTS / "scenes.py", "restore", photos, "--aligned", "--method", "pattern", "-o")
    done = as_nobody(*command, open_ / "out")
    assert done.returncode == 1, done.stderr
    assert "3.png: permission denied" in done.stderr
    assert len(list((open_ / "out").glob("*.png"))) == 7
    done = as_nobody(*command, closed / "out")
    assert done.returncode in (1, 2), done.stderr
    assert done.stderr.strip().startswith("likeness: permission denied")
    assert len(done.stderr.splitlines()) == 1


def test_ctrl_c_ends_well_and_the_next_run_goes_on(photos: Path, tmp_path: Path) -> None:
    for number in range(8, 40):
        (photos / f"{number}.png").write_bytes((photos / f"{number % 8}.png").read_bytes())
    out, whole = tmp_path / "out", tmp_path / "whole"
    process = scenes.start("restore", photos, "-o", out, "--aligned", "--method", "pattern")
    wait_for(out, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    assert err.decode().splitlines()[-1] == "likeness: stopped; run the same command again to go on"
    assert b"Traceback" not in err
    assert partial(out) == []
    assert 3 <= len(list(out.glob("*.png"))) < 40
    assert restore(photos, out)[0] == 0
    assert restore(photos, whole)[0] == 0
    assert scenes.pictures(out) == scenes.pictures(whole)


def test_two_processes_on_one_folder(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number in range(8, 24):
        (photos / f"{number}.png").write_bytes((photos / "0.png").read_bytes())
    first = scenes.start("restore", photos, "-o", out, "--aligned", "--method", "pattern")
    wait_for(out)
    first.send_signal(signal.SIGSTOP)  # it holds the folder for as long as we look
    status, lines = restore(photos, out)
    first.send_signal(signal.SIGCONT)
    assert status == 2
    assert lines == [f"likeness: {out}: another process is restoring into this folder; wait, or choose another"]
    first.communicate(timeout=300)
    assert first.returncode == 0
    assert len(list(out.glob("*.png"))) == 24
    assert restore(photos, out)[0] == 0  # the lock is free again


MEMORY = """
import json, resource, sys
import numpy as np, torch
from likeness.methods import load
from likeness.pipeline import Session, Settings
from likeness.pipeline.work import FaceWork
from likeness.faces import Face

restorer = load("likeness", device="cpu", precision="fp32", backend="torch")
session = Session(Settings(aligned=True, batch=16, options={"steps": 1}), restorer)
rng = np.random.default_rng(0)
crops = [rng.random((512, 512, 3), np.float32) for _ in range(5)]
works = lambda: [FaceWork(Face.aligned(512, 512), crop) for crop in crops]
alone = []
for work in works():
    session.batch = 1
    session.restore([work])
    alone.append(work.samples[0])
session.batch = 16
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = used + int(float(sys.argv[1]) * 2**30)
_, hard = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
faces = works()
session.restore(faces)
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
print(json.dumps({
    "batch": session.batch,
    "errors": [face.error for face in faces],
    "notes": [face.notes for face in faces],
    "samples": [len(face.samples) for face in faces],
    "difference": [float(np.abs(f.samples[0] - a).max()) if f.samples else None for f, a in zip(faces, alone)],
}))
"""


def out_of_memory(gigabytes: float) -> dict[str, list]:
    command = [sys.executable, "-c", MEMORY, str(gigabytes)]
    # every tensor is asked of the system and given back to it: what was freed before the limit helps nobody after it
    glibc = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_TOP_PAD_": "0"}
    environment = {**scenes.environment(), **glibc}
    done = subprocess.run(command, capture_output=True, env=environment, encoding="utf-8", timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the address space that holds")
def test_too_little_memory_for_a_batch_halves_it_and_says_so() -> None:
    found = out_of_memory(0.35)
    assert found["errors"] == [None] * 5
    assert 1 <= found["batch"] < 16
    assert found["samples"] == [1] * 5
    assert all(notes[0].startswith("out of memory with 16 faces at once: 8 at a time") for notes in found["notes"])
    assert max(found["difference"]) < 1e-4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a limit on the address space that holds")
def test_too_little_memory_for_one_face_fails_that_face() -> None:
    found = out_of_memory(0.03)
    failed = [error for error in found["errors"] if error]
    assert failed, found
    assert all(error.startswith("likeness failed: ") for error in failed)
    assert [count for count, error in zip(found["samples"], found["errors"], strict=True) if error] == [0] * len(failed)
    assert found["batch"] == 1
