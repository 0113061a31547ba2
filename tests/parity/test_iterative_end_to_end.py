"""The methods that iterate, the way a user meets them: a file as its authors save it, put to work on a real photograph.

The networks are small, of the same code and with the same keys; their weights are made up by the fixtures' rule, so the
faces are noise. What is shown is that file, loading, conditions, restoring and pasting hold together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import scenes
from likeness.methods import METHODS
from parity_fixture import Fixture, TableFixture, fill

pytestmark = pytest.mark.parity
Command = Callable[..., scenes.Ended]


def by_rule(net: nn.Module) -> dict[str, Tensor]:
    return {
        key: fill(key, list(v.shape), 1.0, []) if v.is_floating_point() else v for key, v in net.state_dict().items()
    }


def difface(folder: Path) -> tuple[Path, list[object]]:
    from likeness.methods.difface.unet import UNet, UNetConfig
    from likeness.nets.swinir import SwinIR, SwinIRConfig

    fixture = TableFixture("difface/difface_pipeline_tiny")
    unet = UNet(UNetConfig(32, (32, 64, 64, 128), (1, 2, 1, 1), (2, 3), 32))
    swinir = SwinIR(SwinIRConfig(embed_dim=36, depths=(2, 2), num_heads=(6, 6), img_size=16))
    path = folder / "iddpm_ffhq512_ema500000.pth"
    torch.save({"state_dict": fixture.state(unet.state_dict(), "unet")}, path)
    parallel = {f"module.{key}": v for key, v in fixture.state(swinir.state_dict(), "swinir").items()}
    torch.save(parallel, folder / "swinir_restoration512_L1.pth")
    return path, ["--steps", 3]


def inpainting(folder: Path) -> tuple[Path, list[object]]:
    from likeness.methods.difface.lama import Lama
    from likeness.methods.difface.unet import UNet, UNetConfig

    path = folder / "iddpm_ffhq256_ema750000.pth"
    torch.save(by_rule(UNet(UNetConfig(32, (32, 32, 32, 32, 32, 32), (1,) * 6, (4, 5)))), path)
    fixture = TableFixture("difface/difface_lama_full")
    torch.save({"state_dict": fixture.state(Lama().state_dict(), "lama")}, folder / "lama_inpainting256.pth")
    mask = np.zeros((256, 256, 3), np.uint8)
    mask[55:62, 95:140] = 255
    (folder / "mask.png").write_bytes(scenes.encoded(mask, "PNG"))
    return path, ["--steps", 2, "--hole", folder / "mask.png"]


def pmrf(folder: Path) -> tuple[Path, list[object]]:
    path = folder / "model.safetensors"
    metrics = {f"{prefix}.x.weight": torch.zeros(2) for prefix in ("fid", "inception_score")}
    save_file(pmrf_tensors() | metrics, path)
    return path, ["--steps", 2]


def pmrf_lightning(folder: Path) -> tuple[Path, list[object]]:
    path, held = folder / "blind_face_restoration_pmrf.ckpt", pmrf_tensors()
    shadow = [v for name, v in pmrf_network().model.named_parameters()]
    ema = {"decay": 0.9999, "num_updates": 7, "shadow_params": shadow, "collected_params": None}
    torch.save({"state_dict": held, "hyper_parameters": {"arch": "small"}, "ema": ema, "epoch": 1}, path)
    return path, ["--steps", 0]


def pmrf_network() -> Any:
    from likeness.methods.pmrf.network import PMRFNet
    from likeness.methods.pmrf.restorer import read_config

    fixture = TableFixture("pmrf/pmrf_tiny")
    empty = {e["key"]: torch.empty(e["shape"], device="meta") for e in fixture.entries("pmrf")}
    config = read_config(empty)
    assert config is not None
    return PMRFNet(config)


def pmrf_tensors() -> dict[str, Tensor]:
    return TableFixture("pmrf/pmrf_tiny").state(pmrf_network().state_dict(), "pmrf")


def idm(folder: Path) -> tuple[Path, list[object]]:
    from likeness.methods.idm.ddpm_unet import DDPMConfig, DDPMUNet

    path = folder / "own.ckpt"
    net = DDPMUNet(DDPMConfig(ch=32, ch_mult=(1, 1, 1, 1), num_res_blocks=1, attention=(3,)))
    config = {"prediction": "x0", "schedule": {"kind": "linear", "first": 1e-4, "last": 2e-2, "steps": 1000}}
    torch.save({"state_dict": by_rule(net), "config": config}, path)
    return path, ["--steps", 2, "--option", "sampler=1"]


def pulse(folder: Path) -> tuple[Path, list[object]]:
    from likeness.methods.pulse.synthesis import Synthesis, SynthesisConfig

    fixture = Fixture("optimisation/pulse_tiny_128")
    net = Synthesis(SynthesisConfig((512, 512, 512, 512, 256, 128)))
    torch.save(fixture.state(net.state_dict(), "synthesis"), folder / "synthesis.pt")
    torch.save({"mean": torch.zeros(512), "std": torch.ones(512)}, folder / "gaussian_fit.pt")
    return folder / "synthesis.pt", ["--steps", 2, "--option", "strict=0", "--option", "quiet_layer=11"]


def mganprior(folder: Path) -> tuple[Path, list[object]]:
    from likeness.methods.mganprior.pggan import PGGAN, PGGANConfig

    fixture = Fixture("optimisation/mganprior_tiny_64")
    net = PGGAN(PGGANConfig((512, 512, 512, 512, 256)))
    path = folder / "pggan_celebahq1024_generator.pth"
    torch.save(fixture.state(net.state_dict(), "pggan"), path)
    few = [item for pair in ("codes=2", "layer=4", "factor=4", "perceptual=0") for item in ("--option", pair)]
    return path, ["--steps", 2, "--seconds", 60, *few]


MADE = {
    "difface": difface,
    "difface-inpainting": inpainting,
    "pmrf": pmrf,
    "pmrf-lightning": pmrf_lightning,
    "idm": idm,
    "pulse": pulse,
    "mganprior": mganprior,
}
ELSEWHERE = {"likeness", "instantrestore"}  # instantrestore: below, with photographs of the person


@pytest.mark.parametrize("name", MADE)
def test_a_file_as_its_authors_save_it_restores_a_photograph(name: str, command: Command, tmp_path: Path) -> None:
    weights, options = MADE[name](tmp_path)
    photo = scenes.portrait(256)
    (tmp_path / "photo.png").write_bytes(scenes.encoded(photo, "PNG"))
    out = tmp_path / "out"
    ended = command("restore", tmp_path / "photo.png", "-o", out, "--weights", weights, *options)
    assert ended.status == 0, ended.err
    report = scenes.read_report(out)
    assert report["settings"]["method"] == name.removesuffix("-lightning")
    (face,) = report["photos"][0]["faces"]
    assert face["status"] == "restored"
    changed = (scenes.load_pixels(out / "photo.png") != photo).any(axis=2)
    if name == "difface-inpainting":
        assert changed[55:62, 95:140].mean() > 0.9
        changed[55:62, 95:140] = False
        assert not changed.any()
        assert "filled in" in face["note"]
    else:
        assert changed[scenes.inside(face["box"])].mean() > 0.9
        assert not changed[scenes.far_outside(photo.shape, face["box"])].any()


def test_every_method_that_iterates_is_here() -> None:
    from likeness.methods import card

    iterating = {name for name in METHODS if card(name).kind in ("iterative", "optimisation")}
    assert {name.removesuffix("-lightning") for name in MADE} | ELSEWHERE >= iterating


def test_instantrestore_restores_with_photographs_of_the_person(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("diffusers", reason="InstantRestore needs diffusers")
    from likeness.methods.instantrestore.config import read_config
    from likeness.methods.instantrestore.network import InstantRestoreNet

    fixture = TableFixture("instantrestore/instantrestore_tiny")
    empty = {e["key"]: torch.empty(e["shape"], device="meta") for e in fixture.entries("net")}
    config = read_config(empty)
    assert config is not None
    words = replace(config, text=replace(config.text, words=49408))  # those of the prompt
    with torch.device("meta"):
        state = by_rule(InstantRestoreNet(words))
    weights = tmp_path / "final_model_ckpt.pt"
    settings = {"use_adain": True, "train_input": False, "lora_rank_unet": 4, "lora_rank_vae": 4}
    torch.save({"state_dict": state, "cfg": {"model": settings}, "optimizer": {"state": {}}}, weights)
    references = tmp_path / "references"
    references.mkdir()
    (references / "one.png").write_bytes(scenes.encoded(scenes.portrait(512), "PNG"))
    (tmp_path / "photo.png").write_bytes(scenes.encoded(scenes.portrait(256), "PNG"))
    out = tmp_path / "out"
    ended = command("restore", tmp_path / "photo.png", "-o", out, "--weights", weights, "--reference", references)
    assert ended.status == 0, ended.err
    report = scenes.read_report(out)
    (face,) = report["photos"][0]["faces"]
    assert face["status"] == "restored"
    assert face["note"].startswith("as references, 1 reference, at distance 0.")
    assert list(report["given"]["references"]["people"]) == ["references"]
