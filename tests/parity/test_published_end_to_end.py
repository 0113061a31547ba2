"""Each published method the way a user meets it: pulled from a server, verified, and put to work on a group photo.

The weights are made up by the fixtures' rule and saved as the authors save theirs, so the faces are noise; what is
shown is that file, licence, digest, loading, restoring and pasting hold together.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

import scenes
from likeness.faces import load_detector
from likeness.faces.geometry import apply_transform, invert_transform
from likeness.methods import METHODS, card, networks
from likeness.weights import catalogue
from parity_fixture import Fixture, draw

sys.path.insert(0, str(Path(__file__).parents[1] / "weights"))
import file_server

pytestmark = pytest.mark.parity
Command = Callable[..., scenes.Ended]
State = dict[str, Tensor]
Wrap = Callable[[State], dict[str, Any]]


def bare(state: State) -> dict[str, Any]:
    return state


def averaged(state: State) -> dict[str, Any]:
    return {"params": {k: torch.zeros_like(v) for k, v in state.items()}, "params_ema": state}


def lightning(state: State) -> dict[str, Any]:
    held = {f"vqvae.{key}": value for key, value in state.items()}
    return {"epoch": 3, "state_dict": {**held, "loss.discriminator.weight": torch.zeros(3)}, "callbacks": {}}


def parallel(state: State) -> dict[str, Any]:
    return {"model": {f"module.{key}": value for key, value in state.items()}}


def pixel2style(state: State) -> dict[str, Any]:
    average = torch.from_numpy(draw("latent_avg", (18, 512))) * 0.5
    return {"state_dict": state, "latent_avg": average, "opts": {"start_from_latent_avg": True, "label_nc": 0}}


# the entry, its method and role, the fixture, and how its authors save it
RELEASES = [
    ("gfpgan-1.4", "gfpgan", "clean", "gfpgan_clean_512", averaged),
    ("gfpgan-1", "gfpgan", "original", "gfpgan_v1_original_512", averaged),
    ("codeformer", "codeformer", "net", "codeformer_512", averaged),
    ("restoreformer", "restoreformer", "net", "restoreformer_512", lightning),
    ("restoreformer++", "restoreformer++", "net", "restoreformer_plusplus_512", lightning),
    ("vqfr-2", "vqfr", "v2", "vqfr_v2_512", averaged),
    ("vqfr-1", "vqfr", "v1", "vqfr_v1_512", averaged),
    ("gpen-512", "gpen", "net", "gpen_bfr_512", bare),
    ("hifacegan", "hifacegan", "net", "hifacegan", bare),
    ("psp-sr", "psp", "net", "psp_sr_1024", pixel2style),
    ("deblurganv2-inception", "deblurganv2", "fpn_inception", "deblurganv2_fpn_inception", parallel),
    ("deblurganv2-mobilenet", "deblurganv2", "fpn_mobilenet", "deblurganv2_fpn_mobilenet", parallel),
    ("psfrgan", "psfrgan", "net", "psfrgan_512", bare),
    ("dfdnet", "dfdnet", "net", "dfdnet_512", bare),
]


def test_every_method_is_here() -> None:
    one_pass = {name for name in METHODS if card(name).kind == "one pass" and "references" not in card(name).needs}
    assert {release[1] for release in RELEASES} == one_pass  # the others: test_iterative_end_to_end.py


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Serve a file as that of an entry: the catalogue's other facts stay."""
    monkeypatch.setenv("LIKENESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "*")
    groups = yaml.safe_load(catalogue.CATALOGUE.read_text(encoding="utf-8"))
    path = tmp_path / "catalogue.yaml"
    monkeypatch.setattr(catalogue, "CATALOGUE", path)
    with file_server.serving() as server:

        def publish(name: str, data: bytes) -> None:
            entry = next(one for group in groups for one in group["files"] if one["name"] == name)
            entry.pop("digest", None)
            entry |= {
                "urls": [server.give(entry["file"], data)],
                "bytes": len(data),
                "sha256": file_server.sha256(data),
                "sha256_source": "this test",
            }
            path.write_text(yaml.safe_dump(groups), encoding="utf-8")
            catalogue.entries.cache_clear()

        yield publish
    catalogue.entries.cache_clear()


def saved(checkpoint: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    torch.save(checkpoint, stream)
    return stream.getvalue()


def rule_filled(fixture: str, method: str, role: str) -> State:
    return Fixture(f"feedforward/{fixture}").state(networks(method)[role].state_dict())


@pytest.mark.parametrize(
    ("entry", "method", "role", "fixture", "wrap"), RELEASES, ids=[f"{r[0]}-{r[3]}" for r in RELEASES]
)
def test_pulled_verified_and_put_to_work(
    entry: str,
    method: str,
    role: str,
    fixture: str,
    wrap: Wrap,
    published: Callable[..., None],
    command: Command,
    tmp_path: Path,
) -> None:
    names, further = [entry], []
    published(entry, saved(wrap(rule_filled(fixture, method, role))))
    group = scenes.group()
    (tmp_path / "group.png").write_bytes(scenes.encoded(group, "PNG"))
    if method == "psfrgan":
        names.append("psfrgan-parser")
        published(names[1], saved(rule_filled("facexlib_parsenet", method, "parse")))
    if method == "dfdnet":
        further = ["--landmarks", landmarks(tmp_path, group)]
        put_dictionary(tmp_path, command)

    ended = command("models", "pull", *names, "--accept-licence")
    assert ended.status == 0, ended.err
    ended = command("models", "verify", *names)
    assert ended.status == 0, ended.err
    out = tmp_path / "out"
    ended = command("restore", tmp_path / "group.png", "-o", out, "--method", entry, *further)
    assert ended.status == 0, ended.err
    faces = scenes.read_report(out)["photos"][0]["faces"]
    assert [face["status"] for face in faces] == ["restored"] * 3
    restored = scenes.load_pixels(out / "group.png").astype(int)
    assert restored.shape == group.shape
    for face in faces:
        box = scenes.inside(face["box"])
        assert np.abs(restored[box] - group[box]).mean() > 2
    far = scenes.far_outside(group.shape, *(face["box"] for face in faces))
    assert np.array_equal(restored[far], group[far])


def landmarks(folder: Path, group: np.ndarray) -> Path:
    """68 points for each face of the group: a brow, an eye, ... where a face in the 512 frame has them."""
    frame = np.zeros((68, 2))
    for part, (x, y, width) in {
        range(17): (256, 330, 240), range(17, 22): (190, 215, 60), range(22, 27): (320, 215, 60),
        range(27, 36): (256, 290, 50), range(36, 42): (193, 240, 40), range(42, 48): (319, 240, 40),
        range(48, 68): (256, 371, 110),
    }.items():  # fmt: skip
        turn = np.linspace(0, 2 * np.pi, len(part), endpoint=False)
        frame[list(part)] = np.stack([x + width / 2 * np.cos(turn), y + width / 5 * np.sin(turn)], axis=1)
    found = load_detector("dlib").detect(group)
    faces = [apply_transform(invert_transform(face.transform), frame).tolist() for face in found]
    path = folder / "marks.json"
    path.write_text(json.dumps({"group.png": faces}), encoding="utf-8")
    return path


def put_dictionary(folder: Path, command: Command) -> None:
    from likeness.methods.dfdnet.dictionary import SCALES, entry_side
    from likeness.methods.dfdnet.landmarks import PARTS, SIZE

    place = folder / "DictionaryCenter512"
    place.mkdir()
    for size in SCALES:
        for part in PARTS:
            numbers = 64 * min(SIZE // size, 8) * entry_side(part, size) ** 2
            array = draw(f"dictionary.{part}_{size}_center", (5, numbers))
            np.save(place / f"{part}_{size}_center.npy", array)
    ended = command("models", "add", "dfdnet-dictionary", place)
    assert ended.status == 0, ended.err
