"""``likeness measure``: pairs, values, intervals, what is missing, and what is kept."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import scenes
from likeness.measure import extractors
from likeness.measure.cache import Cache, key

Command = Callable[..., scenes.Ended]


@pytest.fixture
def blurred(faces: Path, tmp_path: Path) -> Path:
    """The faces, blurred more and more."""
    folder = tmp_path / "blurred"
    folder.mkdir()
    for sigma, path in enumerate(sorted(faces.iterdir()), 1):
        cv2.imwrite(str(folder / path.name), cv2.GaussianBlur(cv2.imread(str(path)), (0, 0), 2 * sigma))
    return folder


def measured(command: Command, *arguments: object, status: int = 0) -> dict[str, Any]:
    """The document of one run."""
    ended = command("measure", *arguments, "--json")
    assert ended.status == status, ended.err
    return dict(json.loads(ended.out))


def test_the_numbers_are_those_of_scikit_image(command: Command, faces: Path, blurred: Path) -> None:
    found = measured(command, blurred, "--truth", faces, "--aligned", "--metrics", "psnr,ssim")
    for row in found["values"]:
        a, b = (cv2.imread(str(folder / f"{row['name']}.png")) for folder in (blurred, faces))
        assert row["psnr"] == pytest.approx(peak_signal_noise_ratio(b, a, data_range=255), abs=1e-5)
        wanted = structural_similarity(
            b, a, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
        )
        assert row["ssim"] == pytest.approx(wanted, abs=1e-3)  # skimage's window reaches over the border
    assert found["metrics"]["psnr"]["value"] == pytest.approx(np.mean([row["psnr"] for row in found["values"]]))
    low, high = found["metrics"]["psnr"]["interval"]
    assert low < found["metrics"]["psnr"]["value"] < high


def test_blur_takes_sharpness_and_identity(command: Command, faces: Path, blurred: Path) -> None:
    found = measured(command, blurred, "--truth", faces, "--aligned", "--metrics", "sharpness,identity-distance")
    rows = {row["name"]: row for row in found["values"]}
    assert 1 > rows["a"]["sharpness"] > rows["b"]["sharpness"] > rows["c"]["sharpness"] > 0
    assert 0 < rows["a"]["identity-distance"] < rows["c"]["identity-distance"]
    # the set's number is a share of sums, not the mean of shares
    gradients = [[_energy(folder / f"{name}.png") for name in "abc"] for folder in (blurred, faces)]
    assert found["metrics"]["sharpness"]["value"] == pytest.approx(sum(gradients[0]) / sum(gradients[1]), rel=1e-5)


def _energy(path: Path) -> float:
    gray = cv2.imread(str(path)).astype(float)[..., ::-1] / 255 @ np.array([0.299, 0.587, 0.114])
    return float(np.mean(np.diff(gray, axis=0) ** 2) + np.mean(np.diff(gray, axis=1) ** 2))


def test_a_face_that_moved_by_six_pixels_has_that_landmark_error(command: Command, faces: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in faces.iterdir():
        cv2.imwrite(str(moved / file.name), np.roll(cv2.imread(str(file)), 6, axis=1))
    rows = measured(command, moved, "--truth", faces, "--aligned", "--metrics", "landmarks")["values"]
    assert [row["landmarks"] for row in rows] == pytest.approx([6.0] * 3, abs=2.0)
    rows = measured(command, faces, "--truth", faces, "--aligned", "--metrics", "landmarks")["values"]
    assert [row["landmarks"] for row in rows] == [0.0] * 3


def test_equal_pictures_are_counted_and_left_out_of_the_mean(command: Command, faces: Path, blurred: Path) -> None:
    shutil.copy(faces / "a.png", blurred / "a.png")
    found = measured(command, blurred, "--truth", faces, "--aligned", "--metrics", "psnr,ssim")
    assert found["values"][0]["psnr"] == "inf"
    assert (found["metrics"]["psnr"]["count"], found["metrics"]["psnr"]["left_out"]) == (2, 1)
    assert found["metrics"]["ssim"]["count"] == 3


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("psnr", "--truth DIR"),  # no truth was given
        ("fid", "--reference DIR"),
        ("consistency", "--degraded DIR"),
        ("identity-distance", "--truth DIR"),
    ],
)
def test_a_metric_without_what_it_needs_says_so(command: Command, faces: Path, metric: str, words: str) -> None:
    found = measured(command, faces, "--aligned", "--metrics", metric)
    assert words in found["metrics"][metric]["unavailable"]
    assert "value" not in found["metrics"][metric]
    assert metric not in found["values"][0]


@pytest.mark.parametrize("metric", ["lpips-vgg", "fid", "kid", "deg", "lmd", "arcface-cosine", "dists", "niqe", "nima"])
def test_a_metric_without_weights_is_never_a_number(command: Command, faces: Path, blurred: Path, metric: str) -> None:
    found = measured(command, blurred, "--truth", faces, "--aligned", "--metrics", metric)
    assert set(found["metrics"][metric]) >= {"unavailable", "source"}
    assert "value" not in found["metrics"][metric]
    assert "likeness models" in found["metrics"][metric]["unavailable"]


def test_weights_of_ones_own_are_used(command: Command, faces: Path, tmp_path: Path) -> None:
    """NIMA and the published NIQE model have no address: files are brought, and their numbers are numbers."""
    import torch
    from safetensors.torch import save_file

    from likeness.measure.niqe import builtin_model
    from likeness.nets.nima import NIMA

    torch.manual_seed(0)
    net = NIMA()
    net.head.weight.data.zero_()
    net.head.bias.data.copy_(torch.tensor([0.0] * 7 + [50.0] + [0.0] * 2))  # certain of an 8
    save_file(net.state_dict(), tmp_path / "mine.safetensors")
    ours = builtin_model()
    np.savez(tmp_path / "niqe.npz", mu_pris_param=ours.mean[None], cov_pris_param=ours.covariance)
    for name, file in (("nima", "mine.safetensors"), ("niqe", "niqe.npz")):
        ended = command("models", "add", name, tmp_path / file)
        assert ended.status == 0, ended.err
    rows = measured(command, faces, "--aligned", "--metrics", "nima,niqe,niqe-faces")["values"]
    assert [row["nima"] for row in rows] == pytest.approx([8.0] * 3, abs=1e-4)
    assert [row["niqe"] for row in rows] == pytest.approx([row["niqe-faces"] for row in rows])


def test_a_picture_without_its_truth_is_named_and_the_rest_is_measured(
    command: Command, faces: Path, blurred: Path
) -> None:
    (faces / "b.png").unlink()
    ended = command("measure", blurred, "--truth", faces, "--aligned", "--metrics", "psnr", "--json")
    found = json.loads(ended.out)
    assert ended.status == 1
    assert "b.png has no true picture" in ended.err
    assert [("psnr" in row) for row in found["values"]] == [True, False, True]
    assert found["metrics"]["psnr"]["count"] == 2


def test_a_broken_picture_and_another_size_are_named(command: Command, faces: Path, blurred: Path) -> None:
    (blurred / "a.png").write_bytes((blurred / "a.png").read_bytes()[:2000])
    cv2.imwrite(str(blurred / "b.png"), np.zeros((100, 100, 3), np.uint8))
    ended = command("measure", blurred, "--truth", faces, "--aligned", "--metrics", "psnr")
    assert ended.status == 1
    assert "a.png" in ended.err
    assert "differ in size" in ended.err


def test_whole_photographs_are_compared_where_the_face_is_in_the_truth(command: Command, tmp_path: Path) -> None:
    photo = scenes.group()
    for name, pixels in {"truth": photo, "out": cv2.GaussianBlur(photo, (0, 0), 4)}.items():
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "x.png"), pixels[..., ::-1])
    found = measured(command, tmp_path / "out", "--truth", tmp_path / "truth", "--metrics", "identity-distance,psnr")
    assert 0.05 < found["values"][0]["identity-distance"] < 1.2


def test_a_photograph_without_a_face_has_no_identity(command: Command, tmp_path: Path) -> None:
    for name in ("truth", "out"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "x.png"), scenes.landscape())
    ended = command("measure", tmp_path / "out", "--truth", tmp_path / "truth", "--metrics", "identity-distance,ssim")
    assert ended.status == 1
    assert "no face found" in ended.err
    assert "SSIM" in ended.out


def test_values_are_kept_by_content(
    command: Command, faces: Path, blurred: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = extractors.gradient_energies
    monkeypatch.setattr(extractors, "gradient_energies", lambda x: calls.append(len(x)) or real(x))
    arguments = [blurred, "--truth", faces, "--aligned", "--metrics", "sharpness,ssim"]
    first = measured(command, *arguments)
    assert sum(calls) == 6
    moved = tmp_path / "moved"
    shutil.copytree(blurred, moved)
    assert measured(command, moved, *arguments[1:]) == first  # the same content elsewhere
    assert sum(calls) == 6
    cv2.imwrite(str(moved / "a.png"), cv2.imread(str(faces / "a.png")) // 2)  # other content under the same name
    assert measured(command, moved, *arguments[1:])["values"][0] != first["values"][0]
    assert sum(calls) == 7


def test_csv_and_json_are_written(command: Command, faces: Path, blurred: Path, tmp_path: Path) -> None:
    ended = command(
        "measure", blurred, "--truth", faces, "--aligned", "--metrics", "psnr,niqe-faces", "-o", tmp_path / "m"
    )
    assert ended.status == 0, ended.err
    with (tmp_path / "m" / "values.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    document = json.loads((tmp_path / "m" / "values.json").read_text(encoding="utf-8"))
    assert [float(row["psnr"]) for row in rows] == pytest.approx([r["psnr"] for r in document["values"]], rel=1e-4)
    assert all(float(row["niqe-faces"]) > 0 for row in rows)


def test_consistency_is_high_for_the_truth_and_low_for_another_face(
    command: Command, faces: Path, tmp_path: Path
) -> None:
    lq, wrong = tmp_path / "lq", tmp_path / "wrong"
    assert command("degrade", faces, "-o", lq, "--recipe", "sr-x8").status == 0  # no noise that is drawn again
    wrong.mkdir()
    for path in faces.iterdir():
        cv2.imwrite(str(wrong / path.name), np.roll(cv2.imread(str(path)), 40, axis=1))
    true, other = (
        measured(command, folder, "--degraded", lq, "--aligned", "--metrics", "consistency")["metrics"]["consistency"]
        for folder in (faces, wrong)
    )
    assert true.get("unavailable") == "all pictures equal the truth" or true["value"] > 50
    assert other["value"] < 30


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metrics", "nonsense"], ["nonsense", "psnr"]),
        (["--recognizer", "nobody", "--metrics", "identity-distance", "--truth", "."], ["nobody", "dlib"]),
        (["--truth", "nowhere"], ["nowhere is not a folder"]),
    ],
)
def test_wrong_use_ends_with_one_line(command: Command, faces: Path, arguments: list[str], words: list[str]) -> None:
    ended = command("measure", faces, "--aligned", *(str(faces) if a == "." else a for a in arguments))
    assert ended.status == 2
    assert len(ended.err.strip().splitlines()) == 1
    assert all(word in ended.err for word in words), ended.err


def test_the_cache_keeps_whole_vectors_and_refuses_a_foreign_file(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache:
        cache.put({key("a", "b"): np.arange(5.0)})
        assert key("ab", "") not in cache.get([key("ab", ""), key("a", "b")])
    with Cache(tmp_path / "c.sqlite") as again:
        assert again.get([key("a", "b")])[key("a", "b")].tolist() == [0, 1, 2, 3, 4]
    (tmp_path / "foreign.sqlite").write_bytes(b"this is no database, but long enough to be looked at" * 40)
    with pytest.raises(ValueError, match="cannot be used to keep measured values"):
        Cache(tmp_path / "foreign.sqlite")
