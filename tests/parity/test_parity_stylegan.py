"""GFPGAN, GPEN and pSp against the numbers of the authors' code."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from likeness.methods.gfpgan.clean import GFPGANClean
from likeness.methods.gfpgan.network import GFPGAN
from likeness.methods.gfpgan.original import GFPGANOriginal
from likeness.methods.gpen.network import GPEN
from likeness.methods.psp.network import PSp, mix
from likeness.nets.upfirdn import bicubic_down
from parity_fixture import Fixture, draw

pytestmark = pytest.mark.parity


def check_gfpgan(fixture: Fixture, net: nn.Module) -> None:
    assert isinstance(net, GFPGAN)
    colours = {f"toRGB.{i}(return_rgb list item {i})": f"toRGB.{i}" for i in range(7)}
    with fixture.checking_modules(net, also=colours):
        encoded = net.encode(fixture.input())
        net.intermediate_rgbs(encoded.features)
        image = net.stylegan_decoder(encoded.latents, encoded.conditions, net.stylegan_decoder.noises.stored())
    fixture.check("out/image", image)
    assert set(colours) <= set(fixture.names("mid/"))


def check_gpen(fixture: Fixture, net: nn.Module) -> None:
    with fixture.checking_modules(net):
        fixture.check("out/image", net(fixture.input()))


def check_psp(fixture: Fixture, net: nn.Module) -> None:
    assert isinstance(net, PSp)
    x, styles = fixture.input(), 2 * (net.size.bit_length() - 1) - 2
    net.latent_avg = raw("latent_avg", styles, 512) * 0.5
    with fixture.checking_modules(net):
        codes = net.codes(x)
        image = net.decode(codes)
    fixture.check("out/codes" if "codes" in fixture.names("out/") else "mid/codes_plus_avg", codes)
    fixture.check("out/image", image)
    fixture.check("out/image_face_pool_256", net.face_pool(image))
    if net.size == 256:
        inject = net.mapping(raw("psp.inject_z", 1, 512))
        fixture.check("mid/inject_latent", inject)
        fixture.check("out/image_mix_alpha0.5_layers7up", net.decode(mix(codes, range(7, styles), inject, 0.5)))
        fixture.check("mid/image_mask_zero_layers7up", net.decode(mix(codes, range(7, styles))))
        for factor in (2, 4, 8, 16, 32):
            fixture.check(f"out/bicubic_down_{factor}", bicubic_down((x + 1) / 2, factor))


def raw(key: str, *shape: int) -> Tensor:
    return torch.from_numpy(draw(key, shape))


CASES: list[tuple[str, Callable[[], nn.Module], Callable[[Fixture, nn.Module], None]]] = [
    ("gfpgan_clean_512", GFPGANClean, check_gfpgan),
    ("gfpgan_v1_original_512", GFPGANOriginal, check_gfpgan),
    ("gpen_bfr_512", GPEN, check_gpen),
    ("psp_sr_256", lambda: PSp(256), check_psp),
    ("psp_sr_1024", PSp, check_psp),
]


@pytest.mark.parametrize(("name", "build", "check"), CASES, ids=[case[0] for case in CASES])
def test_parity(name: str, build: Callable[[], nn.Module], check: Callable[[Fixture, nn.Module], None]) -> None:
    fixture = Fixture(f"feedforward/{name}")
    with torch.inference_mode():
        net = fixture.fill(build())
        check(fixture, net)
    fixture.done()
