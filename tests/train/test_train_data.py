"""Pictures and pairs: shards and folders, and sample number n is always the same sample."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from likeness.degrade.steps import Step
from likeness.train import data as train_data
from likeness.train.data import FromStep, Pairs, make_loader, plainly
from likeness.train.pictures import Pictures, find_pictures, read_picture
from likeness.train.recipe import DataConfig

Faces = dict[str, np.ndarray]


def pairs(shard: Path, seed: int = 1, **changes: Any) -> Pairs:
    settings = {"sources": [str(shard)], "crop": 64, "workers": 0, "mixture": {"idm": 1.0}, **changes}
    return Pairs(DataConfig.model_validate(settings), seed)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[key], b[key]) for key in ("degraded", "clean", "place"))


# Pictures


def test_shard_and_folder_hold_the_same_pictures(shard: Path, faces: Faces, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    for i, (name, image) in enumerate(faces.items()):
        Image.fromarray(image).save(folder / ("deeper" if i else "") / name)
    (folder / "notes.txt").write_text("no picture", encoding="utf-8")
    for source in (shard, folder):
        entries = find_pictures([str(source)])
        assert sorted(e.name for e in entries) == sorted(faces)
        for entry in entries:
            assert np.array_equal(read_picture(entry), faces[entry.name])
    both = find_pictures([str(folder / "*.png"), str(shard.parent / "train-*.tar")])
    assert [e.name for e in both] == ["a_photo.png", *faces]


@pytest.mark.parametrize("name", ["absent-*.tar", "empty", "folder [1]/x"])
def test_a_source_without_pictures_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no pictures in") as caught:
        find_pictures([str(tmp_path / name)])
    assert name in str(caught.value)


def test_a_folder_may_have_brackets_in_its_name(tmp_path: Path, faces: Faces) -> None:
    (tmp_path / "faces [1]").mkdir()
    Image.fromarray(faces["a_head.png"]).save(tmp_path / "faces [1]" / "a.png")
    assert len(find_pictures([str(tmp_path / "faces [1]")])) == 1


def test_pictures_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    Image.new("RGB", (256, 512)).save(tmp_path / "small.png")
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    small, torn = find_pictures([str(tmp_path)])
    with pytest.raises(ValueError, match=r"small\.png is 256x512, not 512x512"):
        read_picture(small)
    with pytest.raises(ValueError, match=r"torn\.jpg cannot be decoded"):
        read_picture(torn)


def test_cache_holds_the_same_pixels_and_follows_the_list(shard: Path, faces: Faces, tmp_path: Path) -> None:
    cache = tmp_path / "cache" / "train.npy"
    for _ in range(2):  # written, then found
        pictures = Pictures([str(shard)], cache)
        assert all(np.array_equal(pictures[i], faces[e.name]) for i, e in enumerate(pictures.entries))
    assert sorted(p.name for p in cache.parent.iterdir()) == ["train.npy", "train.txt"]
    Image.fromarray(faces["a_head.png"][::-1]).save(tmp_path / "c.png")
    more = Pictures([str(shard), str(tmp_path / "c.png")], cache)
    assert len(more) == 4
    assert np.array_equal(more[3], faces["a_head.png"][::-1])


def test_cached_pictures_are_not_copied_into_workers(shard: Path, tmp_path: Path) -> None:
    """A spawned worker gets a pickle: of the file's name, not of its gigabytes."""
    pictures = Pictures([str(shard)], tmp_path / "train.npy")
    data = pickle.dumps(pictures)
    assert len(data) < 100_000
    assert np.array_equal(pickle.loads(data)[1], pictures[1])


# Pairs


def test_a_sample_is_the_number_and_the_seed_alone(shard: Path) -> None:
    mixture = {"idm": 1.0, "old-photo": 1.0, "clean": 0.5}
    first = pairs(shard, mixture=mixture, misalign=0.5)
    samples = [first[n] for n in range(8)]
    second = pairs(shard, mixture=mixture, misalign=0.5)
    for n in (5, 2, 7, 0):
        assert same(second[n], samples[n])
    assert not same(pairs(shard, seed=2, mixture=mixture, misalign=0.5)[3], samples[3])
    assert not any(same(a, b) for a, b in itertools.combinations(samples, 2))
    assert all(s["degraded"].abs().max() <= 1 + 1e-5 and s["clean"].abs().max() <= 1 for s in samples)


def test_shapes_and_types(shard: Path) -> None:
    sample = pairs(shard)[0]
    assert {k: (tuple(v.shape), v.dtype) for k, v in sample.items()} == {
        "degraded": ((3, 64, 64), torch.float32),
        "clean": ((3, 64, 64), torch.float32),
        "place": ((2, 16, 16), torch.float32),
    }
    assert not torch.equal(sample["degraded"], sample["clean"])


def test_clean_is_clean(shard: Path) -> None:
    for n in range(4):
        sample = pairs(shard, mixture={"clean": 1.0}, misalign=0.5)[n]
        assert torch.equal(sample["degraded"], sample["clean"])
        assert sample["clean"].std() > 0


def test_mixture_is_met(shard: Path, tmp_path: Path) -> None:
    mixed = pairs(shard, mixture={"sr-x8": 0.7, "clean": 0.3}, cache=tmp_path / "faces.npy")
    clean = sum(torch.equal(s["degraded"], s["clean"]) for s in (mixed[n] for n in range(150)))
    assert 30 <= clean <= 60  # 45 expected


def test_weights_by_prefix_are_met(shard: Path, faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    weighted = pairs(shard, weights={"b_": 6.0}, mixture={"clean": 1.0})
    taken: list[str] = []
    names = [e.name for e in weighted.pictures.entries]
    stock = weighted.pictures

    class Watched:
        entries = stock.entries

        def __len__(self) -> int:
            return len(stock)

        def __getitem__(self, index: int) -> np.ndarray:
            taken.append(names[index])
            return faces[names[index]]

    weighted.pictures = Watched()  # type: ignore[assignment]
    for n in range(400):
        weighted[n]
    assert taken.count("b_dark.png") / 400 == pytest.approx(0.75, abs=0.08)
    assert taken.count("a_head.png") / 400 == pytest.approx(0.125, abs=0.06)


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        (Step("grey", {}), True),
        (Step("fade", {"contrast": 0.6, "black": 0.1, "tint": [1.0, 0.9, 0.8]}), True),
        (Step("low_light", {"exposure": 0.5, "gamma": 1.3}), True),
        (Step("colour_shift", {"shift": [20.0, 0.0, -20.0]}), True),
        (Step("jpeg", {"quality": 20}), False),
        (Step("gaussian_blur", {"sigma_x": 3.0}), False),
    ],
    ids=lambda x: x.op if isinstance(x, Step) else "",
)
def test_tone_stays_in_the_target_and_damage_does_not(
    step: Step, kept: bool, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restoration does not recolour: a grey photo's target is grey."""

    class One:
        @staticmethod
        def draw(*_: object) -> list[Step]:
            return [step]

    plain = pairs(shard, mixture={"clean": 1.0})[3]["clean"]
    monkeypatch.setattr(train_data, "get_recipe", lambda name: One)
    sample = pairs(shard, mixture={"idm": 1.0})[3]
    assert not torch.equal(sample["degraded"], plain)
    if kept:
        assert torch.equal(sample["clean"], sample["degraded"])
    else:
        assert torch.equal(sample["clean"], plain)
    if step.op == "grey":
        assert (sample["clean"].amax(0) - sample["clean"].amin(0)).max() < 1e-6


def test_place_says_where_the_crop_was(tmp_path: Path) -> None:
    """Of a picture whose red is x and green is y, the clean crop itself says where it was cut."""
    y, x = np.mgrid[:512, :512] // 4  # a cell of four pixels has one colour
    picture = np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "map.png")
    lefts = set()
    for n in range(12):
        sample = pairs(tmp_path / "map.png", mixture={"clean": 1.0}, jitter=0.0)[n]
        colour = ((sample["clean"] + 1) / 2 * 255).round()
        column, row = colour[0, 2::4, 2::4], colour[1, 2::4, 2::4]
        mirrored = bool(column[0, 1] < column[0, 0])
        if mirrored:
            column = 127 - column
        centre = (torch.stack([column, row]) * 4 + 2) / 512 * 2 - 1
        assert torch.allclose(sample["place"], centre, atol=1e-5)
        lefts.add((mirrored, float(centre[0, 0, 0])))
    assert len(lefts) > 6
    assert {mirrored for mirrored, _ in lefts} == {True, False}


def test_place_of_a_whole_frame_is_the_networks_default(tmp_path: Path, shard: Path) -> None:
    from likeness.methods.likeness.trunk import whole_frame

    place = pairs(shard, crop=512, mixture={"clean": 1.0})[0]["place"]
    assert torch.allclose(place, whole_frame(128, 128)[0], atol=1e-6)


def test_jitter_changes_both_alike(shard: Path) -> None:
    plain, tinted = (
        pairs(shard, mixture={"clean": 1.0}, jitter=0.0),
        pairs(shard, mixture={"clean": 1.0}, jitter=0.3),
    )
    changed = [not torch.equal(plain[n]["clean"], tinted[n]["clean"]) for n in range(4)]
    assert all(changed)


# The order of samples


def test_ranks_share_the_numbers_without_gap_or_overlap() -> None:
    taken = [list(itertools.islice(FromStep(10, rank, 3), 4)) for rank in range(3)]
    assert taken == [[10, 13, 16, 19], [11, 14, 17, 20], [12, 15, 18, 21]]


@pytest.mark.parametrize("world", [1, 2])
def test_a_loader_from_step_k_goes_on_where_it_would_have_been(shard: Path, world: int) -> None:
    config = pairs(shard).config

    def batches(step: int, rank: int, count: int) -> list[dict[str, torch.Tensor]]:
        return list(itertools.islice(make_loader(config, 1, 2, step, rank, world), count))

    for rank in range(world):
        assert all(same(a, b) for a, b in zip(batches(0, rank, 3)[2:], batches(2, rank, 1), strict=True))
    if world == 1:
        whole = pairs(shard)
        assert torch.equal(batches(1, 0, 1)[0]["clean"], torch.stack([whole[2]["clean"], whole[3]["clean"]]))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_cannot_serve_is_told_of_in_one_line(tmp_path: Path, workers: int) -> None:
    Image.new("RGB", (300, 300)).save(tmp_path / "small.png")
    config = DataConfig(sources=[str(tmp_path)], crop=64, mixture={"idm": 1.0}, workers=workers)
    with pytest.raises(ValueError, match=r"^\S+: small\.png is 300x300, not 512x512; likeness dataset align cuts .*$"):
        next(plainly(make_loader(config, 1, 2, 0, 0, 1)))
