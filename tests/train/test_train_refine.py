"""likeness dataset refine: a training set restored, with nobody lost silently."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenes
from likeness.faces import DlibRecognizer, identity_distance
from likeness.measure.functional import gradient_energy, psnr
from likeness.train.pictures import Pictures

Command = Callable[..., scenes.Ended]
FACES = 8
METHOD = ("--method", "pattern:amount=0.12", "--identity-limit", "9")


def members() -> dict[str, bytes]:
    """Aligned faces, no two the same, with a broken picture and one of another size among them, by file name."""
    face = np.rint(scenes.aligned_face() * 255).astype(np.uint8)
    found: dict[str, bytes] = {}
    for number in range(FACES):
        shaded = np.rint(face * (0.5 + 0.07 * number)).clip(0, 255).astype(np.uint8)
        format_ = ("JPEG", "PNG")[number % 2]
        found[f"face-{number:02}.{'jpg' if number % 2 == 0 else 'png'}"] = scenes.encoded(shaded, format_)
        if number == 2:
            found["broken.png"] = found["face-01.png"][:5000]
        if number == 5:
            found["small.png"] = scenes.encoded(shaded[::2, ::2], "PNG")
    return found


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures as a folder, ``in``, and as a shard, ``in.tar``."""
    home = tmp_path_factory.mktemp("refine")
    (home / "in").mkdir()
    with tarfile.open(home / "in.tar", "w") as tar:
        for name, data in members().items():
            (home / "in" / name).write_bytes(data)
            member = tarfile.TarInfo(f"faces/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return home


def manifest(out: Path) -> dict[str, dict[str, Any]]:
    lines = (out / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    return {record["name"]: record for record in map(json.loads, lines)}


def tree(folder: Path) -> dict[str, bytes]:
    """Every file with its bytes, hidden ones too."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def as_float(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / np.float32(255)


@pytest.fixture(scope="module")
def whole(sources: Path) -> Path:
    """The shard refined by an uninterrupted process."""
    ended = run(sources / "in.tar", "-o", sources / "whole", *METHOD, "--json")
    (sources / "whole.txt").write_text(ended.out, encoding="utf-8")
    failures = [line for line in ended.lines if line.startswith("failed: ")]
    assert ended.status == 1
    assert [line.split(": ")[1] for line in ended.lines] == ["broken.png", "small.png"]
    assert failures == ended.lines
    return sources / "whole"


def run(*arguments: object) -> scenes.Ended:
    """``dataset refine`` as a real process."""
    process = scenes.start("dataset", "refine", *arguments)
    out, err = process.communicate(timeout=300)
    return scenes.Ended(process.returncode, out.decode(), err.decode())


def test_a_shard_is_refined_and_every_figure_is_that_of_the_files(sources: Path, whole: Path) -> None:
    out = whole
    summary = json.loads((sources / "whole.txt").read_text(encoding="utf-8"))
    assert summary == json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["counts"] == {"pictures": FACES + 2, "refined": FACES, "kept": 0, "failed": 2}
    assert [one["name"] for one in summary["failed"]] == ["broken.png", "small.png"]
    assert summary["method"] == "pattern"
    assert summary["options"]["amount"] == 0.12
    assert summary["weights_sha256"] == "0" * 64

    records = manifest(out)
    data = members()
    assert list(records) == list(data)  # in the order of the source
    read = Pictures([str(out / "refined")])  # as training reads it
    assert [entry.name for entry in read.entries] == [f"face-{n:02}.png" for n in range(FACES)]
    recognizer = DlibRecognizer()
    for entry, pixels in zip(read.entries, (read[i] for i in range(len(read))), strict=True):
        name = next(name for name in data if Path(name).stem == Path(entry.name).stem)
        record = records[name]
        original = as_float(scenes.load_pixels(sources / "in" / name))
        refined = as_float(pixels)
        vectors = recognizer.embed(np.stack([original, refined]))
        assert record["source"] == str(sources / "in.tar")
        assert record["source_sha256"] == hashlib.sha256(data[name]).hexdigest()
        assert record["output"] == f"refined/{entry.name}"
        assert record["output_sha256"] == hashlib.sha256((out / record["output"]).read_bytes()).hexdigest()
        assert record["status"] == "refined"
        assert record["identity_distance"] == pytest.approx(identity_distance(*vectors), rel=1e-4)
        assert record["psnr"] == pytest.approx(psnr(refined, original), rel=1e-4)
        assert record["sharpness_before"] == pytest.approx(gradient_energy(original), rel=1e-4)
        assert record["sharpness_after"] == pytest.approx(gradient_energy(refined), rel=1e-4)
        assert record["niqe_before"] > 0
        assert record["niqe_after"] != record["niqe_before"]
    mean = np.mean([records[name]["psnr"] for name in records if records[name]["status"] == "refined"])
    assert summary["means_of_refined"]["psnr"] == pytest.approx(mean, rel=1e-4)
    for name in ("broken.png", "small.png"):
        assert records[name]["status"] == "failed"
        assert records[name]["output"] is None
        assert name in records[name]["reason"]


def test_who_moves_beyond_the_limit_stays_as_he_was_and_is_named(
    sources: Path, whole: Path, tmp_path: Path, command: Command, pattern: str
) -> None:
    distances = {
        name: record["identity_distance"] for name, record in manifest(whole).items() if record["status"] == "refined"
    }
    assert len(distances) == FACES
    limit = float(f"{np.median(list(distances.values())):.4f}")
    beyond = {name for name, distance in distances.items() if distance > limit}
    assert 0 < len(beyond) < FACES

    out = tmp_path / "some"
    ended = command("dataset", "refine", sources / "in", "-o", out, *METHOD[:3], limit)
    records = manifest(out)
    assert {name for name, record in records.items() if record["status"] == "kept"} == beyond
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert {one["name"] for one in summary["kept"]} == beyond
    assert summary["identity_limit"] == limit
    for name in distances:
        written = scenes.load_pixels(out / records[name]["output"])
        original = scenes.load_pixels(sources / "in" / name)
        assert records[name]["identity_distance"] == distances[name]
        assert np.array_equal(written, original) == (name in beyond)
        if name not in beyond:  # a folder gives what the shard gave
            assert (out / records[name]["output"]).read_bytes() == (whole / records[name]["output"]).read_bytes()
        else:
            assert f"above the limit of {limit:g}" in records[name]["reason"]
            assert f"  kept: {name}: " in ended.out
    inside = [distances[name] for name in distances if name not in beyond]
    assert summary["means_of_refined"]["identity_distance"] == pytest.approx(np.mean(inside), rel=1e-4)


def test_kept_is_no_failure_and_the_same_seed_gives_the_same_pixels(
    sources: Path, tmp_path: Path, command: Command, pattern: str
) -> None:
    faces = tmp_path / "in"
    faces.mkdir()
    for number in (1, 3):
        shutil.copy(sources / "in" / f"face-{number:02}.png", faces)
    arguments = ("dataset", "refine", faces, "--method", "pattern:amount=0.3", "-o")
    assert command(*arguments, tmp_path / "kept", "--identity-limit", "0").status == 0
    assert {record["status"] for record in manifest(tmp_path / "kept").values()} == {"kept"}
    for out, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert command(*arguments, tmp_path / out, "--identity-limit", "9", "--seed", seed).status == 0
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert tree(tmp_path / "a" / "refined") != tree(tmp_path / "c" / "refined")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "a" / "refined").iterdir()}
    assert (
        command(*arguments, tmp_path / "a", "--identity-limit", "9", "--seed", "6").status == 0
    )  # another way: all again
    assert tree(tmp_path / "a") == tree(tmp_path / "c")
    assert not times.items() & {p.name: p.stat().st_mtime_ns for p in (tmp_path / "a" / "refined").iterdir()}.items()
    assert command(*arguments, tmp_path / "one", "--limit-count", "1").status == 0
    assert list(manifest(tmp_path / "one")) == ["face-01.png"]


def test_what_is_done_and_intact_is_not_done_again(
    sources: Path, whole: Path, tmp_path: Path, command: Command, pattern: str
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    shutil.copytree(sources / "in", source)
    shutil.copytree(whole, out)
    times = {path.name: path.stat().st_mtime_ns for path in (out / "refined").iterdir()}
    (out / "refined" / "face-00.png").write_bytes(b"damaged")
    (out / "refined" / "face-01.png").unlink()
    (out / ".likeness" / "face-02.json").write_text("{")
    (source / "face-04.jpg").write_bytes((source / "face-03.png").read_bytes())  # another picture under its name
    (source / "face-06.jpg").write_bytes(b"no picture")
    assert command("dataset", "refine", source, "-o", out, *METHOD).status == 1
    before, after = tree(whole / "refined"), tree(out / "refined")
    assert before["face-03.png"] == after.pop("face-04.png") != before.pop("face-04.png")
    before.pop("face-06.png")
    assert before == after
    records = manifest(out)
    assert records["face-06.jpg"]["status"] == "failed"
    assert records["face-04.jpg"]["psnr"] == records["face-03.png"]["psnr"]
    assert records["face-07.png"] == {**manifest(whole)["face-07.png"], "source": str(source)}
    again = {path.name for path in (out / "refined").iterdir() if path.stat().st_mtime_ns != times[path.name]}
    assert again == {"face-00.png", "face-01.png", "face-02.png", "face-04.png"}


def test_names_that_occur_twice_do_not_replace_each_other(
    sources: Path, tmp_path: Path, command: Command, pattern: str
) -> None:
    for folder, number in (("a", 1), ("b", 3)):
        (tmp_path / folder).mkdir()
        shutil.copy(sources / "in" / f"face-{number:02}.png", tmp_path / folder / "face.png")
    arguments = (tmp_path / "a", tmp_path / "b", tmp_path / "a")  # one of them given twice
    ended = command("dataset", "refine", *arguments, "-o", tmp_path / "out", "--method", "pattern")
    assert ended.status == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert len({line["output"] for line in lines}) == len(list((tmp_path / "out" / "refined").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere", "-o", "out"), "no pictures in 'nowhere'"),
        (("empty", "-o", "out"), "no pictures in 'empty'"),
        (("bad.tar", "-o", "out"), "bad.tar is no tar shard"),
        (("in", "-o", "in/out", "--limit-count", "1"), ""),  # before there is anything in it
        (("in", "-o", "file"), "file is a file, not a folder"),
        (("in", "-o", "full"), "other.png"),
        (("full", "-o", "full"), "full lies in full"),
        (("in", "-o", "out", "--method", "nonsense"), "unknown method 'nonsense'"),
        (("in", "-o", "out", "--method", "pattern:amount=7"), "amount"),
        (("in", "-o", "out", "--seed", "-1"), "seed must be in"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: tuple[str, ...],
    says: str,
    sources: Path,
    tmp_path: Path,
    command: Command,
    pattern: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("in", "empty", "full/refined"):
        Path(folder).mkdir(parents=True)
    for name in ("in/face.png", "full/refined/other.png"):
        shutil.copy(sources / "in" / "face-01.png", name)
    for name in ("bad.tar", "file"):
        Path(name).write_bytes(b"neither a tar nor a picture" * 100)
    kept = tree(tmp_path)
    ended = command("dataset", "refine", *(() if "--method" in arguments else ("--method", "pattern")), *arguments)
    if not says:
        assert ended.status == 0
        ended, says = command("dataset", "refine", "--method", "pattern", *arguments), "in/out lies in in"
    assert (ended.status, ended.out) == (2, "")
    assert len(ended.lines) == 1
    assert says in ended.lines[0]
    assert kept.items() <= tree(tmp_path).items()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("outputs", [pytest.param(1, marks=pytest.mark.slow), FACES // 2])
def test_killed_and_run_again_is_as_never_killed(sources: Path, whole: Path, tmp_path: Path, outputs: int) -> None:
    out = tmp_path / "out"
    process = scenes.start("dataset", "refine", sources / "in.tar", "-o", out, *METHOD)
    deadline = time.monotonic() + 300
    while len(list(out.glob("refined/*"))) < outputs:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL

    left = tree(out / "refined")
    assert outputs <= len(left) < FACES  # really in the middle
    assert left.items() <= tree(whole / "refined").items()  # what is there is whole
    assert not (out / "manifest.jsonl").exists()
    times = {path.name: path.stat().st_mtime_ns for path in (out / "refined").iterdir()}

    assert run(sources / "in.tar", "-o", out, *METHOD).status == 1
    assert tree(out) == tree(whole)  # all files, hidden ones too
    assert {name: (out / "refined" / name).stat().st_mtime_ns for name in times} == times  # not done twice
