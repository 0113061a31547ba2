"""NIQE: its steps against dense and drawn references, its models' files, and that it tells good pictures from bad."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tarfile
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import scenes
from likeness.measure.niqe import (
    NiqeModel,
    block_features,
    builtin_model,
    fit_aggd,
    halve,
    luma,
    mscn,
    niqe,
)
from likeness.weights.errors import WeightsError

FACES = Path(os.environ.get("LIKENESS_FACES", Path(__file__).resolve().parents[3] / "shared" / "faces"))
VALIDATION = FACES / "val-000.tar"


@lru_cache
def photograph() -> np.ndarray:
    """(512, 512, 3) float64: skimage's portrait."""
    return np.asarray(scenes.portrait(512), np.float64) / 255


@lru_cache
def texture(seed: int = 0, side: int = 288) -> np.ndarray:
    """(side, side, 3) float64: disks of many sizes, each over those before, as fallen leaves lie."""
    random = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 0.5)
    for radius in np.sort(60 * random.random(1200) ** 3 + 1.5)[::-1]:
        centre = tuple(int(v) for v in random.integers(0, side, 2))
        cv2.circle(picture, centre, round(float(radius)), random.uniform(0.05, 0.95, 3).tolist(), -1, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 0.5)


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))


def degraded(picture: np.ndarray) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0).normal(0, 0.1, picture.shape)
    jpeg = io.BytesIO()
    Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(jpeg, "JPEG", quality=8)
    return {
        "blur": blurred(picture, 2),
        "noise": (picture + noise).clip(0, 1),
        "JPEG": np.asarray(Image.open(jpeg), np.float64) / 255,
    }


def imresize_matrix(size: int) -> np.ndarray:
    """(size / 2, size): MATLAB's contributions, written out from its documentation: every tap, then mirrored places."""

    def cubic(x: float) -> float:
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0

    matrix = np.zeros((size // 2, size))
    for row in range(size // 2):
        centre = (row + 1) / 0.5 + 0.5 * (1 - 1 / 0.5)  # places count from 1
        for place in range(int(centre) - 6, int(centre) + 8):
            mirrored = (place - 1) % (2 * size)
            matrix[row, min(mirrored, 2 * size - 1 - mirrored)] += cubic(0.5 * (centre - place))
    return matrix / matrix.sum(axis=1, keepdims=True)


def test_halving_is_matlabs() -> None:
    plane = np.random.default_rng(1).uniform(0, 255, (20, 34))
    want = imresize_matrix(20) @ plane @ imresize_matrix(34).T
    np.testing.assert_allclose(halve(plane), want, rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match=r"even sides, got \(20, 33\)"):
        halve(plane[:, 1:])


def test_normalised_values_against_dense_windows() -> None:
    plane = np.random.default_rng(2).integers(16, 236, (12, 15)).astype(np.float64)
    x = np.arange(-3, 4)
    window = np.exp(-(x[:, None] ** 2 + x**2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    padded = np.pad(plane, 3, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, (7, 7))
    mean = (views * window).sum((2, 3))
    deviation = np.sqrt((window * (views - mean[..., None, None]) ** 2).sum((2, 3)))
    got, spread = mscn(plane)
    np.testing.assert_allclose(spread, deviation, rtol=1e-9)
    np.testing.assert_allclose(got, (plane - mean) / (deviation + 1), rtol=0, atol=1e-10)


def test_luma_is_basicsrs() -> None:
    colours = np.array([[[1.0, 1, 1], [0, 0, 0], [0, 1, 0], [0.2, 0.4, 0.6]]])
    assert luma(colours).tolist() == [[235, 16, 145, 95]]  # 144.553; 13.0962 + 51.4212 + 14.9796 + 16 = 95.497
    assert luma(colours.astype(np.float32)).tolist() == [[235, 16, 145, 95]]


@pytest.mark.parametrize("alpha", [0.6, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("right", [1.0, 2.5])
def test_the_estimator_finds_what_was_drawn(alpha: float, right: float) -> None:
    left = 1.0
    random = np.random.default_rng(3)
    count = 400_000
    # |x / scale|^alpha of a generalised Gaussian follows the gamma distribution of shape 1 / alpha; a side's share of
    # the samples is as its scale.
    size = random.gamma(1 / alpha, size=(2, count)) ** (1 / alpha)
    to_right = random.random((2, count)) < right / (left + right)
    samples = np.where(to_right, right * size, -left * size)
    found = fit_aggd(samples)
    assert found.alpha == pytest.approx([alpha] * 2, rel=0.02)
    assert found.left == pytest.approx([left] * 2, rel=0.04)
    assert found.right == pytest.approx([right] * 2, rel=0.04)
    assert found.mean == pytest.approx(samples.mean(axis=1), abs=0.04)


def test_samples_of_one_sign_have_no_scale_on_the_other() -> None:
    found = fit_aggd(np.array([[1.0, 2, 3], [0, 0, 0]]))
    assert found.alpha.tolist() == [0.2, 0.2]
    assert np.isnan(found.left).all()
    assert np.isnan(found.mean).all()


def test_the_first_features_of_a_block_by_hand() -> None:
    plane = luma(texture())
    features = block_features(plane).features
    assert features.shape == (9, 36)
    block = mscn(plane)[0][96:192, :96]  # the fourth block
    neighbours = [np.roll(block, 1, 1), np.roll(block, 1, 0)]
    own, right, below = (fit_aggd(x.reshape(1, -1)) for x in (block, *(block * n for n in neighbours)))
    want = [own.alpha, (own.left + own.right) / 2]
    want += [value for one in (right, below) for value in (one.alpha, one.mean, one.left, one.right)]
    assert features[3, :10] == pytest.approx(np.concatenate(want), rel=1e-12)


def test_features_are_of_contrast_not_of_brightness() -> None:
    plane = luma(texture()) * 0.8
    near = block_features(plane + 37.25)
    np.testing.assert_allclose(near.features, block_features(plane).features, rtol=0, atol=1e-9)
    np.testing.assert_allclose(near.sharpness, block_features(plane).sharpness, rtol=1e-6)


@pytest.mark.parametrize("picture", ["photograph", "texture"])
def test_what_is_degraded_scores_higher(picture: str) -> None:
    sharp = photograph() if picture == "photograph" else texture()
    model = builtin_model() if picture == "photograph" else own_model()
    clean = niqe(sharp, model)
    scores = {name: niqe(bad, model) for name, bad in degraded(sharp).items()}
    assert all(score > clean + 0.5 for score in scores.values()), (clean, scores)


@lru_cache
def own_model() -> NiqeModel:
    return NiqeModel.fit((texture(seed) for seed in range(1, 13)), "leaves")


def test_a_model_knows_its_own_kind() -> None:
    model = own_model()
    kin, other = niqe(texture(100), model), niqe(photograph(), model)
    assert kin < 0.7 * other
    # At its own statistics the distance is 0: the mean itself, with any covariance.
    blocks = block_features(luma(texture()))
    same = NiqeModel(np.nanmean(blocks.features, axis=0), np.eye(36), "itself")
    assert niqe(texture(), same) == pytest.approx(0, abs=1e-9)


def test_the_distance_is_mahalanobis() -> None:
    features = block_features(luma(texture())).features
    model = own_model()
    offset = features.mean(axis=0) - model.mean
    both = (model.covariance + np.cov(features.T)) / 2
    assert niqe(texture(), model) == pytest.approx(np.sqrt(offset @ np.linalg.solve(both, offset)), rel=1e-6)


def test_only_sharp_blocks_make_a_model() -> None:
    """Of a picture with a blurred half the model takes blocks of the sharp half, and only those."""
    halves = [np.concatenate([texture(seed), blurred(texture(seed), 4)]) for seed in range(1, 13)]
    rows = []
    for half in halves:
        _, deviation = mscn(luma(half))
        sharpness = [deviation[y : y + 96, x : x + 96].mean() for y in range(0, 576, 96) for x in range(0, 288, 96)]
        wanted = [i for i in range(18) if sharpness[i] > 0.75 * max(sharpness)]
        assert max(wanted) < 9
        rows.append(block_features(luma(half)).features[wanted])
    found = NiqeModel.fit(halves, "halves")
    np.testing.assert_allclose(found.mean, np.concatenate(rows).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(np.concatenate(rows).T), rtol=1e-9, atol=1e-15)


def test_the_crop_takes_the_border_away() -> None:
    framed = np.pad(texture(), ((5, 5), (5, 5), (0, 0)))
    assert niqe(framed, own_model(), crop=5) == niqe(texture(), own_model())
    with pytest.raises(ValueError, match="crop"):
        niqe(texture(), own_model(), crop=-1)


def test_rows_beyond_the_last_block_do_not_count() -> None:
    more = np.pad(texture(), ((0, 95), (0, 40), (0, 0)), constant_values=1.0)
    assert niqe(more, own_model()) == niqe(texture(), own_model())


def test_what_does_not_fit_is_refused() -> None:
    model = own_model()
    for grey in (0.0, 0.3, 1.0):
        with pytest.raises(ValueError, match="texture, this picture has 0"):
            niqe(np.full((200, 200, 3), grey), model)
    with pytest.raises(ValueError, match="two blocks of 96x96 pixels, got 191x100"):
        niqe(np.zeros((191, 100, 3)), model)
    with pytest.raises(ValueError, match="got 0x0"):
        niqe(np.zeros((200, 200, 3)), model, crop=100)
    with pytest.raises(ValueError, match="floats"):
        niqe(np.zeros((200, 200, 3), np.uint8), model)
    for wrong in (np.nan, 1.5, -0.5):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            niqe(np.full((200, 200, 3), wrong), model)
    with pytest.raises(ValueError, match=r"\(H, W, 3\), got \(200, 200\)"):
        niqe(np.zeros((200, 200)), model)


def test_a_flat_part_is_stable() -> None:
    """Saturated blocks: their rounding errors are no texture, and those beside them still give a number."""
    picture = texture().copy()
    picture[:, :96] = 1.0
    features = block_features(luma(picture)).features
    assert np.isnan(features[6]).any()
    assert np.isfinite(niqe(picture, own_model()))


def test_models_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"\(36,\), got \(35,\)"):
        NiqeModel(np.zeros(35), np.eye(36), "x")
    with pytest.raises(ValueError, match="finite"):
        NiqeModel(np.full(36, np.inf), np.eye(36), "x")
    with pytest.raises(ValueError, match="negative eigenvalues, got -1"):
        NiqeModel(np.zeros(36), -np.eye(36), "x")
    with pytest.raises(ValueError, match="symmetric"):
        NiqeModel(np.zeros(36), np.eye(36) + np.eye(36, k=1), "x")
    with pytest.raises(ValueError, match="source"):
        NiqeModel(np.zeros(36), np.eye(36), " ")
    with pytest.raises(ValueError, match="more than 36 sharp blocks, got 0"):
        NiqeModel.fit([], "none")
    with pytest.raises(ValueError, match="read-only"):
        own_model().mean[0] = 1


def same(a: NiqeModel, b: NiqeModel) -> bool:
    return bool(np.array_equal(a.mean, b.mean) and np.array_equal(a.covariance, b.covariance))


def test_models_in_all_three_kinds_of_file(tmp_path: Path) -> None:
    model = own_model()
    model.save(tmp_path / "ours.npz")
    ours = NiqeModel.read(tmp_path / "ours.npz")
    assert same(ours, model)
    assert ours.source == "leaves"
    window = np.ones((7, 7)) / 49
    np.savez(
        tmp_path / "niqe_pris_params.npz",
        mu_pris_param=model.mean[None],
        cov_pris_param=model.covariance,
        gaussian_window=window,
    )
    published = NiqeModel.read(tmp_path / "niqe_pris_params.npz")
    assert same(published, model)
    assert published.source == "niqe_pris_params.npz"
    loadmat = pytest.importorskip("scipy.io", reason="needs scipy")
    loadmat.savemat(
        tmp_path / "modelparameters.mat", {"mu_prisparam": model.mean[None], "cov_prisparam": model.covariance}
    )
    assert same(NiqeModel.read(tmp_path / "modelparameters.mat"), model)


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", mean=np.zeros(36))
    np.savez(tmp_path / "shape.npz", mean=np.zeros(12), covariance=np.eye(12))
    np.save(tmp_path / "single.npy", np.zeros(36))
    (tmp_path / "garbage.npz").write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "garbage.mat").write_bytes(b"nothing")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(os.getcwd))
    np.savez(tmp_path / "objects.npz", mean=np.array([os.getcwd], object), covariance=np.eye(36))
    files = sorted(tmp_path.iterdir())
    assert len(files) == 7
    for path in [*files, tmp_path / "absent.npz", tmp_path / "absent.mat"]:
        with pytest.raises(WeightsError) as caught:
            NiqeModel.read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_matlab_file_without_scipy_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(WeightsError, match=r"pip install 'likeness\[metrics\]'"):
        NiqeModel.read(tmp_path / "modelparameters.mat")


def test_a_matlab_file_that_crashes_scipy_is_refused(tmp_path: Path) -> None:
    """SciPy's reader dies of a signal when all is zero behind the first array's head; so must not we."""
    scipy_io = pytest.importorskip("scipy.io", reason="needs scipy")
    path = tmp_path / "modelparameters.mat"
    scipy_io.savemat(path, {"mu_prisparam": np.ones((1, 36)), "cov_prisparam": np.eye(36)})
    data = path.read_bytes()
    path.write_bytes(data[:176] + bytes(len(data) - 176))
    with pytest.raises(WeightsError, match="is not an intact MATLAB file"):
        NiqeModel.read(path)


def test_the_packaged_model() -> None:
    model = builtin_model()
    assert "not comparable" in model.source
    assert float(np.linalg.eigvalsh(model.covariance)[0]) > 0
    assert 1.5 < model.mean[0] < 3.5  # the shape of sharp pictures' normalised values is near a Gaussian's 2


def test_held_out_faces_are_better_than_blurred_ones() -> None:
    if not VALIDATION.is_file():
        pytest.skip(f"no photographs at {VALIDATION} (set LIKENESS_FACES to their folder)")
    clean, soft = [], []
    with tarfile.open(VALIDATION) as archive:
        for member in sorted(archive.getmembers(), key=lambda item: item.name)[::25]:
            stream = archive.extractfile(member)
            assert stream is not None
            face = np.asarray(Image.open(io.BytesIO(stream.read())).convert("RGB"), np.float64) / 255
            clean.append(niqe(face, builtin_model()))
            soft.append(niqe(blurred(face, 4), builtin_model()))
    assert len(clean) == 9
    assert np.mean(clean) + 3 < np.mean(soft)
