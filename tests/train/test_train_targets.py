"""Extrinsic learning's pairs (papers/001, eq. 10): input degraded from the original, target the refined picture."""

from __future__ import annotations

import itertools
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from likeness.train.data import Pairs, make_loader
from likeness.train.recipe import DataConfig, RecipeError

Faces = dict[str, np.ndarray]
Change = Callable[[np.ndarray], np.ndarray]
EVERYTHING: dict[str, Any] = {"misalign": 1.0, "tone": 0.2, "occlude": 0.7, "age": 0.5, "jitter": 0.2}


def pairs(sources: list[str], per_step: int = 1, seed: int = 1, **changes: Any) -> Pairs:
    settings = {"sources": sources, "crop": 64, "workers": 0, "mixture": {"idm": 1.0}, **changes}
    return Pairs(DataConfig.model_validate(settings), seed, per_step)


def write(folder: Path, pictures: Faces) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in pictures.items():
        Image.fromarray(image).save(folder / f"{Path(name).stem}.png")
    return folder


def inverted(image: np.ndarray) -> np.ndarray:
    return 255 - image


@pytest.fixture
def refined(faces: Faces, tmp_path: Path) -> Callable[..., Path]:
    """``refined(change, *names)``: a folder as dataset refine writes it, of these pictures, changed."""

    def make(change: Change, *names: str) -> Path:
        wanted = {name: change(image) for name, image in faces.items() if not names or name in names}
        write(tmp_path / "out" / "refined", wanted)
        return tmp_path / "out"

    return make


@pytest.mark.parametrize("size", [{"crop": 64}, {"size": 128, "crop": 64}, {"size": 64, "crop": 64}])
def test_a_target_that_is_the_original_changes_nothing(
    shard: Path, refined: Callable[..., Path], size: dict[str, int]
) -> None:
    """Crop, flip, misalignment, jitter, tone, occlusion, the degradation's tone and reduction: the same for both."""
    mixture = {"idm": 1.0, "old-photo": 1.0, "clean": 0.5}
    plain = pairs([str(shard)], mixture=mixture, **EVERYTHING, **size)
    paired = pairs([str(shard)], mixture=mixture, targets=refined(np.copy), **EVERYTHING, **size)
    for number in range(5):
        first, second = plain[number], paired[number]
        for key in first:
            torch.testing.assert_close(second[key], first[key], rtol=0, atol=2e-5)


def test_the_input_is_of_the_original_and_the_target_is_refined(shard: Path, refined: Callable[..., Path]) -> None:
    plain = pairs([str(shard)], jitter=0, misalign=0.5)
    paired = pairs([str(shard)], jitter=0, misalign=0.5, targets=refined(inverted))
    for number in range(6):
        first, second = plain[number], paired[number]
        assert torch.equal(second["degraded"], first["degraded"])
        assert torch.equal(second["place"], first["place"])
        torch.testing.assert_close(second["clean"], -first["clean"], rtol=0, atol=2e-2)  # but for the misaligned edge


def test_a_clean_input_has_the_refined_target_too(shard: Path, refined: Callable[..., Path]) -> None:
    """f(x) = x* of a picture as it is."""
    sample = pairs([str(shard)], jitter=0, mixture={"clean": 1.0}, targets=refined(inverted))[0]
    torch.testing.assert_close(sample["clean"], -sample["degraded"], rtol=0, atol=1e-5)


def test_both_get_one_curve_of_tone(tmp_path: Path) -> None:
    """It turns about the mean, which the two pictures do not share: equal colours must stay equal all the same."""
    original, target = np.full((512, 512, 3), 90, np.uint8), np.full((512, 512, 3), 90, np.uint8)
    target[:, 256:] = 230
    source = write(tmp_path / "in", {"a.png": original})
    folder = write(tmp_path / "refined", {"a.png": target})
    whole: dict[str, Any] = {"crop": 512, "jitter": 0, "mixture": {"clean": 1.0}, "tone": 0.3}
    sample = pairs([str(source)], targets=folder, **whole)[0]
    colours = set(sample["clean"][0].flatten().tolist())
    assert len(colours) == 2
    assert float(sample["degraded"][0, 0, 0]) in colours
    assert not torch.allclose(sample["degraded"], torch.tensor(90 / 127.5 - 1), atol=1e-3)


def test_a_picture_without_a_refined_one_is_its_own_target(shard: Path, refined: Callable[..., Path]) -> None:
    paired = pairs([str(shard)], mixture={"clean": 1.0}, jitter=0, targets=refined(inverted, "a_head.png"))
    own = [torch.equal(s["clean"], s["degraded"]) for s in (paired[n] for n in range(12))]
    assert 0 < sum(own) < 12


@pytest.mark.parametrize("form", ["output", "refined", "shard"])
def test_the_output_of_refine_its_set_or_a_shard_of_it_may_be_named(
    form: str, shard: Path, refined: Callable[..., Path], tmp_path: Path
) -> None:
    out = refined(inverted)
    where = {"output": out, "refined": out / "refined", "shard": tmp_path / "refined.tar"}[form]
    if form == "shard":
        with tarfile.open(where, "w") as tar:
            tar.add(out / "refined", "refined")
    sample = pairs([str(shard)], jitter=0, targets=where)[0]
    expected = pairs([str(shard)], jitter=0, targets=out)[0]
    assert torch.equal(sample["clean"], expected["clean"])
    assert not torch.equal(sample["clean"], pairs([str(shard)], jitter=0)[0]["clean"])


# Which is whose


@pytest.fixture
def two_folders(faces: Faces, tmp_path: Path) -> list[str]:
    """Two pictures of one name in two folders."""
    head, photo = faces["a_head.png"], faces["a_photo.png"]
    return [str(write(tmp_path / "one", {"x.png": head})), str(write(tmp_path / "two", {"x.png": photo}))]


def test_the_manifest_tells_pictures_of_one_name_apart(two_folders: list[str], faces: Faces, tmp_path: Path) -> None:
    head, photo = (255 - faces[name] for name in ("a_head.png", "a_photo.png"))
    write(tmp_path / "out" / "refined", {"x_png.png": head, "x_png_2.png": photo})
    names = ["x_png.png", "x_png_2.png"]
    records = [
        {"name": "x.png", "source": folder, "output": f"refined/{name}"}
        for folder, name in zip(two_folders, names, strict=True)
    ]
    lines = "".join(json.dumps(one) + "\n" for one in [*records, {"name": "y", "source": "z", "output": None}])
    (tmp_path / "out" / "manifest.jsonl").write_text(lines, encoding="utf-8")
    paired = pairs(two_folders, mixture={"clean": 1.0}, jitter=0, targets=tmp_path / "out")
    for number in range(8):
        sample = paired[number]
        torch.testing.assert_close(sample["clean"], -sample["degraded"], rtol=0, atol=1e-5)


def test_a_target_of_two_pictures_is_refused(two_folders: list[str], faces: Faces, tmp_path: Path) -> None:
    write(tmp_path / "out", {"x.png": faces["a_head.png"]})
    with pytest.raises(RecipeError, match=r"x\.png in .*out may belong to several pictures"):
        pairs(two_folders, targets=tmp_path / "out")


def test_targets_of_other_pictures_and_of_one_name_are_refused(shard: Path, faces: Faces, tmp_path: Path) -> None:
    other = write(tmp_path / "other", {"z.png": faces["a_head.png"]})
    with pytest.raises(RecipeError, match=r"no picture in .*other has the name of one of data\.sources"):
        pairs([str(shard)], targets=other)
    Image.fromarray(faces["a_head.png"]).save(other / "z.jpg")
    with pytest.raises(RecipeError, match=r"several pictures in .*other are called z"):
        pairs([str(shard)], targets=other)
    with pytest.raises(FileNotFoundError, match="no pictures in"):
        pairs([str(shard)], targets=tmp_path / "absent")


def test_a_share_without_targets_is_refused() -> None:
    for changes in ({"replace": 0.5}, {"coupling": 10}):
        with pytest.raises(ValueError, match="name the refined pictures in targets"):
            DataConfig.model_validate({"sources": ["x"], **changes})


# Coupling


@pytest.fixture
def many(faces: Faces, tmp_path: Path) -> tuple[str, Path]:
    """Forty pictures, all alike, and as many inverted ones."""
    source = write(tmp_path / "many", {"p00.png": faces["a_head.png"]})
    targets = write(tmp_path / "refined", {"p00.png": 255 - faces["a_head.png"]})
    for folder in (source, targets):
        for number in range(1, 40):
            (folder / f"p{number:02d}.png").hardlink_to(folder / "p00.png")
    return str(source), targets


def replaced(data: Pairs, step: int) -> set[int]:
    assert data.targets is not None
    data.targets.pictures = range(40)  # type: ignore[assignment]  # nothing need be read
    return {index for index in range(40) if data.targets(index, step) is not None}


def test_the_pool_is_replaced_picture_by_picture(many: tuple[str, Path]) -> None:
    source, targets = many
    data = pairs([source], targets=targets, coupling=10, replace=0.8)
    pools = [replaced(data, step) for step in range(15)]
    assert all(early <= late for early, late in itertools.pairwise(pools))  # none goes back
    assert len(pools[0]) < 10 < len(pools[6]) < len(pools[9]) + 1
    assert len(pools[9]) == pytest.approx(32, abs=7)
    assert pools[14] == pools[9]
    assert replaced(pairs([source], targets=targets), 0) == set(range(40))  # eq. 10: all, from the first step
    assert replaced(pairs([source], targets=targets, replace=0), 99) == set()
    other = replaced(pairs([source], targets=targets, replace=0.5, seed=2), 0)
    assert other != replaced(pairs([source], targets=targets, replace=0.5), 0)


def test_a_loader_counts_the_steps_of_all_processes(many: tuple[str, Path]) -> None:
    source, targets = many
    config = pairs([source], targets=targets, coupling=10, mixture={"clean": 1.0}, jitter=0).config
    for batch, world in ((4, 1), (2, 2)):
        assert make_loader(config, 1, batch, 0, 0, world).dataset.per_step == 4  # type: ignore[attr-defined]
    late = next(iter(make_loader(config, 1, 4, 10, 0, 1)))
    torch.testing.assert_close(late["clean"], -late["degraded"], rtol=0, atol=1e-5)


def test_a_worker_gets_the_same(shard: Path, refined: Callable[..., Path], tmp_path: Path) -> None:
    data = pairs([str(shard)], targets=refined(inverted), cache=tmp_path / "cache" / "faces.npy", replace=0.5)
    again = pickle.loads(pickle.dumps(data))
    for number in range(5):
        assert all(torch.equal(value, again[number][key]) for key, value in data[number].items())
    assert {path.name for path in (tmp_path / "cache").iterdir()} >= {"faces.npy", "faces-targets.npy"}
