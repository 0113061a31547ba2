"""Whole runs: kill and go on, done twice, whose output it is, and what flickers."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import scenes

av = pytest.importorskip("av", reason="needs PyAV: the extra video")

import clips  # noqa: E402

from conftest import FRAMES, Made  # noqa: E402
from likeness.faces import load_detector  # noqa: E402
from likeness.pipeline import Settings  # noqa: E402
from likeness.video import VideoError, VideoSettings  # noqa: E402
from likeness.video.read import probe  # noqa: E402
from likeness.video.run import report_path, restore_video  # noqa: E402
from likeness.video.scan import scan_video  # noqa: E402
from likeness.video.work import Work  # noqa: E402


def test_the_report_tells_each_face(made: Made) -> None:
    report = made.report
    track = report["tracks"][0]
    assert (track["first_frame"], track["last_frame"], track["restored"]) == (0, FRAMES - 1, FRAMES)
    assert report["summary"]["faces"]["failed"] == 0
    assert 0 < track["mean_identity_distance"] < 1.5
    assert track["flicker"]["pairs"] == FRAMES - 1
    assert track["flicker"]["ratio"] > 0
    assert report["problems"] == []
    assert report_path(made.output).exists()
    assert not list(made.output.parent.glob(".likeness*"))


def test_the_preview_is_a_strip_before_and_after(made: Made) -> None:
    strip = np.asarray(Image.open(made.source.parent / "strip.png").convert("RGB")).astype(int)
    assert strip.shape == (2 * 256 + 4, 8 * 260 - 4, 3)
    for left in range(0, 8 * 260, 260):
        top, bottom = strip[:256, left : left + 256], strip[260:, left : left + 256]
        assert np.abs(top - bottom)[100:150, 100:150].mean() > 8  # the face has the pattern
        assert np.abs(top - bottom)[240:, :].mean() < 5


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_killed_and_run_again_is_as_never_killed(made: Made, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole" / "out.mp4", tmp_path / "killed" / "out.mp4"
    process = clips.start(made.source, whole)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    process = clips.start(made.source, out)
    deadline = time.monotonic() + 300
    while not list(out.parent.glob(".likeness-video-*/segment-00001.json")):
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    first = next(out.parent.glob(".likeness-video-*/segment-00000.bin"))
    written = first.stat().st_mtime_ns

    process = clips.start(made.source, out)
    while process.poll() is None and first.exists():
        assert not first.exists() or first.stat().st_mtime_ns == written  # not done twice
        time.sleep(0.01)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    before, after = clips.decoded(whole), clips.decoded(out)
    assert len(after) == FRAMES
    for (pts, a), (pts_again, b) in zip(before, after, strict=True):
        assert pts == pts_again
        np.testing.assert_array_equal(a, b)
    assert out.read_bytes() == whole.read_bytes()
    assert not list(out.parent.glob(".likeness*"))


def test_done_and_intact_is_not_done_twice_and_foreign_files_stay(made: Made, tmp_path: Path) -> None:
    source = clips.write(tmp_path / "in.mp4", lambda k: clips.moved(k, 40), clips.times(2))
    out, method = tmp_path / "out.mp4", scenes.Pattern(0.2)
    first = restore_video(source, out, restorer=method)
    assert method.calls == 2
    assert restore_video(source, out, restorer=method) == first
    assert method.calls == 2
    restore_video(source, out, Settings(seed=1), restorer=method)  # ours: may be replaced
    assert method.calls == 4
    out.write_bytes(b"mine")
    with pytest.raises(VideoError, match="not ours: use --overwrite"):
        restore_video(source, out, restorer=method)
    assert out.read_bytes() == b"mine"
    restore_video(source, out, restorer=method, overwrite=True)
    assert len(clips.decoded(out)) == 2
    with pytest.raises(VideoError, match="own restoration"):
        restore_video(source, source, restorer=method, overwrite=True)
    report_path(out).write_text("mine")
    with pytest.raises(VideoError, match="not ours"):
        restore_video(source, out, restorer=method)


def test_a_scan_that_was_interrupted_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = clips.write(tmp_path / "in.mp4", lambda k: clips.degraded(k, 60), clips.times(12), sound=False)
    clip, detector = probe(source), load_detector("dlib")
    whole = scan_video(clip, detector, VideoSettings())
    monkeypatch.setattr("likeness.video.scan.SAVE", 5)
    work = Work(tmp_path / "out.mp4", "0" * 64)
    work.begin()
    for last in (7, 11):
        seen: list[int] = []

        def step(done: int, total: int, last: int = last, seen: list[int] = seen) -> None:
            seen.append(done)
            if done == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            scan_video(clip, detector, VideoSettings(), work, step)
        assert seen[0] == (1 if last == 7 else 6)
    again = scan_video(clip, detector, VideoSettings(), work)
    assert [track.as_dict() for track in again.tracks] == [track.as_dict() for track in whole.tracks]
    assert (again.cuts, again.frames, len(again.tracks)) == (whole.cuts, 12, 1)
    kept = scan_video(clip, detector, VideoSettings(), work, step)  # whole: nothing is looked at again
    assert [track.as_dict() for track in kept.tracks] == [track.as_dict() for track in whole.tracks]
    (work.folder / "scan.json").write_text("broken")
    assert work.scan() is None


@pytest.mark.parametrize(
    ("method", "says"),
    [("dfdnet", "landmarks"), ("instantrestore", "photographs of the person"), ("difface-inpainting", "a mask")],
)
def test_a_method_that_needs_more_than_a_video_is_refused_first(tmp_path: Path, method: str, says: str) -> None:
    with pytest.raises(VideoError, match=f"^{method} needs {says}.*choose another --method$"):
        restore_video(tmp_path / "absent.mp4", tmp_path / "out.mp4", Settings(method=method))


def test_crops_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="--aligned"):
        restore_video(tmp_path / "absent.mp4", tmp_path / "out.mp4", Settings(aligned=True))


def test_the_same_noise_flickers_less_than_fresh_noise(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "in.mp4", lambda k: clips.moved(k, 80), clips.times(6), sound=False)
    ratios = {}
    for noise in ("track", "frame"):
        how = VideoSettings(noise=noise, smooth=0.0)
        report = restore_video(source, tmp_path / f"{noise}.mp4", video=how, restorer=scenes.Pattern(0.05))
        ratios[noise] = report["summary"]["flicker"]["ratio"]
    assert ratios["frame"] > 1.15 * ratios["track"]


def test_a_scene_cut_ends_all_tracks(tmp_path: Path) -> None:
    other = scenes.on_canvas(256, 288, (scenes.portrait(240), 16, 0))[:, ::-1] // 3  # the same face, dark, elsewhere
    frames = [clips.moved(k, 80) for k in range(3)] + [other] * 3
    source = clips.write(tmp_path / "in.mp4", frames, clips.times(6), sound=False)
    report = restore_video(source, tmp_path / "out.mp4", restorer=scenes.Pattern(0.2))
    assert report["cuts"] == [3]
    spans = [(t["first_frame"], t["last_frame"]) for t in report["tracks"]]
    assert spans[0] == (0, 2)
    assert all(first >= 3 for first, _ in spans[1:])
    assert len(spans) >= 2


def test_faces_that_are_left_out_and_that_fail_are_counted_with_reasons(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "in.mp4", lambda k: clips.moved(k, 80), clips.times(2), sound=False)
    small = restore_video(source, tmp_path / "a.mp4", Settings(min_face=250), restorer=scenes.Pattern(0.2))
    assert small["tracks"][0]["reasons"] == {"smaller than --min-face 250 px": 2}
    kept = restore_video(source, tmp_path / "b.mp4", Settings(identity_limit=0.0), restorer=scenes.Pattern(0.2))
    assert kept["tracks"][0]["kept"] == 2
    broken = restore_video(source, tmp_path / "c.mp4", restorer=scenes.Pattern(float("nan")))
    assert broken["summary"]["faces"] == {"restored": 0, "kept": 0, "skipped": 0, "failed": 2}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_built_in_method_flickers_little_and_a_control_much(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "in.mp4", lambda k: clips.degraded(k, 150), clips.times(150), crf=20)
    report = restore_video(source, tmp_path / "out.mp4")
    print(f"flicker: {report['summary']['flicker']}; faces: {report['summary']['faces']}")
    assert len(report["tracks"]) == 1
    assert report["summary"]["faces"]["restored"] == 150
    how = VideoSettings(noise="frame", steady=False, smooth=0.0, detect_every=1, hold=0.0, fade=0.0)
    control = restore_video(source, tmp_path / "control.mp4", Settings(), how)
    print(f"control: {control['summary']['flicker']}; faces: {control['summary']['faces']}")
    assert report["summary"]["flicker"]["ratio"] <= 1.10
    assert control["summary"]["flicker"]["ratio"] > 1.2 * report["summary"]["flicker"]["ratio"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    peaks: dict[int, int] = {}
    for count in (150, 1500):
        source = clips.write(tmp_path / f"{count}.mp4", lambda k: clips.moved(k, 150), clips.times(count))
        process = clips.start(source, tmp_path / f"out-{count}.mp4", segment=120, detector="middle")
        while process.poll() is None:  # not by wait4: what it says begins with the memory of this very process
            peaks[count] = peak_memory(process.pid) or peaks.get(count, 0)
            time.sleep(0.2)
        assert process.returncode == 0
    print(f"peak memory in kB by the number of frames: {peaks}")
    assert 0 < peaks[1500] < 1.1 * peaks[150], peaks


def peak_memory(pid: int) -> int:
    """Of a running process, in kB; 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
