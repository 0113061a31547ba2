"""What is kept of a video: times, sound, colours, rotation; and what broken files say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import scenes

av = pytest.importorskip("av", reason="needs PyAV: the extra video")

import clips  # noqa: E402

from conftest import FRAMES, Made  # noqa: E402
from likeness.video import BrokenVideoError, VideoError, VideoSettings  # noqa: E402
from likeness.video.colour import to_rgb  # noqa: E402
from likeness.video.read import Health, probe, read_frames, upright  # noqa: E402
from likeness.video.run import restore_video  # noqa: E402


def run(source: Path, output: Path, **options: object) -> dict:
    return restore_video(source, output, video=VideoSettings(**options), restorer=scenes.Pattern(0.2))


def test_every_frame_keeps_its_time(made: Made) -> None:
    before, after = clips.decoded(made.source), clips.decoded(made.output)
    assert [pts for pts, _ in after] == [pts for pts, _ in before]
    assert len(after) == FRAMES
    told, told_before = clips.told(made.output), clips.told(made.source)
    assert told["time_base"] == told_before["time_base"]
    assert told["seconds"] == pytest.approx(told_before["seconds"], abs=2503 / 30000)  # a frame
    for name in ("size", "tags", "layout", "codec", "aspect"):
        assert told[name] == told_before[name], name


def test_the_sound_is_the_same_to_the_last_bit(made: Made) -> None:
    sound = clips.sound_packets(made.source)
    assert len(sound) > 6
    assert clips.sound_packets(made.output) == sound


def test_faces_change_and_the_rest_does_not(made: Made) -> None:
    (_, before), (_, after) = clips.decoded(made.source)[8], clips.decoded(made.output)[8]
    change = np.abs(before[:256].astype(int) - after[:256])  # Y
    assert change[30:110, 100:190].mean() > 10
    assert change[170:, :60].mean() < 3  # what the encoder does


def test_a_mkv_keeps_milliseconds(tmp_path: Path) -> None:
    pts = clips.times(9, variable=True)
    source = clips.write(tmp_path / "in.mp4", [scenes.landscape(96, 128)] * 9, pts)
    run(source, tmp_path / "out.mkv")
    seconds = [at / 1000 for at, _ in clips.decoded(tmp_path / "out.mkv")]
    wanted = [at / 30000 for at in pts]
    assert np.abs(np.subtract(seconds, wanted) - (seconds[0] - wanted[0])).max() <= 0.00101


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_rotated_video_is_written_upright(tmp_path: Path, degrees: int) -> None:
    count = 2
    turned = [np.rot90(clips.moved(k, 40), -degrees // 90) for k in range(count)]
    source = clips.write(tmp_path / "in.mp4", turned, clips.times(count), rotation=degrees)
    report = run(source, tmp_path / "out.mp4")
    assert (report["video"]["width"], report["video"]["height"]) == (288, 256)
    assert report["summary"]["faces"]["restored"] == count  # upright faces were found
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        assert frame.rotation == 0
        picture = frame.to_ndarray(format="rgb24")
    assert np.abs(picture.astype(int) - clips.moved(0, 40))[170:, :60].mean() < 6


@pytest.mark.parametrize(
    "case",
    [
        {"layout": "yuv444p"},
        {"layout": "yuv422p10le"},  # ten bits, and chroma halved in one direction
        {"tags": (2, 1, 1, 13)},  # full range, sRGB
        {"tags": (1, 9, 9, 16)},  # BT.2020, PQ
    ],
)
def test_colour_tags_and_samples_are_kept(tmp_path: Path, case: dict) -> None:
    source = clips.write(tmp_path / "in.mp4", [scenes.landscape(96, 128)] * 3, clips.times(3), **case)
    run(source, tmp_path / "out.mp4", crf=4)
    before, after = clips.told(source), clips.told(tmp_path / "out.mp4")
    assert after["tags"] == before["tags"]
    assert after["layout"] == before["layout"]


def test_samples_that_no_face_touches_are_the_decoders(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "in.mp4", lambda k: clips.moved(k, 40), clips.times(2))
    run(source, tmp_path / "out.mkv", codec="ffv1")  # lossless
    for (_, before), (_, after) in zip(clips.decoded(source), clips.decoded(tmp_path / "out.mkv"), strict=True):
        changed = before != after
        assert changed.any()
        assert not changed[170:256, :60].any()
        assert not changed[200:256].any()


def test_a_video_without_faces_is_copied_exactly(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "in.mp4", [scenes.landscape(96, 128)] * 3, clips.times(3), sound=False)
    report = run(source, tmp_path / "out.mkv", codec="ffv1")
    assert report["tracks"] == []
    for (_, a), (_, b) in zip(clips.decoded(source), clips.decoded(tmp_path / "out.mkv"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_rgb_is_the_decoders_rgb(plain: Path) -> None:
    clip = probe(plain)
    frame = next(iter(read_frames(clip, Health())))
    with av.open(str(plain)) as container:
        theirs = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(to_rgb(frame.planes, clip.colour).astype(int) - theirs).mean() < 2.5  # they round down


def test_turns_are_the_display_matrix() -> None:
    picture = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(upright(picture, (True, False, True)), np.rot90(picture))
    np.testing.assert_array_equal(upright(picture, (False, True, True)), np.rot90(picture, 2))
    np.testing.assert_array_equal(upright(picture, (False, True, False)), picture[:, ::-1])


def one_line(error: pytest.ExceptionInfo[ValueError], name: str) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert name in text
    return text


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.mp4", b"", "empty"),
        ("noise.mp4", bytes(range(256)) * 40, "cannot be read"),
        ("text.mkv", b"not a video\n" * 10, "cannot be read"),
    ],
)
def test_a_file_that_is_no_video(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BrokenVideoError) as error:
        run(tmp_path / name, tmp_path / "out.mp4")
    assert says in one_line(error, name)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_an_mp4_that_lost_its_end(plain: Path, tmp_path: Path) -> None:
    data = plain.read_bytes()  # its index is at the end
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(BrokenVideoError) as error:
        run(tmp_path / "cut.mp4", tmp_path / "out.mp4")
    one_line(error, "cut.mp4")


def test_what_is_left_of_a_cut_file_is_restored_and_reported(tmp_path: Path) -> None:
    frames = [scenes.landscape(96, 128) + np.uint8(k) for k in range(60)]
    whole = clips.write(tmp_path / "whole.mp4", frames, clips.times(60), container={"movflags": "+faststart"})
    data = whole.read_bytes()  # its index is at the start
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    report = run(tmp_path / "cut.mp4", tmp_path / "out.mp4")
    assert any("cut short" in problem or "damaged" in problem for problem in report["problems"])
    assert 0 < len(clips.decoded(tmp_path / "out.mp4")) == report["video"]["frames"] < 60


def test_sound_without_pictures(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.m4a"), "w", format="mp4") as out:
        clips._tone(out, out.add_stream("aac", rate=16000, layout="mono"), 0.5)
    with pytest.raises(BrokenVideoError) as error:
        run(tmp_path / "sound.m4a", tmp_path / "out.mp4")
    assert "only sound" in one_line(error, "sound.m4a")


def test_a_video_without_frames(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "in.mkv", [scenes.landscape(96, 128)], [0], sound=False, container={})
    whole = source.read_bytes()
    at = whole.index(bytes.fromhex("1f43b675"))  # the first cluster of a Matroska file
    source.write_bytes(whole[:at])
    with pytest.raises(BrokenVideoError) as error:
        run(source, tmp_path / "out.mp4")
    one_line(error, "in.mkv")


def test_an_output_that_cannot_hold_it_says_so_first(plain: Path, tmp_path: Path) -> None:
    for name, options in (("out.avi", {}), ("out", {}), ("out.mp4", {"codec": "ffv1"})):
        with pytest.raises(VideoError) as error:
            run(plain, tmp_path / name, **options)
        one_line(error, name)
    with pytest.raises(VideoError, match="no such file"):
        run(tmp_path / "absent.mp4", tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


def test_sound_whose_time_runs_back_is_left_out_and_reported(tmp_path: Path) -> None:
    once = clips.write(tmp_path / "once.ts", [scenes.landscape(96, 128)] * 9, clips.times(9), container={})
    source = tmp_path / "twice.ts"
    source.write_bytes(once.read_bytes() * 2)
    report = run(source, tmp_path / "out.mkv")
    said = [problem for problem in report["problems"] if "sound" in problem]
    assert said, report["problems"]
    assert said[0].endswith("packets of its sound or subtitles are damaged and were left out")
    assert len(clips.decoded(tmp_path / "out.mkv")) == 18
    assert 0 < len(clips.sound_packets(tmp_path / "out.mkv")) < len(clips.sound_packets(source))


def test_sound_of_a_codec_that_nobody_knows_is_left_out_with_a_note(plain: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    data = bytearray(plain.read_bytes().replace(b"mp4a", b"zzzz"))
    kind = data.index(b"\x04\x80\x80\x80", data.index(b"esds")) + 5  # the number of its codec, in the descriptor
    assert data[kind] == 0x40  # AAC
    data[kind] = 0xFE
    source.write_bytes(data)
    report = run(source, output)
    assert "a stream of audio was left out" in report["notes"]
    assert clips.sound_packets(plain)
    with av.open(str(output)) as made:
        assert not made.streams.audio
    assert len(clips.decoded(output)) == 9


def test_mpeg4_says_when_it_cannot_hold_the_times(tmp_path: Path) -> None:
    source = clips.write(tmp_path / "in.ts", [scenes.landscape(96, 128)] * 3, clips.times(3), container={})
    with pytest.raises(VideoError, match=r"mpeg4 cannot hold its times \(1/90000 s\); use --codec libx264"):
        run(source, tmp_path / "out.mkv", codec="mpeg4")
