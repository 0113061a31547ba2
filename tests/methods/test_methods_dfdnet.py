"""DFDNet on small networks: boxes from landmarks, matching with the dictionaries, and loading."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from likeness.methods import OptionError, dfdnet
from likeness.methods.dfdnet.dictionary import SCALES, Dictionary, entry_side, read_dictionary
from likeness.methods.dfdnet.landmarks import PARTS, POINTS, face_boxes, scaled
from likeness.methods.dfdnet.network import DFDNet
from likeness.methods.dfdnet.restorer import DFDNetRestorer, recognise, unpack
from likeness.nets.spectral import power_iteration
from likeness.weights.load import WeightsError

WIDTH = 2
CENTRES = {"left_eye": (170.0, 220.0), "right_eye": (340.0, 220.0), "nose": (256.0, 310.0), "mouth": (256.0, 390.0)}
RADII = {"left_eye": 44.0, "right_eye": 43.0, "nose": 5.0, "mouth": 50.0}


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def face(dx: float = 0.0, dy: float = 0.0) -> Tensor:
    """68 landmarks: those of each part at the corners of a square around its centre, the others at the centre."""
    points = torch.full((68, 2), 256.0)
    for part, index in POINTS.items():
        x, y = CENTRES[part]
        points[list(index)] = torch.tensor([float(x + dx), float(y + dy)])
        for k, (sx, sy) in enumerate(((-1, -1), (1, -1), (-1, 1), (1, 1))):
            points[index[k]] += RADII[part] * torch.tensor([sx, sy])
    return points


def raw_entries(part: str, size: int, count: int = 3) -> Tensor:
    side = entry_side(part, size)
    return 3 * rand(count, WIDTH * min(512 // size, 8), side, side, seed=size + len(part)) + 1


def small_dictionary() -> Dictionary:
    return Dictionary({(part, size): raw_entries(part, size) for size in SCALES for part in PARTS})


def small_net() -> DFDNet:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = DFDNet(WIDTH, classifier=False)
        power_iteration(net, 10)
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def restorer() -> DFDNetRestorer:
    return DFDNetRestorer(small_net(), small_dictionary(), torch.device("cpu"), torch.float32, "abc")


def test_keys_are_those_of_the_release() -> None:
    state = dfdnet.networks()["net"].state_dict()
    lines = sorted(f"{k} {list(v.shape)} {str(v.dtype).removeprefix('torch.')}" for k, v in state.items())
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] == "6732aece303d7502"


# Boxes


def test_boxes_are_squares_around_the_parts() -> None:
    assert face_boxes(face()) == {
        "left_eye": (127, 177, 214, 264),
        "right_eye": (298, 178, 383, 263),
        "nose": (241, 295, 272, 326),  # at least 16 to each side
        "mouth": (207, 341, 306, 440),
    }
    assert face_boxes(face(0.4, -0.3))["mouth"] == (207, 340, 306, 439)  # cut off, not rounded


def test_which_landmarks_belong_to_which_part() -> None:
    owners = [None] * 17 + ["left_eye"] * 5 + ["right_eye"] * 5 + [None] * 2 + ["nose"] * 7
    owners += ["left_eye"] * 6 + ["right_eye"] * 6 + ["mouth"] * 20
    for index, owner in enumerate(owners):
        moved = face()
        moved[index] += 40
        changed = {part for part, box in face_boxes(moved).items() if box != face_boxes(face())[part]}
        assert changed == ({owner} if owner else set()), index


def test_a_box_on_a_feature_map() -> None:
    assert scaled((127, 177, 214, 264), 256) == (63, 88, 107, 132)
    assert scaled((127, 177, 214, 264), 32) == (7, 11, 13, 16)


@pytest.mark.parametrize(
    ("dx", "dy", "part"),
    [(-128, 0, "left eye"), (130, 0, "right eye"), (0, -178, "left eye"), (0, 73, "mouth")],
)
def test_a_box_that_leaves_the_picture_is_refused(dx: float, dy: float, part: str) -> None:
    face_boxes(face(dx - np.sign(dx), dy - np.sign(dy)))  # one pixel less is within
    with pytest.raises(OptionError, match=rf"face 3: the box of the {part} \(.*\) leaves the 512 x 512 picture"):
        face_boxes(face(dx, dy), 3)


@pytest.mark.parametrize("value", [256.0, float("nan"), float("inf")])
def test_landmarks_without_extent_are_refused(value: float) -> None:
    points = face()
    points[list(POINTS["nose"])] = value
    with pytest.raises(OptionError, match="face 2: the landmarks of the nose are one point or not finite"):
        face_boxes(points, 2)


# Dictionaries


@pytest.mark.parametrize(("part", "size"), [("left_eye", 256), ("mouth", 128), ("nose", 32)])
def test_the_entry_that_fits_best_takes_its_place(part: str, size: int) -> None:
    """Against the paper's words: every entry gets the crop's mean and deviation, then they are multiplied."""
    entries = raw_entries(part, size, count=7)
    crop = rand(entries.shape[1], entries.shape[2] + 2, entries.shape[3] + 1, seed=5) + 0.4
    small = F.interpolate(crop[None], size=entries.shape[2:], mode="bilinear")[0]

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean(dim=(-2, -1), keepdim=True), (x.var(dim=(-2, -1), keepdim=True) + 1e-5).sqrt()

    mean, std = moments(small)
    own_mean, own_std = moments(entries)
    adapted = (entries - own_mean) / own_std * std + mean
    wanted = (adapted * small).sum(dim=(1, 2, 3))
    dictionary = Dictionary({(part, size): entries.clone()})
    scores = dictionary.scores(part, size, crop)
    assert torch.allclose(scores - scores[0], wanted - wanted[0], atol=1e-2)
    assert wanted.topk(2).values.diff().abs() > 0.1
    best = F.interpolate(adapted[wanted.argmax()][None], size=crop.shape[1:])[0]
    assert torch.allclose(dictionary.swap(part, size, crop), best, atol=1e-4)


def write_dictionary(folder: Path) -> None:
    folder.mkdir()
    for part, size in small_dictionary().entries:
        np.save(folder / f"{part}_{size}_center.npy", raw_entries(part, size).flatten(1).numpy())


def test_read_dictionary(tmp_path: Path) -> None:
    write_dictionary(tmp_path / "d")
    read, wanted = read_dictionary(tmp_path / "d", WIDTH), small_dictionary()
    assert read.entries.keys() == wanted.entries.keys()
    assert all(torch.equal(read.entries[key], value) for key, value in wanted.entries.items())


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("evil"),)  # type: ignore[return-value]


def test_read_dictionary_refuses_what_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_dictionary(tmp_path / "d")
    path = tmp_path / "d" / "nose_64_center.npy"
    for array in (np.zeros((3, 7), np.float32), np.zeros(5), np.zeros((0, 16 * 36)), np.array([Evil()], dtype=object)):
        np.save(path, array, allow_pickle=True)
        with pytest.raises(WeightsError, match=r"nose_64_center\.npy"):
            read_dictionary(tmp_path / "d", WIDTH)
    assert not Path("evil").exists()
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"nose_64_center\.npy"):
        read_dictionary(tmp_path / "d", WIDTH)
    path.unlink()
    with pytest.raises(WeightsError, match=r"nose_64_center\.npy"):
        read_dictionary(tmp_path / "d", WIDTH)


# Restoring


def test_faces_of_a_batch_do_not_mix(restorer: DFDNetRestorer) -> None:
    crops, landmarks = (rand(2, 3, 512, 512) + 1) / 2, torch.stack([face(), face(20, 9)])
    both = restorer.restore(crops, landmarks=landmarks)
    assert both.shape == crops.shape
    assert 0 <= both.min() <= both.max() <= 1
    for i in range(2):
        alone = restorer.restore(crops[i : i + 1], seed=7, landmarks=landmarks[i : i + 1].numpy())
        assert torch.allclose(alone[0], both[i], atol=1e-5)
    swapped = restorer.restore(crops, landmarks=landmarks.flip(0))
    assert (swapped - both).abs().amax(dim=(1, 2, 3)).min() > 1e-4  # the landmarks matter, to both


def test_only_the_boxes_are_improved() -> None:
    net, feature, boxes = small_net(), rand(1, 2 * WIDTH, 256, 256), face_boxes(face())
    changed = (net.improve(256, feature, [boxes], small_dictionary()) != feature).any(dim=1)[0]
    inside = torch.zeros(256, 256, dtype=torch.bool)
    for box in boxes.values():
        x0, y0, x1, y1 = scaled(box, 256)
        inside[y0:y1, x0:x1] = True
    assert not changed[~inside].any()
    assert changed[inside].float().mean() > 0.99


def test_restore_refuses_what_it_cannot_use(restorer: DFDNetRestorer) -> None:
    crops, good = torch.zeros(2, 3, 512, 512), face()
    with pytest.raises(OptionError, match="dfdnet needs landmarks"):
        restorer.restore(crops)
    with pytest.raises(OptionError, match=r"expected landmarks \(2, 68, 2\), got \(1, 68, 2\)"):
        restorer.restore(crops, landmarks=good[None])
    with pytest.raises(OptionError, match="face 2: the box of the left eye"):
        restorer.restore(crops, landmarks=torch.stack([good, face(-200)]))
    with pytest.raises(OptionError, match="dfdnet has no option fidelity"):
        restorer.restore(crops, landmarks=torch.stack([good, good]), fidelity=0.5)
    with pytest.raises(ValueError, match="expected \\(B, 3, 512, 512\\)"):
        restorer.restore(torch.zeros(1, 3, 256, 256), landmarks=good[None])


# Loading


def test_recognise_reads_the_configuration() -> None:
    for classifier in (True, False):
        given = DFDNet(1, classifier).state_dict()
        net = recognise(given)
        assert isinstance(net, DFDNet)
        assert {k: v.shape for k, v in net.state_dict().items()} == {k: v.shape for k, v in given.items()}
    assert recognise({"up4.4.weight": torch.zeros(3, 1, 3, 3)}) is None
    assert recognise({}) is None
    assert unpack({"a": given["up4.4.bias"], "epoch": 3}) == {"a": given["up4.4.bias"]}


def test_load_takes_weights_and_dictionaries(tmp_path: Path, restorer: DFDNetRestorer) -> None:
    path, folder = tmp_path / "latest_net_G.pth", tmp_path / "DictionaryCenter512"
    torch.save(small_net().state_dict(), path)
    load = (torch.device("cpu"), torch.float32, path)
    with pytest.raises(WeightsError, match=rf"expected 16 files .* in {folder}, missing all of them"):
        dfdnet.load(*load)
    write_dictionary(folder)
    loaded = dfdnet.load(*load)
    assert not any("to_rgb" in key or "weight_orig" in key for key in loaded.net.state_dict())
    crops, landmarks = (rand(1, 3, 512, 512) + 1) / 2, face()[None]
    wanted = restorer.restore(crops, landmarks=landmarks)
    assert torch.allclose(loaded.restore(crops, landmarks=landmarks), wanted, atol=1e-5)

    np.save(folder / "mouth_32_center.npy", raw_entries("mouth", 32).flatten(1).numpy()[:2])
    assert dfdnet.load(*load).fingerprint != loaded.fingerprint
    (folder / "mouth_32_center.npy").unlink()
    with pytest.raises(WeightsError, match=r"missing mouth_32_center\.npy"):
        dfdnet.load(*load)


def test_load_refuses_another_file(tmp_path: Path) -> None:
    write_dictionary(tmp_path / "DictionaryCenter512")
    path = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(16, 3, 3, 3)}, path)
    with pytest.raises(WeightsError, match="holds no weights of dfdnet"):
        dfdnet.load(torch.device("cpu"), torch.float32, path)
