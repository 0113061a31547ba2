"""``likeness restore --ray`` with two real workers: the plain run's pictures, and a record for every input."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray_processes import of_ray, workers

import scenes
from likeness.folder import restore_files
from likeness.memory import alone
from likeness.photo import PhotoError
from likeness.pipeline import Settings
from likeness.scale.cluster import Pool, ScaleError, connected
from likeness.scale.restore import restore_on_cluster

pytestmark = pytest.mark.usefixtures("cluster")

QUICK = Settings(method="quick", aligned=True)
TWO = Pool(workers=2)


def furnish(folder: Path, count: int, step: int = 8) -> Path:
    """So many aligned faces, JPEG and PNG, in two folders, no two the same."""
    face = np.rint(scenes.aligned_face()[::step, ::step] * 255).astype(np.uint8)
    for number in range(count):
        format_ = ("JPEG", "PNG")[number % 2]
        path = folder / f"{number % 2}" / f"{number:03}.{'jpg' if format_ == 'JPEG' else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.roll(face, number, axis=1)
        pixels[0, 0] = number % 256, number // 256, 0
        path.write_bytes(scenes.encoded(pixels, format_))
    return folder


def accounted(report: dict[str, Any], source: Path) -> list[str]:
    """Every input has exactly one record; their states, in order."""
    names = [photo["input"] for photo in report["photos"]]
    files = sorted(str(path) for path in source.rglob("*") if path.is_file())
    assert sorted(names) == files
    assert len(set(names)) == len(names)
    return [photo["status"] for photo in report["photos"]]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty faces, a broken photo, and a text that is called a photo."""
    source = furnish(tmp_path_factory.mktemp("photos") / "in", 30)
    (source / "broken.jpg").write_bytes(scenes.encoded(scenes.landscape())[:300])
    (source / "text.png").write_text("not a photo")
    return source


@pytest.fixture(scope="module")
def plain(photos: Path, cluster: None) -> Path:
    """The plain run."""
    out = photos.parent / "plain"
    restore_files([photos], out, QUICK)
    return out


@pytest.fixture(scope="module")
def done(photos: Path, cluster: None) -> Path:
    """The run with two workers."""
    out = photos.parent / "ray"
    seen: list[tuple[int, int]] = []
    restore_on_cluster([photos], out, QUICK, pool=TWO, progress=lambda done, total, record: seen.append((done, total)))
    assert seen == [(number, 32) for number in range(1, 33)]
    return out


def test_the_pictures_and_records_are_those_of_the_plain_run(photos: Path, plain: Path, done: Path) -> None:
    assert scenes.pictures(done) == scenes.pictures(plain)
    assert len(scenes.pictures(done)) == 30
    report, other = scenes.read_report(done), scenes.read_report(plain)
    cluster = report.pop("cluster")
    assert scenes.without_times(report) == scenes.without_times(other)
    states = accounted(report, photos)
    assert (states.count("restored"), states.count("failed")) == (30, 2)
    assert cluster["workers"] == 2
    assert cluster["lost"] == 0
    assert cluster["seconds"] > 0
    assert cluster["photos_per_second"] > 0
    assert not list(done.rglob(".likeness-*"))


def test_again_by_the_command_all_that_is_intact_is_skipped(
    photos: Path, done: Path, command: Callable[..., scenes.Ended], tmp_path: Path
) -> None:
    """By the command line, whose standard output is one JSON document; one picture was lost in the meantime."""
    whole, before = scenes.pictures(done), {p: p.stat().st_mtime_ns for p in done.rglob("*.*g")}
    gone = done / "1" / "007.png"
    gone.unlink()
    ended = command(
        *("restore", photos, "-o", done, "--method", "quick", "--aligned", "--json"),
        *("--ray", "local", "--workers", 2),
    )
    assert ended.status == 1, ended.err  # the two that cannot be read
    report = json.loads(ended.out)
    assert report == scenes.read_report(done)
    assert accounted(report, photos).count("restored") == 30
    assert scenes.pictures(done) == whole
    assert {p for p, when in before.items() if p.stat().st_mtime_ns != when} == {gone}
    assert len([line for line in ended.lines if line.startswith("failed: ")]) == 2
    assert "Traceback" not in ended.err


def test_from_addresses_to_an_address(photos: Path, plain: Path, tmp_path: Path) -> None:
    """A folder and a pattern; one output is somebody else's."""
    source, out = photos.as_uri(), f"{tmp_path.as_uri()}/out"
    foreign = tmp_path / "out" / "004.jpg"
    foreign.parent.mkdir()
    foreign.write_bytes(b"the user's own")
    report = restore_on_cluster([f"{source}/0", f"{source}/*.*"], out, QUICK, pool=TWO).as_dict()
    made = {Path(name).name: data for name, data in scenes.pictures(plain).items() if name.startswith("0/")}
    made["004.jpg"] = b"the user's own"
    assert len(made) == 15
    assert scenes.pictures(tmp_path / "out") == made
    assert {photo["output"] for photo in report["photos"] if photo["output"]} == set(made) - {"004.jpg"}
    failed = {photo["input"].rpartition("/")[2]: photo["reason"] for photo in report["photos"] if photo["reason"]}
    assert set(failed) == {"004.jpg", "broken.jpg", "text.png"}
    assert failed.pop("004.jpg").startswith(f"{out}/004.jpg is there already")
    assert all(reason.startswith(source) for reason in failed.values()), failed  # not the copy, which is gone
    assert scenes.read_report(tmp_path / "out") == report
    assert not list((tmp_path / "out").rglob(".likeness-*"))


def test_what_is_wrong_is_one_line_and_nothing_is_written(photos: Path, tmp_path: Path) -> None:
    settings = Settings(method="quick", aligned=True, options={"amount": 9.0})
    with pytest.raises(ScaleError, match="amount") as error:
        restore_on_cluster([photos], tmp_path / "out", settings, pool=Pool(workers=1))
    assert "\n" not in str(error.value)
    assert not scenes.pictures(tmp_path / "out")
    assert not (tmp_path / "out" / "report.json").exists()


def test_one_job_to_a_folder(photos: Path, tmp_path: Path) -> None:
    with alone(tmp_path / "out"), pytest.raises(PhotoError, match="another process"):
        restore_on_cluster([photos], tmp_path / "out", QUICK, pool=TWO)


def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ScaleError, match="ask for fewer"), connected("local", Pool(workers=1000)):
        pass


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_of_three_hundred(tmp_path: Path) -> None:
    source = furnish(tmp_path / "in", 300, 16)
    restore_files([source], tmp_path / "plain", QUICK)
    killed: list[int] = []

    def progress(done: int, total: int, record: dict[str, Any]) -> None:
        if done >= 60 and not killed:
            killed.append(workers()[0])
            os.kill(killed[0], signal.SIGKILL)

    out = tmp_path / "out"
    report = restore_on_cluster([source], out, QUICK, pool=TWO, progress=progress).as_dict()
    assert killed
    assert killed[0] not in of_ray()
    assert set(accounted(report, source)) == {"restored"}
    assert len(report["photos"]) == 300
    assert report["cluster"]["lost"] == 0
    assert report["cluster"]["restarted_workers"] == 1
    assert scenes.pictures(out) == scenes.pictures(tmp_path / "plain")
    whole = scenes.read_report(tmp_path / "plain")["photos"]
    assert scenes.without_times(report["photos"]) == scenes.without_times(whole)


@pytest.mark.slow
def test_a_photo_that_kills_every_worker_is_lost_alone(tmp_path: Path) -> None:
    source, out = furnish(tmp_path / "in", 12), tmp_path / "out"
    (source / "0" / "black.png").write_bytes(scenes.encoded(np.zeros((32, 32, 3), np.uint8), "PNG"))
    settings = Settings(method="mortal", aligned=True)
    report = restore_on_cluster([source], out, settings, pool=TWO).as_dict()
    states = accounted(report, source)
    assert (states.count("restored"), states.count("failed")) == (12, 1)
    lost = next(photo for photo in report["photos"] if photo["status"] == "failed")
    assert lost["input"].endswith("black.png")
    assert lost["reason"].startswith("lost")
    assert report["cluster"]["lost"] == 1


@pytest.mark.slow
def test_the_driver_stopped_and_run_again(tmp_path: Path) -> None:
    """Ctrl-C, in a process with a cluster of its own: one line, and the next run goes on from there."""
    source, out = furnish(tmp_path / "in", 30), tmp_path / "out"
    arguments = ("restore", source, "--aligned", "--method", "pattern", "-o")
    ray = ("--ray", "local", "--workers", 1)
    process = scenes.start(*arguments, out, *ray)
    deadline = time.monotonic() + 300
    while len(list(out.glob("*/[!.]*.*g"))) < 5:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err.decode()
    assert err.decode().splitlines() == ["likeness: stopped; run the same command again to go on"]
    assert not (out / "report.json").exists()
    assert len(scenes.pictures(out)) < 30  # really in the middle

    for again in (scenes.start(*arguments, out, *ray), scenes.start(*arguments, tmp_path / "plain")):
        _, err = again.communicate(timeout=300)
        assert again.returncode == 0, err.decode()
    assert set(accounted(scenes.read_report(out), source)) == {"restored"}
    assert scenes.pictures(out) == scenes.pictures(tmp_path / "plain")
