"""The networks of IDM, Ho's and SR3's, against the numbers of their open implementations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from likeness.methods import idm
from likeness.methods.idm.ddpm_unet import DDPMConfig, DDPMUNet
from likeness.methods.idm.sr3_unet import SR3Config, SR3UNet
from parity_fixture import TableFixture

pytestmark = pytest.mark.parity


def build(facts: dict[str, Any]) -> nn.Module:
    """The network of the manifest's arguments, which name the sizes with attention in pixels."""
    size = facts["resolution"] if "resolution" in facts else facts["image_size"]
    mults = facts["ch_mult"] if "ch_mult" in facts else facts["channel_mults"]
    sizes = facts["attn_resolutions"] if "attn_resolutions" in facts else facts["attn_res"]
    levels = tuple(level for level in range(len(mults)) if size >> level in sizes)
    if "ch" in facts:
        return DDPMUNet(
            DDPMConfig(
                ch=facts["ch"],
                ch_mult=tuple(mults),
                num_res_blocks=facts["num_res_blocks"],
                attention=levels,
                in_channels=facts["in_channels"],
                out_channels=facts["out_ch"],
            )
        )
    return SR3UNet(
        SR3Config(
            inner_channel=facts["inner_channel"],
            channel_mults=tuple(mults),
            res_blocks=facts["res_blocks"],
            attention=levels,
            in_channels=facts["in_channel"],
            out_channels=facts["out_channel"],
            norm_groups=facts["norm_groups"],
        )
    )


CASES = {  # size of the input, tolerance
    "ddpm_unet_tiny": (32, 1e-5),
    "ddpm_unet_celebahq256": (64, 1e-4),
    "idm_proposed_512": (128, 1e-4),
    "sr3_unet_tiny": (32, 1e-5),
    "sr3_unet_64_512": (64, 1e-4),
}


@pytest.mark.parametrize("name", CASES)
@torch.inference_mode()
def test_parity(name: str) -> None:
    fixture = TableFixture(f"idm/{name}")
    size, fixture.tolerance = CASES[name]
    facts = fixture.manifest["models"]["unet"]
    net = fixture.fill(idm.networks()["unet"] if name == "idm_proposed_512" else build(facts["kwargs"]), "unet")
    assert sum(p.numel() for p in net.parameters()) == facts["parameters"]

    sr3 = isinstance(net, SR3UNet)
    noise = fixture.noise(51 if sr3 else 61, 1, 3, size, size)
    three = not sr3 and facts["kwargs"]["in_channels"] == 3
    x = noise if three else torch.cat([fixture.picture(3, size, size), noise], dim=1)
    prefix = "out_level" if sr3 else "out_t"
    outputs = [
        key.removesuffix("/stats") for key in fixture.golden if key.startswith(prefix) and key.endswith("/stats")
    ]
    for output in outputs:
        told = float(output.removeprefix(prefix))
        level = torch.tensor([[told]]) if sr3 else torch.tensor([int(told)])
        if output == outputs[0]:  # the goldens of the modules are those of the first call
            with fixture.checking_modules(net):
                fixture.check(output, net(x, level))
            assert set(fixture.names("mid/")) <= dict(net.named_modules()).keys()
        else:
            fixture.check(output, net(x, level))
    fixture.done()
